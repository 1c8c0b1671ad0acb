/**
 * What strangers can cause as often as they like, in few words: the first of a kind is told at once, and what follows once in
 * a while with how many there were. Nothing is left out: what is not told yet is told at the end.
 */
export class Digest<Kind extends string> {
	readonly #tell: (kind: Kind, count: number) => void;
	readonly #everyMs: number;
	readonly #untold = new Map<Kind, { count: number; readonly timer: NodeJS.Timeout }>();

	/**
	 * @param tell called at most once in the time for each kind; must not throw, for it is called from a timer too
	 * @param everyMs milliseconds between two tellings of one kind
	 */
	constructor(tell: (kind: Kind, count: number) => void, everyMs: number) {
		this.#tell = tell;
		this.#everyMs = everyMs;
	}

	/** @param by how many of it */
	add(kind: Kind, by = 1): void {
		const untold = this.#untold.get(kind);
		if (untold === undefined) this.#say(kind, by);
		else untold.count += by;
	}

	/** Tells what is left; for a kind that comes after it the time begins anew. */
	close(): void {
		for (const [kind, { count, timer }] of this.#untold) {
			clearTimeout(timer);
			this.#untold.delete(kind);
			if (count > 0) this.#tell(kind, count);
		}
	}

	#say(kind: Kind, count: number): void {
		const timer = setTimeout(() => {
			const since = this.#untold.get(kind)?.count ?? 0;
			this.#untold.delete(kind);
			if (since > 0) this.#say(kind, since);
		}, this.#everyMs);
		timer.unref();
		this.#untold.set(kind, { count: 0, timer });
		this.#tell(kind, count);
	}
}
