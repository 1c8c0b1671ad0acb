/**
 * The rules of Flagger (usage/metrics, usage/how-it-works), Argo Rollouts (features/analysis) and Kayenta (NetflixACAJudge),
 * written from their documentation. Each has the documented settings and a grid of sharper ones, of which the benchmark takes
 * the best in hindsight. The fixed thresholds are set from the true level of a healthy service.
 */
import { hodgesLehmann } from "./mannWhitney.js";
import type { Minute } from "./world.js";

/** Called at the end of each minute with all minutes so far; true: roll back. */
export interface Rule {
	readonly name: string;
	/** The documented setting of the peer, unchanged. */
	readonly documented: boolean;
	readonly start: () => (canary: readonly Minute[], stable: readonly Minute[]) => boolean;
}

interface Level {
	readonly errors: number;
	readonly latencyMs: number;
	readonly accuracy: number;
}

/** True levels of the healthy service, over the day. */
const HEALTHY: Level = { errors: 0.002, latencyMs: 40 * Math.exp(0.125), accuracy: 0.8 };
/** What is tolerated beyond: the same margins as the Experiment declares (weir.ts), times a factor. */
export const MARGINS: Level = { errors: 0.001, latencyMs: 0.1, accuracy: 0.005 };

function levelOf(minutes: readonly Minute[], last: number): Level | null {
	let [requests, failed, ms, people, right] = [0, 0, 0, 0, 0];
	for (const minute of minutes.slice(-last)) {
		requests += minute.requests;
		failed += minute.failed;
		ms += minute.latency.mean * minute.latency.n;
		people += minute.right.n;
		right += minute.right.mean * minute.right.n;
	}
	return requests === 0 ? null : { errors: failed / requests, latencyMs: ms / requests, accuracy: right / people };
}

/** Worse than a level by more than the margins, in any metric. */
function beyond(level: Level, of: Level, factor: number): boolean {
	return (
		level.errors > of.errors + factor * MARGINS.errors ||
		level.latencyMs > of.latencyMs * (1 + factor * MARGINS.latencyMs) ||
		level.accuracy < of.accuracy - factor * MARGINS.accuracy
	);
}

function flagger(interval: number, threshold: number, factor: number | null): Rule {
	return {
		name: `flagger interval ${interval}m threshold ${threshold} ${factor === null ? "as documented" : `margins × ${factor}`}`,
		documented: factor === null,
		start: () => {
			let failed = 0;
			return (canary) => {
				if (canary.length % interval !== 0) return false;
				const level = levelOf(canary, interval);
				if (level === null) return false;
				// min: 99 % success, max: 500 ms
				const bad = factor === null ? level.errors > 0.01 || level.latencyMs > 500 : beyond(level, HEALTHY, factor);
				if (bad) failed++;
				return failed >= threshold;
			};
		},
	};
}

function argo(interval: number, failureLimit: number, factor: number | null): Rule {
	return {
		name: `argo interval ${interval}m failureLimit ${failureLimit} ${factor === null ? "as documented" : `margins × ${factor}`}`,
		documented: factor === null,
		start: () => {
			let failed = 0;
			return (canary, stable) => {
				if (canary.length % interval !== 0) return false;
				const [level, other] = [levelOf(canary, interval), levelOf(stable, interval)];
				if (level === null || other === null) return false;
				// successCondition: result[0] >= 0.95
				if (factor === null ? level.errors > 0.05 : beyond(level, other, factor)) failed++;
				return failed > failureLimit;
			};
		},
	};
}

/** Judged every `interval` minutes, on the `window` minutes before (lookback), or on all (growing). */
function kayenta(interval: number, window: number, documented: boolean): Rule {
	const series = {
		errors: ({ failed, requests }: Minute): number => failed / requests,
		latency: ({ latency }: Minute): number => latency.mean,
		wrong: ({ right }: Minute): number => 1 - right.mean,
	};
	return {
		name: `kayenta interval ${interval}m lookback ${Number.isFinite(window) ? `${window}m` : "growing"}${documented ? " as advised" : ""}`,
		documented,
		start: () => (canary, stable) => {
			if (canary.length % interval !== 0) return false;
			return Object.values(series).some((value) => {
				const points = (minutes: readonly Minute[]): number[] =>
					minutes
						.slice(Number.isFinite(window) ? -window : 0)
						.map(value)
						.filter(Number.isFinite);
				const [experiment, control] = [points(canary), points(stable)];
				if (experiment.length === 0 || control.length === 0) return false;
				const { estimate, low } = hodgesLehmann(experiment, control);
				return low > 0.25 * Math.abs(estimate);
			});
		},
	};
}

const FACTORS = [1, 1.5, 2, 3] as const;

export const PEERS: Readonly<Record<"flagger" | "argo" | "kayenta", readonly Rule[]>> = {
	flagger: [
		flagger(1, 10, null),
		flagger(1, 5, null),
		...[1, 5, 15, 30].flatMap((interval) =>
			[1, 2, 5, 10].flatMap((threshold) => FACTORS.map((factor) => flagger(interval, threshold, factor))),
		),
	],
	argo: [
		argo(5, 3, null),
		...[1, 5, 15, 30].flatMap((interval) =>
			[0, 1, 3, 5].flatMap((limit) => FACTORS.map((factor) => argo(interval, limit, factor))),
		),
	],
	kayenta: [
		kayenta(60, Number.POSITIVE_INFINITY, true),
		...[10, 30, 60].flatMap((interval) =>
			[30, 60, Number.POSITIVE_INFINITY].map((window) => kayenta(interval, window, false)),
		),
	],
};
