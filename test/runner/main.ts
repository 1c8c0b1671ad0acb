/**
 * `node dist/test/runner/main.js [--jobs=N] [--timeout=SECONDS] [FOLDER or FILE…]`: runs compiled test files. Those of a folder that
 * start nothing share a process; each other file has its own. Folders are those of test; without any, the fast tier: all but long,
 * components and bench. Prints the whole output of a file that failed, with one job what tests say of their progress, and last the
 * line `# { total: N, pass: N, fail: N }`; exit code 1 if one failed, or if there was nothing to run.
 */
import { availableParallelism } from "node:os";
import { relative } from "node:path";
import { parseArgs } from "node:util";
import { freshBundle } from "./bundle.js";
import { grouped } from "./groups.js";
import { bundleTap } from "./tapBundle.js";
import { type Finished, runTestFiles } from "./testFile.js";
import { COMPILED, fastFiles, fastTierLine, filesIn } from "./tiers.js";

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		// Tests wait for sockets, disks and clocks about half of their time.
		jobs: { type: "string", default: String(availableParallelism() + 2) },
		timeout: { type: "string", default: "240" },
	},
});

const print = (text: string): void => void process.stdout.write(`${text}\n`);

function report({ file, seconds, fault, skipped, output }: Finished): void {
	const name = relative(COMPILED, file);
	if (fault !== null) print(output.trimEnd());
	print(`${fault === null ? "ok" : "not ok"} ${name} ${seconds.toFixed(1)} s${fault === null ? "" : `: ${fault}`}`);
	for (const what of skipped) print(`   ${what}`);
}

/** @throws Error with what to write instead */
const filesOf = async (places: readonly string[]): Promise<readonly string[]> =>
	places.length > 0 ? (await Promise.all(places.map(filesIn))).flat() : fastFiles();

const asked = await filesOf(positionals).catch((error: Error) => {
	process.stderr.write(`${error.message}\n`);
	process.exit(1);
});
const [bundled] = await Promise.all([freshBundle(), bundleTap()]);
if (bundled !== null) process.env.WEIR_MAIN ??= bundled;

const files = [...new Set(asked)].sort();
const waiting = [...grouped(files)];
const failed: Finished[] = [];
const startMs = performance.now();

const stopped = new AbortController();
// The files' groups are not the terminal's: what ends the runner must be handed on.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
	process.once(signal, () => {
		stopped.abort();
		process.kill(process.pid, signal);
	});
}

function finish(file: Finished): void {
	report(file);
	if (file.fault !== null) failed.push(file);
}

const options = {
	timeoutSeconds: Number(values.timeout),
	stopped: stopped.signal,
	// Long files are run one at a time.
	onComment: values.jobs === "1" ? (line: string) => print(`   ${line}`) : undefined,
};

async function work(): Promise<void> {
	for (let group = waiting.shift(); group !== undefined; group = waiting.shift()) {
		await runTestFiles(group, options, finish);
	}
}

await Promise.all(Array.from({ length: Number(values.jobs) }, work));
for (const { file, fault } of failed) print(`FAILED ${relative(COMPILED, file)}: ${fault}`);
const [first] = failed;
if (first !== undefined)
	print(`# with lines of the source: node --enable-source-maps ${relative(process.cwd(), first.file)}`);
const seconds = Math.round((performance.now() - startMs) / 1_000);
print(`# ${seconds} s, ${values.jobs} processes at once`);
if (positionals.length === 0) print(fastTierLine(seconds));
print(`# { total: ${files.length}, pass: ${files.length - failed.length}, fail: ${failed.length} }`);
process.exitCode = failed.length > 0 || files.length === 0 ? 1 : 0;
