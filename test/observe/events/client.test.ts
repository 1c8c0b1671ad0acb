import { mkdtempSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { BETS, BETS_NAME } from "../../../src/infer/statistics/statistics/logCapital.js";
import { ingestClient } from "../../../src/observe/events/client.js";
import { metric, query, startRig, unitsOf } from "./rig.js";

t.test("the client answers what the owner answers", async (t) => {
	const rig = await startRig({ metricsJson: async () => [{ name: "weir" }] });
	t.teardown(() => rig.close());
	const client = ingestClient(rig.httpSocket);
	const units = unitsOf("control", 5);
	await rig.send(
		units.flatMap((unit, index) => [
			{ kind: "start", unit, requestId: `r${index}`, startMs: rig.nowMs },
			{ kind: "end", unit, requestId: `r${index}`, startMs: rig.nowMs },
		]),
	);
	rig.nowMs += 5_000;
	const asked = query(
		metric("errors"),
		metric("p99", { threshold: { thresholdMs: 1.5, baseline: { arm: "control", thresholdMs: 1.5 }, frozenAtMs: 0 } }),
	);
	const evidence = await client.evidence(asked);
	t.match(evidence.arms[1], { arm: "control", metrics: { errors: { n: 5, mean: 0 }, p99: { n: 5, mean: 1 } } });
	t.same(evidence, await rig.ingest.evidence.evidence(asked));
	const quantile = { experiment: "models", service: "shop", quantile: 0.99, sinceMs: 0, untilMs: rig.nowMs };
	t.same(await client.baselineQuantile(quantile), { valueMs: 5, requests: 5, units: 5 });
	t.equal(await client.baselineQuantile({ ...quantile, service: "other" }), null);
	t.same(await client.metricsJson(), [{ name: "weir" }]);
	await t.rejects(client.evidence({ ...asked, experiment: "" }), { code: "invalid-argument", message: /experiment/ });
	const ranged = query(metric("errors", { range: { lo: 0, hi: 4 } }));
	t.same(await client.evidence(ranged), await rig.ingest.evidence.evidence(ranged), "log-capital comes whole");
	// No request failed, so bets on more errors earned nothing.
	t.match((await client.evidence(ranged)).arms[1]?.metrics.errors?.capital, {
		bets: BETS_NAME,
		n: 5,
		up: BETS.map(() => 0),
	});
	await t.rejects(client.evidence(query(metric("revenue", { range: { lo: 5, hi: 5 } }))), {
		code: "invalid-argument",
		message: /range/,
	});
	await t.rejects(client.evidence({ ...asked, more: 1 } as never), { code: "invalid-argument", message: /more/ });
	await t.rejects(client.baselineQuantile({ ...quantile, quantile: 1 }), { code: "invalid-argument" });
});

t.test("a dead owner is unavailable, a silent one exceeds the deadline", async (t) => {
	const directory = mkdtempSync(join(tmpdir(), "weir-client-"));
	await t.rejects(ingestClient(join(directory, "none.sock")).evidence(query()), {
		name: "WeirError",
		code: "unavailable",
	});
	const path = join(directory, "silent.sock");
	const server = createServer(() => undefined);
	await new Promise<void>((resolve) => server.listen(path, resolve));
	t.teardown(() => server.close());
	await t.rejects(ingestClient(path, 100).evidence(query()), { code: "deadline-exceeded" });
});

t.test("an unknown error code counts as unavailable", async (t) => {
	const path = join(mkdtempSync(join(tmpdir(), "weir-client-")), "other.sock");
	const server = createHttpServer((request, response) => {
		request.resume();
		response.writeHead(500).end(JSON.stringify({ error: { code: "constructor", message: "another" } }));
	});
	await new Promise<void>((resolve) => server.listen(path, resolve));
	t.teardown(() => server.close());
	await t.rejects(ingestClient(path).evidence(query()), { code: "unavailable", message: "another" });
});

t.test("a socket with a live server is not replaced; a dead one is", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	await t.rejects(startRig({ httpSocket: rig.httpSocket }), { code: "already-exists" });
	await t.rejects(startRig({ accessLogSocket: rig.accessLogSocket }), { code: "already-exists" });
});
