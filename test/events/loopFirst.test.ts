/** The loop's questions for evidence go before those of readers, and those of whom nobody waits for are not asked. */
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { EVIDENCE_PATHS, ingestClient } from "../../src/events/client.js";
import { type Doors, serveSocket } from "../../src/events/server.js";
import { EVIDENCE_TIMEOUT_MS } from "../../src/limits.js";
import { NOTHING_BESIDE } from "../rollout/example.js";
import { temporaryDirectory } from "../state/employment.js";
import { query } from "./rig.js";

/** Ingest's door, whose evidence ends when the test says so. */
async function started(t: { teardown(end: () => unknown): unknown }) {
	const path = join(temporaryDirectory(t), "http.sock");
	const begun: string[] = [];
	const ends: (() => void)[] = [];
	const evidence: Doors["evidence"] = {
		baselineQuantile: async () => null,
		evidence: async ({ experiment }) => {
			begun.push(experiment);
			await new Promise<void>((resolve) => ends.push(resolve));
			return { experiment, asOfMs: 1, arms: [], exposures: [], ...NOTHING_BESIDE };
		},
	};
	const doors = { evidence, metricsJson: null, log: { error: () => undefined } } as unknown as Doors;
	const door = await serveSocket(path, doors);
	t.teardown(() => door.close());
	const [loop, readers] = (["loop", "readers"] as const).map((who) => {
		const client = ingestClient(path, EVIDENCE_TIMEOUT_MS, who);
		return async (experiment: string) => (await client.evidence({ ...query(), experiment })).experiment;
	});
	if (loop === undefined || readers === undefined) throw new Error("no client");
	const end = async (): Promise<void> => {
		ends.shift()?.();
		await pause(50);
	};
	return { path, begun, loop, readers, end };
}

t.test("a reader's waits for the loop's, and the loop's for one reader's at most", async (t) => {
	const { begun, loop, readers, end } = await started(t);
	const answers = [loop("l1")];
	await pause(50);
	answers.push(readers("r1"), readers("r2"));
	await pause(50);
	t.same(begun, ["l1"]);
	answers.push(loop("l2"));
	await pause(50);
	t.same(begun, ["l1", "l2"], "the loop's own are not kept apart here");
	await end();
	t.same(begun, ["l1", "l2"]);
	await end();
	t.same(begun, ["l1", "l2", "r1"]);
	answers.push(loop("l3"));
	await pause(50);
	t.same(begun, ["l1", "l2", "r1", "l3"]);
	await end();
	t.same(begun, ["l1", "l2", "r1", "l3"], "the other reader's waits for the loop's again");
	await end();
	t.same(begun, ["l1", "l2", "r1", "l3", "r2"]);
	await end();
	t.same(await Promise.all(answers), ["l1", "r1", "r2", "l2", "l3"]);
});

t.test("a reader who has gone is not asked for", async (t) => {
	const { path, begun, loop, readers, end } = await started(t);
	const first = loop("l1");
	await pause(50);
	const gone = request({ socketPath: path, method: "POST", path: EVIDENCE_PATHS.readers });
	gone.on("error", () => undefined).end(JSON.stringify({ ...query(), experiment: "gone" }));
	await pause(50);
	const other = readers("r1");
	gone.destroy();
	await pause(50);
	await end();
	t.same(begun, ["l1", "r1"]);
	await end();
	t.same(await Promise.all([first, other]), ["l1", "r1"]);
});
