import { statSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Api, type ApiOptions, startApi } from "../../../src/operate/api/api.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import { StateClient } from "../../../src/operate/api/client.js";
import { API_BODY_BYTES_MAX } from "../../../src/operate/api/http.js";
import { Store } from "../../../src/operate/state/store/store.js";
import { ALL, experiment, file, METRIC, outcome, SERVICE, temporaryDirectory } from "../employment.js";

interface Running {
	readonly store: Store;
	readonly api: Api;
	readonly client: ApiClient;
	readonly state: StateClient;
}

async function running(t: Test, more: Partial<ApiOptions> = {}): Promise<Running> {
	const directory = temporaryDirectory(t);
	const store = new Store(directory);
	t.teardown(() => store.close());
	const api = await startApi({
		store,
		insecureLoopback: { address: "127.0.0.1", port: 0 },
		socket: join(directory, "api.sock"),
		...more,
	});
	t.teardown(() => api.close());
	return { store, api, client: new ApiClient(api.url), state: new StateClient(api.socket) };
}

const wet = { dryRun: false };
const OWNER = `local:${process.getuid?.()}`;

/** A raw request, for what a correct client would not send. */
function raw(
	url: string,
	options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<{ status: number; headers: Record<string, unknown>; text: string }> {
	return new Promise((resolve, reject) => {
		const sent = httpRequest(url, { agent: false, method: options.method ?? "GET", headers: options.headers ?? {} });
		sent.on("error", reject);
		sent.on("response", (response) => {
			let text = "";
			response.setEncoding("utf8");
			response.on("data", (chunk: string) => (text += chunk));
			response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
		});
		sent.end(options.body);
	});
}

t.test("apply, get, status, diff, decisions and delete over the public API", async (t) => {
	const { client } = await running(t);
	t.match(await client.apply(file(ALL), { dryRun: true }), { outcome: "applied", revision: 0 });
	t.match(await client.get(), { revision: 0, resources: [] });
	t.match(await client.apply(file(ALL), { ...wet, onlyAt: 0 }), { outcome: "applied", revision: 1 });
	for (const dryRun of [true, false])
		await t.rejects(client.apply(file(METRIC), { dryRun, onlyAt: 0 }), {
			code: "conflict",
			message: "the state is at revision 1, the declaration is for 0",
		});
	const got = await client.get();
	t.same(
		got.resources.map((resource) => resource.kind),
		["Service", "Experiment", "Metric"],
	);
	const yaml = await client.getYaml();
	t.equal(yaml, [experiment("boosted"), METRIC, SERVICE].join("---\n"));
	t.match(
		await client.apply(file(yaml), wet),
		{ revision: 1, changes: [{ change: "unchanged" }] },
		"and takes it back",
	);
	t.match(await client.status(), {
		revision: 1,
		experiments: [
			{
				experiment: "boosted",
				service: "employment",
				status: { phase: "Running", allocationPpm: 20_000 },
				last: { sequence: 1, action: "start", by: OWNER },
			},
		],
		services: [{ service: "employment", declaredDefaultVariant: "v1", liveDefaultVariant: "v1" }],
	});
	t.match(await client.diff(), { experiments: [{ differences: [] }], services: [{ differences: [] }] });
	t.match(await client.act("boosted", "pause", { reason: "lunch" }), {
		revision: 2,
		decision: { sequence: 2, by: OWNER },
	});
	t.match(await client.diff(), { experiments: [{ live: { phase: "Paused" }, differences: [/held at 2%/] }] });
	t.match(await client.decisions("boosted", 1), { decisions: [{ sequence: 2 }], next: null });
	await client.act("boosted", "abort");
	t.match(await client.delete("Experiment", "boosted", wet), { outcome: "applied" });
	t.match(await client.get(), { resources: [{ kind: "Service" }, { kind: "Metric" }] });
	await t.rejects(client.delete("Metric", "none", wet), { code: "not-found" });
});

t.test("diff shows a promotion: declared v1, live v2", async (t) => {
	const { client, store } = await running(t);
	await client.apply(file(ALL), wet);
	const status = store.current.status.experiments.boosted;
	if (status === undefined) throw new Error("no status");
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 3, takeoverPpm: 1_000_000 };
	const made = outcome({ ...status, phase: "Promoted", promotion }, { defaultVariant: "v2" });
	await store.decide({ experiment: "boosted", expectedRevision: 1, by: "weir", atMs: 2, input: null, outcome: made });
	t.match(await client.diff(), {
		experiments: [{ differences: [/Promoted arm boosted/] }],
		services: [{ declaredDefaultVariant: "v1", liveDefaultVariant: "v2", differences: [/live v2/] }],
	});
	const gone = outcome({ ...status, phase: "Promoted", promotion }, { defaultVariant: "v9" });
	await store.decide({ experiment: "boosted", expectedRevision: 2, by: "weir", atMs: 3, input: null, outcome: gone });
	t.match(
		await client.status(),
		{ services: [{ liveDefaultVariant: "v1" }] },
		"an undeclared Variant serves no request",
	);
});

