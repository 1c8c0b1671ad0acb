/**
 * `npm run bench -- stats`, after `npm run bench:peers`: CPU of analyse() for one metric with CUPED, relative, against
 * gbstats on the same aggregates. Rounds alternate; figures are medians, and both results must agree beforehand.
 * RESULT {"usPerAnalysis","gbstatsUsPerAnalysis","speedupOverGbstats"}.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { WeirError } from "../../src/error.js";
import { type AnalysisInput, analyse } from "../../src/infer/statistics/analyse.js";
import type { CoMoments, Evidence } from "../../src/infer/statistics/evidence.js";
import { experiment, metric } from "../decide/rollout/example.js";
import { random } from "../infer/statistics/random.js";
import { median } from "./native/median.js";
import { pythonPeer, pythonProgram } from "./peers/pythonPeer.js";

const PAIRS = 500;
const ROUNDS = 11;
/** Passes over all pairs in a round of ours and of the peer's: about a second each. */
const OUR_PASSES = 100;
const THEIR_PASSES = 5;

const METRIC = metric("revenue", { type: "mean", covariateMs: 604_800_000 });
const EXPERIMENT = experiment(["boosted"], {
	goal: { metric: "revenue", improveBy: { kind: "relative", value: 0.01 } },
	guardrails: [],
});

/** Standard deviations that the farthest values lie from the mean, as far as a few thousand normal ones go. */
const FARTHEST = 4;

interface Pair {
	readonly baseline: CoMoments;
	readonly challenger: CoMoments;
}

/** 2,500 to 100,000 units an arm (a mean needs 2,000), a mean of 2 to 4 standard deviations, correlation 0.2 to 0.9, lift −2 % to 5 %. */
function pairs(): Pair[] {
	const next = random(20_261_125);
	return Array.from({ length: PAIRS }, () => {
		const [size, level, correlation, lift] = [2_500 * 40 ** next(), 2 + 2 * next(), 0.2 + 0.7 * next(), next()];
		const arm = (factor: number): CoMoments => {
			const n = Math.round(size * (0.95 + 0.1 * next()));
			const before = level + (next() - 0.5) * 0.02;
			return { n, means: [level * factor, before], m2: [n, correlation * n, n] };
		};
		return { baseline: arm(1), challenger: arm(0.98 + 0.07 * lift) };
	});
}

function inputOf({ baseline, challenger }: Pair): AnalysisInput {
	const arm = (name: string, co: CoMoments): Evidence["arms"][number] => ({
		arm: name,
		exposedUnits: co.n,
		maturedUnits: co.n,
		metrics: {
			revenue: {
				n: co.n,
				mean: co.means[0] ?? Number.NaN,
				m2: co.m2[0] ?? Number.NaN,
				co,
				extremes: co.means.map((mean) => ({ lo: mean - FARTHEST, hi: mean + FARTHEST })),
			},
		},
		missingUnits: {},
	});
	return {
		experiment: EXPERIMENT,
		metrics: { revenue: METRIC },
		evidence: {
			experiment: "main",
			asOfMs: 100_000,
			arms: [arm("control", baseline), arm("boosted", challenger)],
			exposures: [],
			conflictingUnits: 0,
			health: [],
			droppedEntries: 0,
			forcedUnits: 0,
			segments: [],
			periods: [],
			interactions: [],
			newestOutcomeMs: {},
		},
		thresholds: {},
		closedArms: [],
		accepted: {},
	};
}

interface PeerAnswer {
	readonly python: string;
	readonly gbstats: string;
	readonly numpy: string;
	readonly scipy: string;
	readonly pandas: string;
	readonly results: readonly { readonly expected: number; readonly stddev: number }[];
}

/** The peer's process: a line in, a line out. */
async function startPeer(): Promise<{ ask(line: string): Promise<string>; stop(): void }> {
	const child = spawn(await pythonPeer(), [pythonProgram("sequentialCuped.py")], {
		stdio: ["pipe", "pipe", "inherit"],
	});
	const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
	return {
		async ask(line) {
			child.stdin.write(`${line}\n`);
			const { value, done } = await lines.next();
			if (done === true) throw new Error("the peer ended early");
			return value;
		},
		stop: () => child.stdin.end(),
	};
}

/** Throws where the two do not do the same analysis. */
function compareAnswers(inputs: readonly AnalysisInput[], results: PeerAnswer["results"]): void {
	const tally = new Map<string, number>();
	for (const [index, input] of inputs.entries()) {
		const [finding] = analyse(input).findings;
		const theirs = results[index];
		const { improvement = null, standardError = null, verdict = "unknown" } = finding ?? {};
		tally.set(verdict, (tally.get(verdict) ?? 0) + 1);
		if (theirs === undefined || improvement === null || standardError === null)
			throw new Error(`no answer for pair ${index}`);
		const [apart, ratio] = [Math.abs(improvement - theirs.expected), standardError / theirs.stddev];
		// gbstats pools θ over both arms as one sample, so an effect changes it slightly.
		if (!(apart < 0.05 * standardError && ratio > 0.97 && ratio < 1.1))
			throw new Error(`pair ${index}: ${improvement} ± ${standardError}, gbstats ${JSON.stringify(theirs)}`);
	}
	say(`our verdicts: ${[...tally].map(([verdict, count]) => `${verdict} ${count}`).join(", ")}`);
}

function say(line: string): void {
	process.stdout.write(`${line}\n`);
}

async function main(): Promise<void> {
	const peer = await startPeer();
	try {
		const all = pairs();
		const inputs = all.map(inputOf);
		const answer = JSON.parse(
			await peer.ask(JSON.stringify(all.map(({ baseline, challenger }) => [baseline, challenger]))),
		) as PeerAnswer;
		const { python, gbstats, numpy, scipy, pandas } = answer;
		say(
			`Node ${process.version}; Python ${python}: gbstats ${gbstats}, numpy ${numpy}, scipy ${scipy}, pandas ${pandas}`,
		);
		compareAnswers(inputs, answer.results);
		const ours: number[] = [];
		const theirs: number[] = [];
		// Round 0 warms both up.
		for (let round = 0; round <= ROUNDS; round++) {
			const before = process.cpuUsage();
			for (let pass = 0; pass < OUR_PASSES; pass++) for (const input of inputs) analyse(input);
			const { user, system } = process.cpuUsage(before);
			const { cpuSeconds } = JSON.parse(await peer.ask(String(THEIR_PASSES))) as { cpuSeconds: number };
			if (round === 0) continue;
			ours.push((user + system) / (OUR_PASSES * PAIRS));
			theirs.push((cpuSeconds * 1e6) / (THEIR_PASSES * PAIRS));
		}
		const list = (values: readonly number[]): string => values.map((us) => us.toFixed(1)).join(" ");
		say(`CPU µs per analysis, ${ROUNDS} rounds: ours ${list(ours)}`);
		say(`                              gbstats ${list(theirs)}`);
		const figures = {
			usPerAnalysis: Number(median(ours).toFixed(2)),
			gbstatsUsPerAnalysis: Number(median(theirs).toFixed(1)),
			speedupOverGbstats: Number(median(theirs.map((us, round) => us / (ours[round] ?? Number.NaN))).toFixed(1)),
		};
		say(`RESULT ${JSON.stringify(figures)}`);
	} finally {
		peer.stop();
	}
}

await main().catch((error: unknown) => {
	if (!(error instanceof WeirError)) throw error;
	process.stderr.write(`${error.message}; ${error.hint}\n`);
	process.exitCode = 1;
});
