/**
 * `node dist/test/runner/main.js [--jobs=N] [--timeout=SECONDS] [FOLDER or FILE…]`: runs compiled test files. Those of a folder that
 * start nothing share a process; each other file has its own. Folders are those of test; without any, the fast tier: all but long,
 * components and bench. The longest start first (order.ts). A file that failed runs once more, alone, after all others have ended: if it
 * passes then, it is flaky and counts as passed. Prints the whole output of each failed run, and of the run in which a flaky file passed;
 * with one job what tests say of their progress; and last the line `# { total: N, pass: N, fail: N }`. Exit code 1 if a file failed, or
 * if there was nothing to run. `--slowest` runs nothing: it writes the committed list of slow files from the durations kept here.
 */
import { availableParallelism } from "node:os";
import { relative } from "node:path";
import { parseArgs } from "node:util";
import { freshBundle } from "./bundle.js";
import { grouped } from "./groups.js";
import { KEPT, keepSeconds, knownSeconds, longestFirst, writeSlowest } from "./order.js";
import { bundleTap } from "./tapBundle.js";
import { type Finished, runTestFiles } from "./testFile.js";
import { COMPILED, fastFiles, fastTierLine, filesIn } from "./tiers.js";

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		// Tests wait for sockets, disks and clocks about half of their time.
		jobs: { type: "string", default: String(availableParallelism() + 2) },
		timeout: { type: "string", default: "240" },
		slowest: { type: "boolean", default: false },
		// Tests of the runner have a file of their own.
		durations: { type: "string", default: KEPT },
	},
});

const print = (text: string): void => void process.stdout.write(`${text}\n`);

const nameOf = (file: string): string => relative(COMPILED, file);

/** @param result what the run means for the file */
function report(
	result: "ok" | "not ok" | "flaky" | "again",
	{ file, seconds, fault, skipped, output }: Finished,
): void {
	if (result !== "ok") print(output.trimEnd());
	print(`${result} ${nameOf(file)} ${seconds.toFixed(1)} s${fault === null ? "" : `: ${fault}`}`);
	for (const what of skipped) print(`   ${what}`);
}

/** @throws Error with what to write instead */
const filesOf = async (places: readonly string[]): Promise<readonly string[]> =>
	places.length > 0 ? (await Promise.all(places.map(filesIn))).flat() : fastFiles();

const asked = await filesOf(positionals).catch((error: Error) => {
	process.stderr.write(`${error.message}\n`);
	process.exit(1);
});
if (values.slowest) {
	const names = new Set((await fastFiles()).map(nameOf));
	await writeSlowest((name) => names.has(name), values.durations);
	process.exit();
}
const [bundled] = await Promise.all([freshBundle(), bundleTap()]);
if (bundled !== null) process.env.WEIR_MAIN ??= bundled;

const files = [...new Set(asked)].sort();
const waiting = [...longestFirst(grouped(files), await knownSeconds(values.durations), nameOf)];
const again: Finished[] = [];
const flaky: Finished[] = [];
const failed: Finished[] = [];
const measured: Record<string, number> = {};
const startMs = performance.now();

const stopped = new AbortController();
// The files' groups are not the terminal's: what ends the runner must be handed on.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
	process.once(signal, () => {
		stopped.abort();
		process.kill(process.pid, signal);
	});
}

function finish(run: Finished): void {
	report(run.fault === null ? "ok" : "again", run);
	if (run.fault !== null) again.push(run);
	else measured[nameOf(run.file)] = Number(run.seconds.toFixed(1));
}

/** @param first the run that failed */
async function runAgain(first: Finished): Promise<void> {
	await runTestFiles([first.file], options, (run) => {
		report(run.fault === null ? "flaky" : "not ok", run);
		if (run.fault === null) flaky.push(first);
		else failed.push(run);
	});
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
for (const run of again) await runAgain(run);
// The order of starts is no reason to fail.
await keepSeconds(measured, values.durations).catch(() => {});
for (const { file, fault } of flaky) print(`FLAKY ${nameOf(file)}: ${fault}, then passed alone`);
for (const { file, fault } of failed) print(`FAILED ${nameOf(file)}: ${fault}`);
const [first] = failed;
if (first !== undefined)
	print(`# with lines of the source: node --enable-source-maps ${relative(process.cwd(), first.file)}`);
const seconds = Math.round((performance.now() - startMs) / 1_000);
print(`# ${seconds} s, ${values.jobs} processes at once`);
if (positionals.length === 0) print(fastTierLine(seconds));
print(`# flaky: ${flaky.length}`);
print(`# { total: ${files.length}, pass: ${files.length - failed.length}, fail: ${failed.length} }`);
process.exitCode = failed.length > 0 || files.length === 0 ? 1 : 0;
