/**
 * How far what Envoys are given is behind the state: a revocation that is stored and not published stops nobody. xds
 * tells what it published; the lag is measured here, by the clock of the state's owner, so that an xds that hangs or is
 * gone cannot hide it.
 */
import { PUBLICATION_LAG_MS } from "../../limits/index.js";

export class Publication {
	/** null = no xds has ever told of itself: there may be none. */
	#published: number | null = null;
	/** Since when it has stood still behind the state; null = it does not. */
	#behindSinceMs: number | null = null;

	/**
	 * @param revision of the state, now
	 * @param monotonicMs for durations, which no change of the wall clock may bend
	 */
	constructor(
		private readonly revision: () => number,
		private readonly monotonicMs: () => number = () => performance.now(),
	) {}

	/** What is published now; 0 = nothing yet, and of the empty state there is nothing. May be told again and again. */
	told(revision: number): void {
		if (revision !== this.#published) this.#behindSinceMs = null;
		this.#published = revision;
		this.lag();
	}

	/** One sentence where publication has stood still behind the state for too long, else null. Ask now and then. */
	lag(): string | null {
		const revision = this.revision();
		const published = this.#published;
		if (published === null || published >= revision) {
			this.#behindSinceMs = null;
			return null;
		}
		const now = this.monotonicMs();
		this.#behindSinceMs ??= now;
		const behindMs = now - this.#behindSinceMs;
		if (behindMs < PUBLICATION_LAG_MS) return null;
		const given = published === 0 ? "nothing published" : `published ${published}`;
		return `state revision ${revision}, ${given} for ${Math.floor(behindMs / 1_000)} s`;
	}
}
