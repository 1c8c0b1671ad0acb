/**
 * The used DPoP proofs of a sidecar with several workers: a client may send a proof to any of them, so the primary
 * keeps the cache, also when a worker dies. A worker asks it once for each proof with a valid signature.
 *
 * Measured on two cores with ten times as many processes ready as cores: a request with a proof costs the primary 80 to 115 µs of CPU
 * beside the worker's 1,500, where each question wakes it; 15 µs (and the worker as much) where questions come one after another.
 * The answer takes 0.04 ms (p99 0.2) without other queries, 1.4 ms (p99 40) with two workers and 32 questions of each at once.
 */
import { PROOF_KEPT_MS, REPLAYS_MAX, TOKENS_PENDING_MAX } from "../../limits/index.js";
import { type ProofMemory, Replays, type Taken } from "../../trust/tokens/replays.js";

/**
 * The replay cache of a sidecar with several workers: REPLAYS_MAX per worker, for at most eight. The process that holds
 * it answers about twice the 25,000 proofs a second that fit. 520 MB when full.
 */
export const REPLAYS_SHARED_MAX = 8 * REPLAYS_MAX;

/**
 * Timeout of a worker's query of the shared replay cache; then the proof is refused. Envoy waits CALLOUT_TIMEOUT_MS by
 * default.
 */
export const PROOF_QUERY_MS = 1_000;

/** From a worker. `ask` is its own number of the question. */
export interface ProofAsked {
	readonly kind: "proof";
	readonly ask: number;
	readonly id: string;
}

/** To the worker that asked. */
export interface ProofAnswer {
	readonly kind: "proof";
	readonly ask: number;
	readonly taken: Taken;
}

/** The primary's side. */
export class UsedProofs {
	readonly #replays: Replays;

	/**
	 * @param workers how many ask
	 * @param monotonicMs the clock
	 */
	constructor(
		workers: number,
		private readonly monotonicMs: () => number = () => performance.now(),
	) {
		// By its own clock it hears of a proof as much later than the worker has looked at the proof's time.
		this.#replays = new Replays(PROOF_KEPT_MS + PROOF_QUERY_MS, Math.min(workers * REPLAYS_MAX, REPLAYS_SHARED_MAX));
	}

	answer({ ask, id }: ProofAsked): ProofAnswer {
		return { kind: "proof", ask, taken: this.#replays.take(id, this.monotonicMs()) };
	}
}

/** A worker's side. Where the primary hangs, proofs are refused; where it dies, its workers end. */
export class AskedProofs implements ProofMemory {
	/** What was asked and not answered, waited for or not: a primary that hangs is not asked for ever. */
	readonly #open = new Map<number, (taken: Taken) => void>();
	#asks = 0;

	constructor(
		private readonly ask: (asked: ProofAsked) => void,
		private readonly waitMs: number = PROOF_QUERY_MS,
	) {}

	/** The primary's answer; "unanswered" if it does not come in time. */
	take(id: string): Taken | Promise<Taken> {
		if (this.#open.size >= TOKENS_PENDING_MAX) return "unanswered";
		const ask = ++this.#asks;
		return new Promise((resolve) => {
			const timer = setTimeout(resolve, this.waitMs, "unanswered");
			this.#open.set(ask, (taken) => {
				clearTimeout(timer);
				resolve(taken);
			});
			this.ask({ kind: "proof", ask, id });
		});
	}

	answered({ ask, taken }: ProofAnswer): void {
		this.#open.get(ask)?.(taken);
		this.#open.delete(ask);
	}
}