t.test("problems come with file, line and column, over one YAML body and over several files", async (t) => {
	const { api, client } = await running(t);
	const wrong = ALL.replace("variant: v2", "variant: v7");
	const answer = await raw(`${api.url}/v1/resources`, {
		method: "POST",
		headers: { "content-type": "application/yaml", "x-weir-file-name": encodeURIComponent("équipe.yaml") },
		body: wrong,
	});
	t.equal(answer.status, 400);
	const line = wrong.split("\n").findIndex((text) => text.includes("variant: v7")) + 1;
	t.match(JSON.parse(answer.text), {
		problems: [{ file: "équipe.yaml", line, column: Number, message: /v7/, hint: String }],
	});
	const files = [
		{ name: "service.yaml", text: SERVICE },
		{ name: "metric.yaml", text: METRIC },
		{ name: "experiment.yaml", text: experiment("boosted").replace("variant: v2", "variant: v7") },
	];
	t.match(await client.apply(files, wet), {
		outcome: "refused",
		problems: [{ position: { file: "experiment.yaml", line: 10 } }],
	});
	t.equal((await client.get()).revision, 0);
	files[2] = { name: "experiment.yaml", text: experiment("boosted") };
	t.match(await client.apply(files, wet), { outcome: "applied", revision: 1 }, "files may name each other");
});

t.test("the name of a namespaced experiment is one path segment", async (t) => {
	const { client } = await running(t);
	const inTeam = (text: string) => text.replace("metadata: {", "metadata: {namespace: team, ");
	await client.apply(file([SERVICE, METRIC, experiment("boosted")].map(inTeam).join("---\n")), wet);
	t.match(await client.decisions("team/boosted", 0), { decisions: [{ experiment: "team/boosted" }] });
	t.match(await client.act("team/boosted", "abort"), { revision: 2 });
	t.match(await client.delete("Experiment", "team/boosted", wet), { outcome: "applied" });
});

interface BadRequest {
	readonly what: string;
	readonly path: string;
	readonly method?: string;
	readonly headers?: Record<string, string>;
	readonly body?: string;
	readonly status: number;
	readonly match: RegExp;
}

const badPause = (what: string, body: string, match: RegExp): BadRequest => ({
	...{ what, body, match, status: 400, method: "POST", path: "/v1/experiments/boosted/pause" },
	headers: { "content-type": "application/json" },
});

