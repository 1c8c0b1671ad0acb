/**
 * One test file run as a process of its own by bare Node. Promises that silence is no pass: a file has passed only if
 * it ended by itself with exit code 0 after the closing plan (`1..N`) of its TAP output.
 *
 * Each file has a process group of its own, which ends with it: a server or an Envoy that a file left behind, because it
 * was killed or forgot it, would take the machine's time from all later ones.
 *
 * Without source maps: to read some hundred of them took each file 0.1 to 0.2 s of CPU. main.ts says how to have them.
 *
 * Not by tap's runner, whose loader hooks in every process, also in those that tests start, took more CPU for most
 * files than the tests in them: 0.5 to 1 s for each file. The tests themselves are tap's.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
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

/**
 * @param timeoutSeconds of a file that sets none itself: tap ends it then and says where it was. A process that does
 *   not end by itself, for it does not come to its own timers, is killed after twice this
 * @param stopped kills it at once
 * @param told what its tests say (`t.comment`), line by line, as they say it
 */
export async function runTestFile(
	file: string,
	timeoutSeconds: number,
	stopped?: AbortSignal,
	told?: (line: string) => void,
): Promise<Finished> {
	const startMs = performance.now();
	const child = spawn(process.execPath, [file], {
		stdio: ["ignore", "pipe", "pipe"],
		env: { ...process.env, TAP_TIMEOUT: String(timeoutSeconds) },
		detached: true,
	});
	const killGroup = (): void => {
		try {
			if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
		} catch {
			// Nobody of it is left.
		}
	};
	stopped?.addEventListener("abort", killGroup);
	const output: string[] = [];
	for (const stream of [child.stdout, child.stderr]) {
		stream.setEncoding("utf8").on("data", (text: string) => output.push(text));
	}
	if (told !== undefined) {
		createInterface(child.stdout).on("line", (line) => {
			const said = COMMENT.exec(line)?.[1];
			if (said !== undefined) told(said);
		});
	}
	let killed = false;
	const kill = setTimeout(() => {
		killed = true;
		killGroup();
	}, 2_000 * timeoutSeconds);
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
	const text = output.join("");
	return {
		file,
		seconds: (performance.now() - startMs) / 1_000,
		fault: killed ? "did not end in time" : faultOf(text, code, signal),
		skipped: [...text.matchAll(/^\s*(?:not )?ok \d+ -? ?(.* # (?:SKIP|TODO).*)$/gim)].map(([, name = ""]) => name),
		output: text,
	};
}

function faultOf(text: string, code: number | null, signal: NodeJS.Signals | null): string | null {
	if (signal !== null) return `ended by ${signal}`;
	if (code !== 0) return `exit code ${code}`;
	return /^1\.\.\d+/m.test(text) ? null : "ended before its plan";
}
