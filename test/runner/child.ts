/**
 * `node child.js FILE…`: runs test files in this process, one after the other. A file ends when the event loop is empty, as it would
 * in a process of its own; a line then says with which exit code, except for the last file, which ends the process.
 */
import { pathToFileURL } from "node:url";
import * as tap from "tap";

const TIMEOUT_MS = Number(process.env.TAP_TIMEOUT) * 1_000;
/** A file that is done, but left a server or a timer open for so long, ends the process. */
const OPEN_MS = TIMEOUT_MS / 8;

const { setRoot, Test } = tap as typeof tap & { setRoot(root: tap.Test): void };
// Exceptions of a file's root test are caught like those of its subtests.
tap.default.setTimeout(0);
// One stream, so that what a file prints comes before the line that ends it.
process.stderr.write = process.stdout.write.bind(process.stdout) as typeof process.stderr.write;

const files = process.argv.splice(2);
const environment = (): string => JSON.stringify([process.cwd(), process.env]);
const started = environment();
let root: tap.Test;
let imported: boolean;
let open: NodeJS.Timeout | undefined;
let done = false;

function start(file: string): void {
	// Tap names folders of fixtures by it.
	process.argv[1] = file;
	imported = false;
	const options: tap.TestOpts = { name: file, timeout: TIMEOUT_MS };
	root = new Test(options);
	root.pipe(process.stdout, { end: false });
	root.runMain(() => {});
	root.on("complete", () => {
		open = setTimeout(() => leave(`left open: ${process.getActiveResourcesInfo().join(", ")}`), OPEN_MS).unref();
	});
	setRoot(root);
	root.hook.runInAsyncScope(load, null, file, root);
}

async function load(file: string, test: tap.Test): Promise<void> {
	try {
		await import(pathToFileURL(file).href);
	} catch (error) {
		test.threw(error);
	}
	imported = true;
	test.end();
}

/** The files after this one get a new process. */
function leave(fault: string): void {
	console.log(`# ${fault}`);
	process.exit(1);
}

function endRoot(): void {
	if (root.results === undefined) root.endAll();
	if (root.results?.ok !== true) process.exitCode = process.exitCode || 1;
}

process.on("beforeExit", () => {
	if (!imported) root.threw(new Error("the import of the file does not end"));
	endRoot();
	if (environment() !== started) leave("left another environment or working directory");
	clearTimeout(open);
	const next = files.shift();
	if (next === undefined) {
		done = true;
		return;
	}
	console.log(`\n# ended with ${process.exitCode ?? 0}`);
	process.exitCode = undefined;
	start(next);
});
process.on("exit", () => {
	if (done) return;
	endRoot();
	// No file ends the process, not even with 0.
	process.exitCode = process.exitCode || 1;
});

start(files.shift() as string);