const BAD: readonly BadRequest[] = [
	{
		what: "another Host (DNS rebinding)",
		path: "/v1/status",
		headers: { host: "evil.example" },
		status: 403,
		match: /Host/,
	},
	{ what: "another Host on a mount", path: "/metrics", headers: { host: "evil.example" }, status: 403, match: /Host/ },
	{
		what: "a Host that only begins like the loopback",
		path: "/v1/status",
		headers: { host: "127.0.0.1.evil.example" },
		status: 403,
		match: /Host/,
	},
	{
		what: "another Host, with a broken escape",
		path: "/v1/%zz",
		headers: { host: "evil.example" },
		status: 403,
		match: /Host/,
	},
	{
		what: "a name with its default namespace",
		path: "/v1/resources/Metric/default%2Fnone",
		method: "DELETE",
		status: 404,
		match: /no Metric 'none'/,
	},
	{ what: "a repeated parameter", path: "/v1/audit?limit=1&limit=2", status: 400, match: /'limit' is not valid/ },
	{
		what: "more items than are checked one by one",
		path: "/v1/deletions",
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ resources: new Array(5_001).fill(1) }),
		status: 400,
		match: /write a list of 1 to 5000/,
	},
	{
		what: "another site's Origin",
		path: "/v1/status",
		headers: { origin: "http://evil.example" },
		status: 403,
		match: /other sites/,
	},
	{
		what: "a form's content type",
		path: "/v1/resources",
		method: "POST",
		headers: { "content-type": "text/plain" },
		body: "x",
		status: 400,
		match: /text\/yaml/,
	},
	{
		what: "no content type",
		path: "/v1/experiments/boosted/pause",
		method: "POST",
		body: "{}",
		status: 400,
		match: /absent/,
	},
	badPause("an unknown field", '{"force":true}', /force/),
	badPause("an arm for a pause", '{"arm":"boosted"}', /arm/),
	badPause("a decision in another's name", '{"by":"grace"}', /'by' is not believed/),
	{
		what: "a declaration in another's name",
		path: "/v1/resources?by=grace",
		method: "POST",
		headers: { "content-type": "application/yaml" },
		body: METRIC,
		status: 400,
		match: /'by' is not believed/,
	},
	badPause("two lines in a reason", '{"reason":"x\\ny"}', /one line/),
	badPause("broken JSON", "{", /not JSON/),
	badPause("a list", "[]", /object/),
	{
		what: "an unknown experiment",
		path: "/v1/experiments/none/pause",
		method: "POST",
		headers: { "content-type": "application/json" },
		body: "{}",
		status: 404,
		match: /none/,
	},
	{
		what: "a verb that the phase does not allow",
		path: "/v1/experiments/boosted/resume",
		method: "POST",
		headers: { "content-type": "application/json" },
		body: "{}",
		status: 412,
		match: /Paused/,
	},
	{
		what: "an unknown verb",
		path: "/v1/experiments/boosted/destroy",
		method: "POST",
		status: 404,
		match: /\/pause, .*\/resume/,
	},
	{ what: "an unknown path", path: "/v1/nothing", status: 404, match: /nothing/ },
	{ what: "an unknown kind", path: "/v1/resources/Pod/x", method: "DELETE", status: 404, match: /Gateway/ },
	{ what: "an unknown query parameter", path: "/v1/status?verbose=1", status: 400, match: /verbose/ },
	{
		what: "dryRun that is neither",
		path: "/v1/resources?dryRun=yes",
		method: "POST",
		status: 400,
		match: /true or false/,
	},
	{
		what: "an invalid revision",
		path: "/v1/resources?onlyAt=new",
		method: "POST",
		status: 400,
		match: /'onlyAt' is not valid.*whole number/,
	},
	{
		what: "a revision on an operation that applies nothing",
		path: "/v1/deletions?onlyAt=1",
		method: "POST",
		status: 400,
		match: /unknown query parameter 'onlyAt'/,
	},
	{
		what: "a limit beyond the page",
		path: "/v1/experiments/boosted/decisions?limit=9999",
		status: 400,
		match: /limit/,
	},
	{ what: "a broken escape", path: "/v1/experiments/%E0%A4%A/decisions", status: 400, match: /percent/ },
	{ what: "the internal API", path: "/internal/plans", status: 404, match: /internal/ },
	{
		what: "a body that is too large",
		path: "/v1/resources",
		method: "POST",
		headers: { "content-type": "text/yaml" },
		body: "#".repeat(API_BODY_BYTES_MAX + 1),
		status: 413,
		match: /larger/,
	},
	{
		what: "JSON of another shape",
		path: "/v1/resources",
		method: "POST",
		headers: { "content-type": "application/json" },
		body: '{"files":[{"name":"x"}]}',
		status: 400,
		match: /files/,
	},
];

t.test("wrong requests are refused, and change nothing", async (t) => {
	const { api, client } = await running(t, { mounts: { "/metrics": (_, response) => void response.end("m 1\n") } });
	await client.apply(file(ALL), wet);
	for (const { what, path, status, match, ...options } of BAD) {
		const answer = await raw(api.url + path, options);
		t.equal(answer.status, status, what);
		t.match(JSON.parse(answer.text), { error: { code: String, message: String, hint: String } });
		t.match(answer.text, match, `${what} is named`);
	}
	t.equal((await client.get()).revision, 1);
});

