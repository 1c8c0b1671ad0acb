/**
 * Work that many may ask for, done one after the other or so much at once: the subjects in turn, so that nobody waits for all
 * that another one has asked for. They share the places to wait in, too: a few who fill them keep nobody else out.
 */
export interface TurnBounds {
	/** How much is under way at once; absent: one. */
	readonly atOnce?: number;
	/** Of that each subject's; absent: all. */
	readonly atOncePerSubject?: number;
	/** Whose answers have not ended, those under way among them. */
	readonly perSubject: number;
	/** Of all subjects, without those under way. */
	readonly waiting: number;
	/** How long one waits for others', while its subject has less than its share; absent: until its turn comes. */
	readonly waitMs?: number;
	/** How long one waits in all, its subject's own among what it waits for; absent: as `waitMs` says. */
	readonly waitMsMax?: number;
	/** Whether as long as one took passes before the next one begins in its place: half of the time is left to others. */
	readonly rests?: boolean;
	/** What is thrown beyond them; beyond the time as beyond `waiting`. */
	readonly refusal: (beyond: "perSubject" | "waiting") => Error;
}

interface Waiter {
	readonly begin: () => void;
	readonly refuse: () => void;
	/** Whether its time runs; it begins anew whenever it does. */
	readonly time: (runs: boolean) => void;
}

export class Turns {
	readonly #bounds: TurnBounds;
	readonly #atOnce: number;
	readonly #atOncePerSubject: number;
	/** Of each subject. */
	readonly #asking = new Map<string, number>();
	readonly #begun = new Map<string, number>();
	/** By subject, whose turn comes first in front. */
	readonly #waiting = new Map<string, Set<Waiter>>();
	#waits = 0;
	#underWay = 0;

	constructor(bounds: TurnBounds) {
		this.#bounds = bounds;
		this.#atOnce = bounds.atOnce ?? 1;
		this.#atOncePerSubject = bounds.atOncePerSubject ?? this.#atOnce;
	}

	/** How much is under way of each subject. */
	get underWay(): ReadonlyMap<string, number> {
		return this.#begun;
	}

	/**
	 * Does the work in its turn, and not at all where its client has gone by then. Where all places to wait in are taken, the
	 * newest of whoever has most is refused in its stead.
	 * @param over aborts when its answer has ended or its client has gone, whichever is first; until then it counts
	 * @returns null where there is nobody to answer
	 */
	async take<Result>(subject: string, over: AbortSignal, work: () => Promise<Result>): Promise<Result | null> {
		if ((this.#asking.get(subject) ?? 0) >= this.#bounds.perSubject) throw this.#bounds.refusal("perSubject");
		if (this.#waits >= this.#bounds.waiting && !this.#isFree(subject) && !over.aborted) this.#makeRoom(subject);
		add(this.#asking, subject, 1);
		try {
			if (!(await this.#turn(subject, over))) return null;
			const fromMs = performance.now();
			try {
				return over.aborted ? null : await work();
			} finally {
				this.#end(subject, performance.now() - fromMs);
			}
		} finally {
			const leave = () => add(this.#asking, subject, -1);
			if (over.aborted) leave();
			else over.addEventListener("abort", leave, { once: true });
		}
	}

	#isFree(subject: string): boolean {
		return this.#underWay < this.#atOnce && !this.#hasShare(subject);
	}

	#hasShare(subject: string): boolean {
		return (this.#begun.get(subject) ?? 0) >= this.#atOncePerSubject;
	}

	/** Who has its share keeps itself waiting, and nobody else. */
	#time(subject: string): void {
		const runs = !this.#hasShare(subject);
		for (const waiter of this.#waiting.get(subject) ?? []) waiter.time(runs);
	}

	#count(subject: string, by: number): void {
		this.#underWay += by;
		add(this.#begun, subject, by);
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
			const leave = (): void => {
				waiter.time(false);
				clearTimeout(last);
				over.removeEventListener("abort", gone);
				this.#leave(subject, waiter);
			};
			const { waitMs, waitMsMax } = this.#bounds;
			let timer: NodeJS.Timeout | null = null;
			const waiter: Waiter = {
				time: (runs) => {
					if (runs && waitMs !== undefined) timer ??= setTimeout(waiter.refuse, waitMs);
					else if (timer !== null) {
						clearTimeout(timer);
						timer = null;
					}
				},
				begin: () => {
					leave();
					this.#count(subject, 1);
					this.#time(subject);
					resolve(true);
				},
				refuse: () => {
					leave();
					reject(this.#bounds.refusal("waiting"));
				},
			};
			const gone = (): void => {
				leave();
				resolve(false);
			};
			const last = waitMsMax === undefined ? undefined : setTimeout(waiter.refuse, waitMsMax);
			over.addEventListener("abort", gone, { once: true });
			this.#waiting.set(subject, (this.#waiting.get(subject) ?? new Set()).add(waiter));
			this.#waits++;
			this.#next();
			this.#time(subject);
		});
	}

	#leave(subject: string, waiter: Waiter): void {
		const own = this.#waiting.get(subject);
		if (own?.delete(waiter) !== true) return;
		this.#waits--;
		if (own.size === 0) this.#waiting.delete(subject);
	}

	#end(subject: string, tookMs: number): void {
		const next = (): void => {
			this.#count(subject, -1);
			this.#next();
			this.#time(subject);
		};
		if (this.#bounds.rests === true) setTimeout(next, tookMs).unref();
		else next();
	}

	#next(): void {
		const first = [...this.#waiting].find(([subject]) => this.#isFree(subject));
		if (first === undefined) return;
		const [subject, own] = first;
		const [waiter] = own;
		if (waiter === undefined) return;
		waiter.begin();
		// Behind the others.
		if (this.#waiting.delete(subject)) this.#waiting.set(subject, own);
	}
}

function add(counts: Map<string, number>, subject: string, by: number): void {
	const now = (counts.get(subject) ?? 0) + by;
	if (now === 0) counts.delete(subject);
	else counts.set(subject, now);
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
