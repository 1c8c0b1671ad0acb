/**
 * Test files run in a process by bare Node (child.ts). Promises that silence is no pass: a file has passed only if it ended
 * by itself with exit code 0 after the closing plan (`1..N`) of its TAP output. A file that ends the process fails, and
 * the files after it get a new process.
 *
 * Each process has a process group, which ends with it: a server or an Envoy that a file left behind, because it
 * was killed or forgot it, would take the machine's time from all later ones.
 *
 * Without source maps: to read some hundred of them took each file 0.1 to 0.2 s of CPU. main.ts says how to have them.
 *
 * Not by tap's runner, whose loader hooks in every process, also in those that tests start, took more CPU for most
 * files than the tests in them: 0.5 to 1 s for each file. The tests themselves are tap's.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface Finished {
	readonly file: string;
	readonly seconds: number;
	/** null = passed; otherwise why not, in a few words. */
	readonly fault: string | null;
	/** Names of tests that were skipped or are still to be done, as TAP says it. */
	readonly skipped: readonly string[];
	/** Standard output and error as they came. */
	readonly output: string;
}

/** What a file started in other groups must not hold the others up: its pipes are given up so long after its end. */
const PIPES_MS = 2_000;

/** Of a test, and not tap's own: those name a subtest, or count and time what is done. */
const COMMENT = /^\s+# (?!Subtest: |\{ total: |time=)(.*)$/;

const CHILD = join(import.meta.dirname, "child.js");

/** What child.ts prints between two files. */
const ENDED = /^# ended with (\d+)$/;

interface Options {
	/**
	 * Of a file that sets none itself: tap ends it then and says where it was. A process that does not end by itself, for
	 * it does not come to its own timers, is killed after twice this.
	 */
	readonly timeoutSeconds: number;
	/** Kills the process at once. */
	readonly stopped?: AbortSignal;
	/** Gets what tests print by `t.comment`, line by line. */
	readonly onComment?: ((line: string) => void) | undefined;
}

/** Runs the files one after the other. */
export async function runTestFiles(
	files: readonly string[],
	options: Options,
	onFinished: (finished: Finished) => void,
): Promise<void> {
	let left = files.length;
	const finished = (file: Finished): void => {
		left--;
		onFinished(file);
	};
	while (left > 0) await runProcess(files.slice(-left), options, finished);
}

/** Reports at least the first of the files. */
async function runProcess(
	[file = "", ...later]: readonly string[],
	{ timeoutSeconds, stopped, onComment }: Options,
	onFinished: (finished: Finished) => void,
): Promise<void> {
	const child = spawn(process.execPath, [CHILD, file, ...later], {
		stdio: ["ignore", "pipe", "pipe"],
		env: { ...process.env, TAP_TIMEOUT: String(timeoutSeconds) },
		detached: true,
	});
	const killGroup = (): void => {
		try {
			if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
		} catch {
			// The process group is gone.
		}
	};
	stopped?.addEventListener("abort", killGroup);
	let killed = false;
	const kill = setTimeout(() => {
		killed = true;
		killGroup();
	}, 2_000 * timeoutSeconds);

	let startMs = performance.now();
	let output = "";
	const finish = (fault: string | null): void => {
		const seconds = (performance.now() - startMs) / 1_000;
		const skipped = [...output.matchAll(/^\s*(?:not )?ok \d+ -? ?(.* # (?:SKIP|TODO).*)$/gim)];
		onFinished({ file, seconds, fault, skipped: skipped.map(([, name = ""]) => name), output });
	};
	child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
	createInterface(child.stdout).on("line", (line) => {
		const code = ENDED.exec(line)?.[1];
		if (code === undefined) {
			output += `${line}\n`;
			const comment = COMMENT.exec(line)?.[1];
			if (comment !== undefined) onComment?.(comment);
			return;
		}
		finish(faultOf(output, Number(code), null));
		file = later.shift() ?? "";
		startMs = performance.now();
		output = "";
		kill.refresh();
	});

	const closed = once(child, "close");
	const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
	clearTimeout(kill);
	killGroup();
	stopped?.removeEventListener("abort", killGroup);
	const giveUp = setTimeout(() => {
		child.stdout.destroy();
		child.stderr.destroy();
	}, PIPES_MS);
	await closed;
	clearTimeout(giveUp);
	finish(killed ? "did not end in time" : faultOf(output, code, signal));
}

function faultOf(text: string, code: number | null, signal: NodeJS.Signals | null): string | null {
	if (signal !== null) return `ended by ${signal}`;
	if (code !== 0) return `exit code ${code}`;
	return /^1\.\.\d+/m.test(text) ? null : "ended before its plan";
}
