import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { openEventStore } from "../../../../src/observe/events/store/store.js";
import { spawnIngest } from "../child.js";
import { httpCall } from "../rig.js";

const ROUNDS = 4;
const CALLERS = 8;

t.test("an acknowledged outcome survives kill -9 at any moment, and is there once", async (t) => {
	const directory = mkdtempSync(join(tmpdir(), "weir-crash-"));
	t.teardown(() => rmSync(directory, { recursive: true, force: true }));
	const acknowledged = new Set<number>();
	let next = 0;
	for (let round = 0; round < ROUNDS; round++) {
		const child = await spawnIngest(directory);
		const exited = once(child, "exit");
		const goal = acknowledged.size + 150 + round * 97;
		const call = async (): Promise<void> => {
			for (;;) {
				const value = next++;
				const body = JSON.stringify({ metric: "revenue", value, unit: `u${value}` });
				const headers = { "idempotency-key": `key-${value}` };
				const answer = await httpCall(join(directory, "http.sock"), "POST", "/v1/outcomes", body, headers).catch(
					() => null,
				);
				if (answer === null) return;
				if (answer.status === 200) acknowledged.add(value);
				// Some moment in the middle of the others' requests and commits.
				if (acknowledged.size === goal) child.kill("SIGKILL");
			}
		};
		await Promise.all(Array.from({ length: CALLERS }, call));
		await exited;
	}
	const store = await openEventStore(join(directory, "data"));
	t.teardown(() => store.close());
	const rows = await store.analysis.transaction((transaction) => transaction.rows("SELECT value FROM outcomes"));
	const kept = rows.map(({ value }) => Number(value));
	t.ok(acknowledged.size >= 1_000, `${acknowledged.size} acknowledged`);
	t.same(
		[...acknowledged].filter((value) => !kept.includes(value)),
		[],
		"none is missing",
	);
	t.equal(new Set(kept).size, kept.length, "none is there twice");
});
