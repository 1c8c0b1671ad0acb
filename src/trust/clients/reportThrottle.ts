/**
 * Throttles reports of events that unauthenticated clients can cause at will: the first of a kind is reported at once, later
 * ones as a count per interval. close() reports the remaining counts.
 */
export class ReportThrottle<Kind extends string> {
	readonly #report: (kind: Kind, count: number) => void;
	readonly #everyMs: number;
	readonly #pending = new Map<Kind, { count: number; readonly timer: NodeJS.Timeout }>();

	/**
	 * @param report called at most once per interval for each kind; must not throw, because a timer calls it too
	 * @param everyMs the interval in milliseconds
	 */
	constructor(report: (kind: Kind, count: number) => void, everyMs: number) {
		this.#report = report;
		this.#everyMs = everyMs;
	}

	add(kind: Kind, by = 1): void {
		const pending = this.#pending.get(kind);
		if (pending === undefined) this.#start(kind, by);
		else pending.count += by;
	}

	/** Reports the remaining counts. A later event starts a new interval. */
	close(): void {
		for (const [kind, { count, timer }] of this.#pending) {
			clearTimeout(timer);
			this.#pending.delete(kind);
			if (count > 0) this.#report(kind, count);
		}
	}

	#start(kind: Kind, count: number): void {
		const timer = setTimeout(() => {
			const since = this.#pending.get(kind)?.count ?? 0;
			this.#pending.delete(kind);
			if (since > 0) this.#start(kind, since);
		}, this.#everyMs);
		timer.unref();
		this.#pending.set(kind, { count: 0, timer });
		this.#report(kind, count);
	}
}
