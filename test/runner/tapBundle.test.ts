/** Tap as one file prints what the installed tap prints, and is built once. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { bundleTap } from "./tapBundle.js";
import { COMPILED } from "./tiers.js";

const TEST = `import t from "tap";
t.test("two", async (t) => {
	t.equal(1, 2, "not equal");
	t.match({ a: new Map([[1, "x"]]) }, { a: /y/ });
	t.throws(() => { throw new RangeError("far"); }, { name: "RangeError", message: "near" });
	t.rejects(Promise.resolve(1));
});
t.skip("left out");
`;

t.test("tap in one file prints what the installed one prints", { timeout: 60_000 }, async (t) => {
	// Below the repository, so that what tap leaves out of itself is found.
	const folder = await mkdtemp(join(COMPILED, "../tap-"));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const printed = async (dist: string): Promise<string> => {
		await mkdir(join(dist, "test"), { recursive: true });
		await writeFile(join(dist, "test/x.js"), TEST);
		// Fails, as it is to.
		const { stdout } = await new Promise<{ stdout: string }>((resolve) =>
			execFile(process.execPath, ["test/x.js"], { cwd: dist }, (_, stdout) => resolve({ stdout })),
		);
		return stdout.replace(/time=[\d.]+ms/g, "time");
	};
	const [one, installed] = [join(folder, "one"), join(folder, "installed")];
	await bundleTap(one);
	await mkdir(join(installed, "node_modules"), { recursive: true });
	await symlink(join(COMPILED, "../../node_modules/tap"), join(installed, "node_modules/tap"));
	const text = await printed(one);
	t.match(text, /not ok 1 - not equal[\s\S]*x\.js[\s\S]*not ok 1 - two/);
	t.equal(text, await printed(installed));

	const main = join(one, "node_modules/tap/node_modules/@tapjs/tap.js");
	const { ino } = await stat(main);
	await bundleTap(one);
	t.equal((await stat(main)).ino, ino, "once");
});
