/** The output of commands for fixed API answers: states that a real control reaches in days, or never in a test. */
import { once } from "node:events";
import { createServer } from "node:http";
import t from "tap";
import type { ProbedEnvoy } from "../../../src/cli/roles/probeDesk.js";
import type { ProxyStatus } from "../../../src/decide/rollout/ports.js";
import type { StatusAnswer } from "../../../src/operate/api/wire.js";
import { reportInput, WINNING } from "../../decide/report/example.js";
import { golden, transcript } from "../../golden/golden.js";
import { temporaryDirectory } from "../command.js";
import { run } from "../operatorCommand.js";

t.setTimeout(60_000);

const story = reportInput(WINNING);
const WHY = "local rate limit token bucket fill timer must be >= 50ms";
const closed = { service: "team/x", why: WHY, sinceMs: 0 };
const type = { sentVersion: "b", acceptedVersion: "a", source: "" };
const proxies: readonly ProxyStatus[] = [
	{
		...{ node: "weir-gateway", connectedAtMs: 0, revision: 7, closed: [{ ...closed, form: "1" }] },
		types: {
			clusters: { ...type, state: "SYNCED", error: "" },
			routes: { ...type, state: "ERROR", error: WHY, source: "Service team/y", refusedSinceMs: 0 },
		},
	},
];
const status: StatusAnswer = {
	revision: 9,
	lag: "weir-gateway has had revision 8 for 7 s",
	refusals: [
		{ node: "weir-gateway", type: "routes", source: "Service team/y", error: WHY, sinceMs: 0, revision: 7 },
		{ node: "weir-gateway", type: "routes", source: "", error: "", sinceMs: 0, revision: null },
	],
	closed: [{ ...closed, node: "weir-gateway", others: 2 }],
	faults: [{ resource: "Service shop", message: "its DataClass is gone" }],
	alarms: [
		{ gateway: "edge", alarm: "no-clients", why: null },
		{ gateway: "team/inner", alarm: "probe-failed", why: "Services bypassed: 1", envoy: "a" },
		{ gateway: "", alarm: "plan-unkept", why: null },
		{ gateway: "", alarm: "identity-unrenewed", why: "control's SVID (ingest) expired at 2026-01-01T00:00:00.000Z" },
	],
	experiments: [
		{ experiment: "main", service: "employment", status: story.status, last: null },
		{ experiment: "team/new", service: "team/shop", status: { ...story.status, phase: "Running" }, last: null },
		{ experiment: "team/old", service: "team/shop", status: { ...story.status, phase: "Running" }, last: null },
	],
	services: [{ service: "employment", declaredDefaultVariant: "v1", liveDefaultVariant: "v2" }],
};
const result = { gateway: "edge", service: "shop", outcome: "denied", detail: "" } as const;
const report = { version: "1", results: [result], unjudged: { envoy: 0, sidecar: 0 } };
const lost = { ...result, outcome: "unanswered", detail: "no answer within 5 s" } as const;
const probed: readonly ProbedEnvoy[] = [
	{ envoy: "a", report, fresh: true },
	{ envoy: "b", report: { ...report, results: [lost], unjudged: { envoy: 1, sidecar: 1 } }, fresh: true },
	{ envoy: "c", report: null, fresh: false },
	{ envoy: "d", report: { ...report, results: [] }, fresh: true },
];
const EMPTY: StatusAnswer = { ...status, lag: null, refusals: [], closed: [], faults: [], alarms: [], experiments: [] };

t.test("status, decisions, report, proxy-status and probe print the golden texts", async (t) => {
	const answers: Record<string, unknown> = {
		"/v1/status": status,
		"/v1/proxies": { proxies },
		"/v1/probe": probed,
		"/v1/experiments/main/standing": { ...story, noEvidence: "" },
		"/v1/experiments/main/decisions": { decisions: story.decisions, next: null },
	};
	const server = createServer(({ url = "" }, response) => {
		const answer = answers[url.replace(/\?.*/, "")];
		response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
	});
	const socket = `${await temporaryDirectory(t)}/api.sock`;
	await once(server.listen(socket), "listening");
	t.teardown(() => server.close());
	const ask = (...lines: readonly string[]) =>
		transcript((...args) => run(args, { WEIR_API: `unix:${socket}` }), ...lines);
	await golden(t, "decisions", await ask("decisions main"));
	await golden(t, "report", await ask("report main"));
	for (const [name, path, nothing] of [
		["status", "/v1/status", { ...EMPTY, services: [] }],
		["proxy-status", "/v1/proxies", { proxies: [] }],
		["probe", "/v1/probe", null],
	] as const) {
		const first = await ask(name);
		answers[path] = nothing;
		await golden(t, name, first + (await ask(name)));
	}
});
