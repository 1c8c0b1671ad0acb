/** The decisions that moved live traffic up to a time: the cause of a request's allocation. */
import t from "tap";
import type { ExperimentStatus } from "../../../src/decide/rollout/status.js";
import { startApi } from "../../../src/operate/api/api.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import { Store, TRAFFIC_CHANGES_SEARCHED } from "../../../src/operate/state/store/store.js";
import { ALL, file, outcome, temporaryDirectory } from "../employment.js";

t.test("moves are newest first, without later decisions and decisions that moved nothing", async (t) => {
	const directory = temporaryDirectory(t);
	const store = new Store(`${directory}/state`);
	const api = await startApi({
		store,
		insecureLoopback: { address: "127.0.0.1", port: 0 },
		socket: `${directory}/run/api.sock`,
	});
	t.teardown(async () => {
		await api.close();
		await store.close();
	});
	const client = new ApiClient(api.url);
	store.apply(file(ALL), { by: "ada", dryRun: false, nowMs: 1_000 });
	const decide = async (change: Partial<ExperimentStatus>, atMs: number): Promise<void> => {
		const status = store.current.status.experiments.boosted;
		if (status === undefined) throw new Error("no status");
		await store.decide({
			experiment: "boosted",
			expectedRevision: store.current.revision,
			by: "weir",
			atMs,
			input: null,
			outcome: outcome({ ...status, ...change }),
		});
	};
	await decide({ stepIndex: 1, allocationPpm: 100_000 }, 2_000);
	await decide({ thresholds: { latency: { thresholdMs: 5, frozenAtMs: 2_500, sampleSize: 9 } } }, 2_500);
	await decide({ stepIndex: 2, allocationPpm: 500_000 }, 3_000);
	const moves = async (beforeMs: number) =>
		(await client.moves("boosted", beforeMs)).map(({ sequence, outcome: { status } }) => [
			sequence,
			status.allocationPpm,
		]);
	t.same(await moves(10_000), [
		[4, 500_000],
		[2, 100_000],
		[1, 20_000],
	]);
	t.same((await moves(3_000)).length, 3);
	t.same(await moves(2_999.9), [
		[2, 100_000],
		[1, 20_000],
	]);
	t.same(await moves(999), []);
	const shares = { ppm: { boosted: 250_000 }, firstMovedAtMs: 3_100, movedAtMs: 3_100 };
	await decide({ shares }, 3_100);
	await decide({ shares: { ...shares, movedAtMs: 3_200 } }, 3_200);
	t.same(
		(await moves(10_000)).map(([sequence]) => sequence),
		[5, 4, 2, 1],
		"a bandit's shares move traffic",
	);
	t.same(await client.moves("unknown", 10_000), []);
	for (let index = 0; index < TRAFFIC_CHANGES_SEARCHED; index++) {
		await decide({ allocationPpm: 500_001 + index }, 4_000 + index);
	}
	t.equal((await moves(10_000)).length, TRAFFIC_CHANGES_SEARCHED, "a page of them");
	await t.rejects(
		(async () => {
			const response = await fetch(`${api.url}/v1/experiments/boosted/moves?before=then`);
			if (!response.ok) throw new Error(await response.text());
		})(),
		/'before' is not valid/,
	);
});
