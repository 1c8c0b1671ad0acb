/** Only files that start nothing share a process. */
import { join } from "node:path";
import t from "tap";
import { grouped } from "./groups.js";

t.test("what a file imports by others counts, also where it is imported later", async (t) => {
	const root = t.testdir({
		"helper.js": `export { spawn } from "node:child_process";`,
		"later.js": `export const helper = () => import("./helper.js");`,
		one: {
			"a.test.js": "",
			"b.test.js": `import { helper } from "../later.js";`,
			"c.test.js": `// as import "./missing.js" does\nimport "node:fs";`,
			"d.test.js": `import {\n\tWorker,\n} from "node:worker_threads";`,
		},
		two: { "a.test.js": `import "../one/a.test.js";` },
	});
	const at = (name: string): string => join(root, `${name}.test.js`);
	t.same(grouped(["one/a", "one/b", "one/c", "one/d", "two/a"].map(at)), [
		[at("one/a"), at("one/c")],
		[at("one/b")],
		[at("one/d")],
		[at("two/a")],
	]);
});
