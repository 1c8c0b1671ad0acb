/** Test files of the fast tier that are about several Envoys, on the older ones. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import t from "tap";
import { OLDER_ENVOYS } from "../envoy/tierVersions.js";
import { COMPILED, fastFiles } from "../runner/tiers.js";

t.setTimeout(1_800_000);

const files = (await fastFiles()).filter((file) => readFileSync(file, "utf8").includes("/envoy/tierVersions.js"));
t.ok(files.length > 10);

for (const file of files)
	t.test(relative(COMPILED, file), { timeout: 600_000 }, async (t) => {
		const env = { ...process.env, [OLDER_ENVOYS]: "1" };
		const output = await new Promise<string | null>((resolve) =>
			execFile(process.execPath, [join(COMPILED, "runner/main.js"), "--jobs=1", file], { env }, (error, stdout) =>
				resolve(error === null ? null : stdout),
			),
		);
		t.equal(output, null);
	});