t.test("health, readiness and mounted routes answer", async (t) => {
	const reasons: string[] = ["xds is not connected"];
	const seen: string[] = [];
	const { api } = await running(t, {
		ready: () => reasons,
		mounts: {
			"/v1/outcomes": {
				needs: "identity",
				methods: ["POST"],
				takesBody: true,
				handle: (request, response) => {
					seen.push(request.url ?? "");
					response.writeHead(202).end();
				},
			},
			"/v1/traces": (_, response) => void response.end("trace"),
		},
	});
	t.match(await raw(`${api.url}/healthz`), { status: 200, text: "ok\n" });
	t.match(await raw(`${api.url}/readyz`), { status: 503, text: "xds is not connected\n" });
	reasons.length = 0;
	t.match(await raw(`${api.url}/readyz`), { status: 200 });
	t.equal((await raw(`${api.url}/v1/outcomes?x=1`, { method: "POST", body: "{}" })).status, 202);
	t.same(seen, ["/v1/outcomes?x=1"]);
	t.match(await raw(`${api.url}/v1/traces/abc`), { text: "trace" });
	const written = await raw(`${api.url}/v1/traces`, { method: "POST", body: "{}" });
	t.match(written, { status: 405, headers: { allow: "GET, HEAD" } }, "spans come by the traces' own socket");
	t.match(await raw(`${api.url}/v1/outcomes`), { status: 405, headers: { allow: "POST" } });
	t.equal((await raw(`${api.url}/v1/outcomesx`)).status, 404, "prefixes are whole segments");
	t.equal((await raw(`${api.url}/healthz`)).headers["access-control-allow-origin"], undefined);
});

t.test("the API listens on the loopback only, and starts both listeners or none", async (t) => {
	const directory = temporaryDirectory(t);
	const store = new Store(directory);
	t.teardown(() => store.close());
	const socket = join(directory, "api.sock");
	for (const address of ["0.0.0.0", "::", "192.0.2.1", "example.com"]) {
		await t.rejects(startApi({ store, insecureLoopback: { address, port: 0 }, socket }), {
			code: "invalid-argument",
			hint: /127\.0\.0\.1/,
		});
	}
	const taken = createServer().listen(0, "127.0.0.1");
	t.teardown(() => taken.close());
	await new Promise((resolve) => taken.once("listening", resolve));
	const { port } = taken.address() as { port: number };
	await t.rejects(startApi({ store, insecureLoopback: { address: "127.0.0.1", port }, socket }), {
		code: "unavailable",
	});
	await t.rejects(new StateClient(socket).plan("x"), { code: "unavailable" }, "no internal listener is left");
	const long = join(directory, "x".repeat(120), "api.sock");
	await t.rejects(startApi({ store, insecureLoopback: { address: "127.0.0.1", port: 0 }, socket: long }), {
		code: "invalid-argument",
	});
	const api = await startApi({ store, insecureLoopback: { address: "::1", port: 0 }, socket });
	t.teardown(() => api.close());
	t.match(await new ApiClient(api.url).status(), { revision: 0 }, "IPv6 loopback");
	t.equal(statSync(socket).mode & 0o777, 0o600);
});

t.test("ingest reads the plan over the UNIX socket, and reports on Envoys are stored", async (t) => {
	const { store, state, client } = await running(t);
	await client.apply(file(ALL), wet);
	await store.keepPlan("00ff", { gateways: [], services: [] });
	t.same(await state.plan("00ff"), { gateways: [], services: [] });
	t.same(await state.newestPlan(), { gateways: [], services: [] });
	t.equal(await state.plan("ffff"), null);
	await store.reportProxies([{ node: "envoy-1", connectedAtMs: 7, types: {} }]);
	t.match(await client.proxies(), { proxies: [{ node: "envoy-1" }] });
	t.notHas(await client.standing("boosted"), "closed");
	const closed = [{ service: "employment", form: "", why: "", sinceMs: 7 }];
	await store.reportProxies([{ node: "envoy-1", connectedAtMs: 7, types: {}, closed }]);
	t.match(
		await client.standing("boosted"),
		{ closed: true, defaultVariant: "v1" },
		"the status has the closed Service",
	);
	t.same(await state.metricNames(), [
		{
			name: "accuracy",
			type: "rate",
			source: "outcome",
			windowMs: 1_000,
			covariateMs: null,
			range: { lo: 0, hi: 1 },
			senders: [],
			judges: [{ experiment: "boosted", service: "employment", freezingSinceMs: null }],
		},
	]);
});
