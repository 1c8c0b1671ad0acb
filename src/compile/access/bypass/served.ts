/**
 * Compares, by Envoy's counters, requests to protected Services with verdicts that allowed requests. More requests than
 * verdicts: a route, listener or filter chain bypasses the check. It is the only way to detect a missing weir.allow,
 * which refuses no request with certainty.
 */
import type { ProbedService } from "./probe.js";

/** Envoy's counters and gauges by full name. One without a value yet may be missing. */
export type Counters = ReadonlyMap<string, number>;

/** Counters of verdicts and of changed routes, as a filter of Envoy's `/stats`. */
export const VERDICTS =
	"^http\\.gateway\\..+\\.(rds\\..+\\.config_reload|rbac\\.weir_(allow|proof)_\\.allowed|ext_authz\\.weir_verdict\\.ok|ext_proc\\.weir_process\\.streams_started)$";
/** Requests in progress. */
export const ACTIVE = "^http\\.gateway\\..+\\.downstream_rq_active$";
/** Requests to Variants. Only their clusters have a slash in the name. */
export const TRIES = "^cluster\\..+/[^/]+\\.upstream_rq_(total|retry)$";

const TRY = /^cluster\.(.+)\/[^/]+\.upstream_rq_(total|retry)$/;

/** Requests continue while Envoy is read, so the four are read in this order. */
export interface Reading {
	readonly verdictsBefore: Counters;
	readonly active: Counters;
	readonly tries: Counters;
	readonly verdictsAfter: Counters;
}

type Judge = ProbedService["judgedBy"];
export type ByJudge = Readonly<Record<Judge, number>>;

export const NONE: ByJudge = { envoy: 0, sidecar: 0 };

export class ServedCounts {
	#before: Reading | null = null;
	/** Requests that were judged and not sent yet at the last reading, at most. */
	#owed: ByJudge = NONE;
	#unjudged: ByJudge = NONE;

	/**
	 * Nothing is compared across a change of routes, which may change what is protected and by which judge.
	 * @returns requests that were sent without a verdict since the last reading. Silence proves nothing: the number stands
	 *   until requests are sent that all had a verdict
	 */
	take(services: readonly ProbedService[], now: Reading): ByJudge {
		const before = this.#before;
		const changed = before !== null && reloads(before.verdictsBefore) !== reloads(now.verdictsAfter);
		this.#before = changed ? null : now;
		const active = sumOf(now.active);
		if (before === null || changed) {
			this.#owed = { envoy: active, sidecar: active };
			return this.#unjudged;
		}
		const judged = judgedBetween(before.verdictsBefore, now.verdictsAfter);
		const sent = sentBetween(services, before.tries, now.tries);
		const unjudgedBy = (judge: Judge): number => {
			const over = sent[judge] - judged[judge] - this.#owed[judge];
			if (over > 0) return over;
			return sent[judge] > 0 && sent[judge] <= judged[judge] ? 0 : this.#unjudged[judge];
		};
		const owedBy = (judge: Judge): number =>
			Math.min(active, Math.max(0, this.#owed[judge] + judged[judge] - sent[judge]));
		this.#unjudged = { envoy: unjudgedBy("envoy"), sidecar: unjudgedBy("sidecar") };
		this.#owed = { envoy: owedBy("envoy"), sidecar: owedBy("sidecar") };
		return this.#unjudged;
	}
}

/** A counter that decreased was created anew and counts from 0. */
export function movedBy(name: string, before: Counters, after: Counters): number {
	const [from, to] = [before.get(name) ?? 0, after.get(name) ?? 0];
	return to >= from ? to - from : to;
}

function judgedBetween(before: Counters, after: Counters): ByJudge {
	const moved = (ending: string): number =>
		[...after.keys()]
			.filter((name) => name.endsWith(ending))
			.reduce((sum, name) => sum + movedBy(name, before, after), 0);
	return {
		envoy: moved(".rbac.weir_allow_.allowed"),
		sidecar: Math.min(
			moved(".ext_authz.weir_verdict.ok") + moved(".ext_proc.weir_process.streams_started"),
			// The sidecar is also called only to assign.
			moved(".rbac.weir_proof_.allowed"),
		),
	};
}

/** Each request once: a retry counts when Envoy decides on it, even without a connection. */
function sentBetween(services: readonly ProbedService[], before: Counters, after: Counters): ByJudge {
	const judges = new Map(services.map(({ name, judgedBy }) => [name, judgedBy]));
	const fresh = new Map<string, number>();
	for (const name of after.keys()) {
		const [, service = "", kind] = TRY.exec(name) ?? [];
		if (!judges.has(service)) continue;
		const moved = movedBy(name, before, after);
		fresh.set(service, (fresh.get(service) ?? 0) + (kind === "total" ? moved : -moved));
	}
	const sent = { envoy: 0, sidecar: 0 };
	for (const [service, count] of fresh) sent[judges.get(service) ?? "envoy"] += Math.max(0, count);
	return sent;
}

const reloads = (counters: Counters): number =>
	sumOf(new Map([...counters].filter(([name]) => name.endsWith(".config_reload"))));

const sumOf = (counters: Counters): number => [...counters.values()].reduce((sum, value) => sum + value, 0);
