/** Runs the kept corpus first, then new inputs. */
import { readFile } from "node:fs/promises";
import fc from "fast-check";
import type { Test } from "tap";
import { CALLOUT_TARGETS } from "./calloutTargets.js";
import { EVENT_TARGETS } from "./eventTargets.js";
import { IDENTITY_TARGETS } from "./identityTargets.js";
import { inputs } from "./mutation.js";
import { PROBE_TARGETS } from "./probeTargets.js";
import { RESOURCE_TARGETS } from "./resourceTargets.js";
import type { Target } from "./target.js";
import { XDS_TARGETS } from "./xdsTargets.js";

const CORPUS = new URL("../../../test/fixtures/fuzz/corpus.json", import.meta.url);

/**
 * CPU time of one input in ms: above the most expensive input on a machine that is slowed down threefold (770 measured).
 * Quadratic work on 100 KB takes seconds; on 60 KB some passes: see `access/forwardedClientCert`.
 */
const CPU_MS = 1_500;
/**
 * Repeats a slow input: other load, a first call and garbage collection are slow once, a bad input each time. The most
 * expensive one (a declaration of 20,000 keys) is slower until its code is compiled.
 */
const TRIES = 10;

/** Runs one input. @throws if it crashed, allowed a forbidden request, or took too long */
async function run(target: Target, input: Buffer): Promise<void> {
	let tookMs = 0;
	for (let tried = 0; tried < TRIES; tried++) {
		const before = process.cpuUsage();
		await target.run(input);
		const { user, system } = process.cpuUsage(before);
		tookMs = (user + system) / 1000;
		if (tookMs <= CPU_MS) return;
	}
	throw new Error(`${tookMs} ms of CPU for ${input.length} bytes, ${TRIES} times`);
}

/** Inputs that every run tries: earlier finds, and inputs that broke other parsers. */
interface Kept {
	readonly target: string;
	readonly why: string;
	/** An input as text with one byte a character, in parts, or as base64. */
	readonly latin1?: readonly (string | { readonly of: string; readonly times: number })[];
	readonly base64?: string;
}

const bytesOf = ({ latin1 = [], base64 = "" }: Kept): Buffer =>
	Buffer.concat([
		...latin1.map((part) => Buffer.from(typeof part === "string" ? part : part.of.repeat(part.times), "latin1")),
		Buffer.from(base64, "base64"),
	]);

const TARGETS: readonly Target[] = [
	...CALLOUT_TARGETS,
	...IDENTITY_TARGETS,
	...EVENT_TARGETS,
	...XDS_TARGETS,
	...PROBE_TARGETS,
	...RESOURCE_TARGETS,
];

/**
 * @param count inputs of all targets together
 * @param seed null = a new one on each run; fast-check prints it with a failure
 */
export async function fuzz(t: Test, count: number, seed: number | null): Promise<void> {
	const kept: readonly Kept[] = JSON.parse(await readFile(CORPUS, "utf8"));
	const names = new Set(TARGETS.map(({ name }) => name));
	t.same(
		kept.filter(({ target }) => !names.has(target)),
		[],
		"each kept input has its parser",
	);
	const weights = TARGETS.reduce((sum, { weight }) => sum + weight, 0);
	for (const target of TARGETS) {
		await t.test(target.name, async (t) => {
			for (const one of kept.filter(({ target: name }) => name === target.name)) {
				const input = bytesOf(one);
				await t.resolves(async () => run(target, input), one.why);
			}
			for (const one of target.seeds) await t.resolves(async () => run(target, one), "a seed");
			let tried = 0;
			await fc.assert(
				fc.asyncProperty(inputs(target.seeds), async (input) => {
					tried++;
					await run(target, input);
				}),
				{ numRuns: Math.ceil((count * target.weight) / weights), ...(seed === null ? {} : { seed }) },
			);
			t.ok(tried > 0, `${tried} inputs`);
		});
	}
}
