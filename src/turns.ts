/**
 * Work that many may ask for, done one after the other: the subjects in turn, so that nobody waits for all that another one
 * has asked for. They share the places to wait in, too: a few who fill them keep nobody else out.
 */
export interface TurnBounds {
	/** Whose answers have not ended, the one under way among them. */
	readonly perSubject: number;
	/** Of all subjects, without the one under way. */
	readonly waiting: number;
	/** Whether as long as the last one took passes before the next one begins: half of the time is left to others. */
	readonly rests?: boolean;
	/** What is thrown beyond them. */
	readonly refusal: (beyond: "perSubject" | "waiting") => Error;
}

interface Waiter {
	readonly begin: () => void;
	readonly refuse: () => void;
}

export class Turns {
	readonly #bounds: TurnBounds;
	/** Of each subject. */
	readonly #asking = new Map<string, number>();
	/** By subject, whose turn comes first in front. */
	readonly #waiting = new Map<string, Set<Waiter>>();
	#waits = 0;
	#underWay = false;

	constructor(bounds: TurnBounds) {
		this.#bounds = bounds;
	}

	/**
	 * Does the work in its turn, and not at all where its client has gone by then. Where all places to wait in are taken, the
	 * newest of whoever has most is refused in its stead.
	 * @param over aborts when its answer has ended or its client has gone, whichever is first; until then it counts
	 * @returns null where there is nobody to answer
	 */
	async take<Result>(subject: string, over: AbortSignal, work: () => Promise<Result>): Promise<Result | null> {
		if ((this.#asking.get(subject) ?? 0) >= this.#bounds.perSubject) throw this.#bounds.refusal("perSubject");
		if (this.#waits >= this.#bounds.waiting && !over.aborted) this.#makeRoom(subject);
		this.#count(subject, 1);
		try {
			if (!(await this.#turn(subject, over))) return null;
			const fromMs = performance.now();
			try {
				return await work();
			} finally {
				this.#end(performance.now() - fromMs);
			}
		} finally {
			const leave = () => this.#count(subject, -1);
			if (over.aborted) leave();
			else over.addEventListener("abort", leave, { once: true });
		}
	}

	#count(subject: string, by: number): void {
		const now = (this.#asking.get(subject) ?? 0) + by;
		if (now === 0) this.#asking.delete(subject);
		else this.#asking.set(subject, now);
	}

	/** @throws the refusal where nobody would have more than the newcomer then */
	#makeRoom(newcomer: string): void {
		let most = newcomer;
		let count = (this.#waiting.get(newcomer)?.size ?? 0) + 1;
		for (const [subject, { size }] of this.#waiting) if (size > count) [most, count] = [subject, size];
		if (most === newcomer) throw this.#bounds.refusal("waiting");
		const newest = [...(this.#waiting.get(most) ?? [])].at(-1);
		newest?.refuse();
	}

	/** @returns whether there is anybody to answer */
	#turn(subject: string, over: AbortSignal): Promise<boolean> {
		return new Promise((resolve, reject) => {
			if (over.aborted) {
				resolve(false);
				return;
			}
			const waiter: Waiter = {
				begin: () => {
					over.removeEventListener("abort", gone);
					this.#underWay = true;
					resolve(true);
				},
				refuse: () => {
					over.removeEventListener("abort", gone);
					this.#leave(subject, waiter);
					reject(this.#bounds.refusal("waiting"));
				},
			};
			const gone = (): void => {
				this.#leave(subject, waiter);
				resolve(false);
			};
			over.addEventListener("abort", gone, { once: true });
			this.#waiting.set(subject, (this.#waiting.get(subject) ?? new Set()).add(waiter));
			this.#waits++;
			this.#next();
		});
	}

	#leave(subject: string, waiter: Waiter): void {
		const own = this.#waiting.get(subject);
		if (own?.delete(waiter) !== true) return;
		this.#waits--;
		if (own.size === 0) this.#waiting.delete(subject);
	}

	#end(tookMs: number): void {
		const next = (): void => {
			this.#underWay = false;
			this.#next();
		};
		if (this.#bounds.rests === true) setTimeout(next, tookMs).unref();
		else next();
	}

	#next(): void {
		const [first] = this.#waiting;
		if (this.#underWay || first === undefined) return;
		const [subject, own] = first;
		const [waiter] = own;
		if (waiter === undefined) return;
		this.#leave(subject, waiter);
		// Behind the others.
		if (this.#waiting.delete(subject)) this.#waiting.set(subject, own);
		waiter.begin();
	}
}

/** Aborts when an answer has ended, or its client goes away, or has. */
export function whileOpen(response: {
	readonly destroyed: boolean;
	once(event: "close", listener: () => void): unknown;
}): AbortSignal {
	const gone = new AbortController();
	if (response.destroyed) gone.abort();
	else response.once("close", () => gone.abort());
	return gone.signal;
}
