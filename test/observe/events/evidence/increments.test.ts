import t from "tap";
import { runHistory } from "./increments.js";

t.test("evidence by increments equals a full recount, for any order of entries", async (t) => {
	const wrong: string[] = [];
	let checks = 0;
	// test/long/increments.test.ts has many more.
	await runHistory(1, 14, (found, wanted, what) => {
		checks++;
		if (JSON.stringify(found) !== JSON.stringify(wanted))
			wrong.push(`${what}: ${String(found)}, not ${String(wanted)}`);
	});
	t.same(wrong.slice(0, 5), []);
	t.ok(checks > 350, `${checks} checks`);
});
