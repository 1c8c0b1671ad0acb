/** `weir why` and `weir trace`: one request from identity to trace, on one stack with a predictor and a sidecar. */

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import type { Why } from "../../../src/cli/commands/whyPage.js";
import { mutualTls, spiffe } from "../../compile/access/mutualTls.js";
import { answerOf } from "../../fixtures/answerOf.js";
import { startPredictorCommand } from "../backend.js";
import { askApi, fileOf, temporaryDirectory, weir, weirUp } from "../command.js";
import { experimentText, gatewayText, openService, outcomeMetric, policyText, serviceText } from "../documents.js";

t.setTimeout(120_000);

t.test("weir why shows one request from identity to trace", async (t) => {
	const directory = await temporaryDirectory(t);
	const tls = await mutualTls(t);
	const { from: _, ...files } = tls.gateway;
	const port = await startPredictorCommand(t, { WEIR_TRACES_SOCKET: `${directory}/data/run/trace-query.sock` });
	const file = await fileOf(
		directory,
		"weir.yaml",
		[
			gatewayText("port: 0, exposeArm: true"),
			gatewayText(`port: 0, tls: ${JSON.stringify(files)}`, "secure"),
			openService("employment", [port, port]),
			serviceText("guarded", [port], "", "localhost"),
			serviceText("shop", [port, port], "access: open"),
			policyText("batch-only", "guarded", `principals: ["spiffe://weir.test/batch"]`),
			outcomeMetric("quality", "1s"),
			experimentText(
				"same-model",
				"employment",
				"copy",
				`goal: {metric: quality, improveBy: {absolute: 1pp}}
  rollout: {steps: [50%, 100%], every: 1h, minUnits: 1000}`,
			),
			experimentText("layout", "shop", "new", "rollout: {steps: [100%]}", "cookie: {name: weir_id, maxAge: 1h}"),
		].join("---\n"),
	);
	let up = await weirUp(file, `${directory}/data`, ["--trace-sampling", "100"]);
	t.teardown(async () => void (await up.stop()));
	const { gateways } = JSON.parse(await readFile(`${directory}/data/addresses.json`, "utf8"));
	const infer = async (headers: Record<string, string>) => {
		const response = await fetch(`${gateways.edge}/v2/models/employment/infer?key=hidden`, {
			method: "POST",
			headers: { "content-type": "application/json", ...headers },
			body: JSON.stringify({
				inputs: [{ name: "features", shape: [1, 16], datatype: "FP32", data: Array(16).fill(1) }],
			}),
		});
		await response.text();
		const arm = response.headers.get("x-weir-arm");
		return { id: response.headers.get("x-request-id") ?? "", status: response.status, arm };
	};
	/** The page, once its trace is whole; then the same as JSON. */
	const why = async (id: string, whole = /weir-envoy/) => {
		for (let tries = 0; ; tries++) {
			const { code, stdout, stderr } = await weir(["why", id, "--api", up.ready.api]);
			const page = stdout.toString();
			if (code === 0 && whole.test(page) && !/not ended/.test(page)) {
				const json = await weir(["why", id, "--api", up.ready.api, "--json"]);
				return { page, shown: JSON.parse(json.stdout.toString()) as Why };
			}
			if (tries > 60) throw new Error(`no whole account of ${id}: ${page}${stderr}\n${up.log()}`);
			await pause(100);
		}
	};
	/** The printed path of a request, once it has spans of all these parts. */
	const traceOf = async (id: string, ...parts: readonly string[]): Promise<string> => {
		for (let tries = 0; ; tries++) {
			const { code, stdout, stderr } = await weir(["trace", id, "--api", up.ready.api]);
			const text = stdout.toString();
			if (code === 0 && parts.every((part) => text.includes(part))) return text;
			if (tries > 60) throw new Error(`no whole trace of ${id}: ${text}${stderr}\n${up.log().slice(-2_000)}`);
			await pause(100);
		}
	};
	/** A unit in that arm. */
	const inArm = async (arm: string) => {
		for (let index = 0; index < 100; index++) {
			const found = await infer({ "x-user-id": `person-${index}` });
			if (found.arm === `same-model/${arm}`) return found;
		}
		throw new Error(`no unit is in arm ${arm}`);
	};

	await t.test("why shows a request in an arm", async (t) => {
		const { id } = await inArm("copy");
		const { page, shown } = await why(id, /weir-predictor/);
		t.comment(page);
		t.match(page, /^bucket +point \d+ in copy's region \[500000, 1000000\), live up to 750000$/m);
		t.match(page, /^decision +#1 \S+ start by .*\(allocation 50%\)$/m);
		t.match(page, /^trace [0-9a-f]{32} /m);
		t.notMatch(page + JSON.stringify(shown), /person-|hidden/, "neither unit nor query");
		t.notMatch(page, /^!/m);
		t.match(shown.decision, { experiment: "same-model", sequence: 1, allocationPpm: 500_000, isPlans: true });
		t.match(shown.models, [{ name: "employment", version: "1" }]);
		t.ok(shown.trace.length >= 2);
	});

	await t.test("trace finds a request by its request id, and by the client's own trace id", async (t) => {
		const text = await traceOf((await inArm("copy")).id, "weir-predictor", "weir-envoy");
		for (const word of ["same-model", "employment", "v2", "copy"]) t.match(text, word);
		t.notMatch(text, "person-", "no raw unit id");
		const traceId = "0af7651916cd43dd8448eb211c80319c";
		await infer({ traceparent: `00-${traceId}-b7ad6b7169203331-01` });
		t.match(await traceOf(traceId, "weir-predictor", "weir-envoy"), traceId);
		t.match(await weir(["trace", "f".repeat(32), "--api", up.ready.api]), { code: 1, stderr: /no recent span/ });
	});

	await t.test("trace shows the sidecar's span of a Service that it assigns", async (t) => {
		const { headers } = await answerOf({ port: new URL(gateways.edge).port, headers: { host: "shop.test" } });
		const cookie = /weir_id=([^;]+)/.exec(String(headers["set-cookie"]))?.[1] ?? "";
		t.match(cookie, /^[\w-]{22}$/, "it was minted");
		const text = await traceOf(String(headers["x-request-id"]), "weir-sidecar", "weir-envoy");
		t.match(text, /weir-sidecar: weir\.decision/);
		t.match(text, /arm=layout\/(control|new)/);
		t.notMatch(text, cookie, "no unit in it");
		const { text: metrics } = await askApi(up.ready.api, "/metrics");
		t.match(metrics, /weir_sidecar_answers_total\{[^}]*service="shop"[^}]*\} [1-9]/, "its series are on /metrics");
		t.match(metrics, /role="sidecar"/);
	});

	await t.test("why shows a request outside of the slot, and one without a unit", async (t) => {
		const rest = await why((await inArm("-")).id);
		t.match(rest.page, /^arm +not live → Variant v1$/m);
		t.match(rest.shown.decision, { sequence: 1 });
		const { id, status } = await infer({});
		t.equal(status, 200);
		const unassigned = await why(id);
		t.match(unassigned.page, /^unit +none in header x-user-id: unassigned, default Variant v1$/m);
		t.notMatch(unassigned.page, /^decision/m);
		t.equal(unassigned.shown.decision, null);
	});

	/** GET / of the guarded Service with a client certificate. */
	const guarded = async (name: string): Promise<{ readonly id: string; readonly status: number | undefined }> => {
		const { certificate: cert, privateKey: key } = await tls.ca.issue({ spiffeId: spiffe(name) });
		const sent = request({
			...{ host: "127.0.0.1", port: new URL(gateways.secure).port, servername: "gateway.test", path: "/" },
			...{ ca: tls.ca.certificate, cert, key, headers: { host: "localhost" }, agent: false },
		}).end();
		const [response] = (await once(sent, "response")) as [IncomingMessage];
		response.resume();
		return { id: String(response.headers["x-request-id"]), status: response.statusCode };
	};

	await t.test("why shows an allowed request and a denied one", async (t) => {
		const allowed = await why((await guarded("batch")).id);
		t.match(allowed.page, /^identity +spiffe:\/\/weir\.test\/batch$/m);
		t.match(allowed.page, /^access +allowed: allowed by AccessPolicy batch-only; by envoy$/m);
		const { id, status } = await guarded("mallory");
		t.equal(status, 403);
		const { page } = await why(id);
		t.match(page, /^identity +spiffe:\/\/weir\.test\/mallory$/m);
		t.match(page, /^access +denied: no-policy-allows; by envoy$/m);
		t.match(page, /^unit +none needed/m);
		t.match(page, /^sent to +no Variant$/m);
		t.match(page, /^answer +403 \(rbac_access_denied_matched_policy\[none\]\)/m);
		t.match(page, /^model +not known/m);
	});

	await t.test("why shows the decision that was live at the time of the request", async (t) => {
		const before = await inArm("copy");
		t.equal((await weir(["abort", "same-model", "--api", up.ready.api])).code, 0);
		t.match((await why(before.id)).shown.decision, { action: "start", isPlans: true });
	});

	await t.test("after a restart why shows the access record log's records of a denied request", async (t) => {
		const { id } = await guarded("mallory");
		await why(id);
		const other = await guarded("batch");
		await why(other.id);
		t.equal(await up.stop(), 0);
		up = await weirUp(file, `${directory}/data`, ["--trace-sampling", "100"]);
		const { stdout } = await weir(["audit", "requests", "--request", id, "--json", "--api", up.ready.api]);
		const records = stdout.toString().trim().split("\n");
		t.equal(records.length, 1, "of that request alone");
		t.match(JSON.parse(records[0] ?? ""), { kind: "denied", requestId: id, reason: "no-policy-allows" });
		const { page, shown } = await why(id, /^note/m);
		t.match(page, /^note +its access-log entry is no longer at hand: the rest is of the access record log$/m);
		t.match(page, /^asked +GET \/$/m);
		t.match(page, /^identity +spiffe:\/\/weir\.test\/mallory$/m);
		t.match(page, /^rule +Service guarded, plan [0-9a-f]{16}$/m);
		t.match(page, /^access +denied: no-policy-allows; by envoy$/m);
		t.match(shown.records, [{ requestId: id, reason: "no-policy-allows" }]);
		const allowed = await why(other.id, /^note/m);
		t.match(allowed.page, /identity, path and verdict are gone, and the access record log has no record of it$/m);
	});

	await t.test("why reports an unknown request", async (t) => {
		const { code, stdout, stderr } = await weir(["why", "no-such-request", "--api", up.ready.api]);
		t.equal(code, 1);
		t.equal(stdout.toString(), "");
		t.match(stderr, /no request is known by that id; it is the x-request-id.*weir audit requests --request/);
	});
});
