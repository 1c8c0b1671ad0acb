/** Envoy's counters read again and again: what moved between two readings. */
import type { Counters } from "../access/bypass/counters.js";
import type { EnvoyAdmin } from "../access/bypass/reach.js";
import { readCounters } from "./envoyCounters.js";

export interface CountersReading {
	readonly counters: Counters;
	readonly atMs: number;
}

export interface CountersWatchOptions {
	/** Where it cannot be read, nothing is told until it can. */
	readonly admin: EnvoyAdmin;
	/** A regular expression. */
	readonly filter: string;
	readonly clock: () => number;
	readonly everyMs: number;
	/** That Envoy is just being started, so that its counters move from 0; else the first reading says nothing. */
	readonly fresh?: boolean;
}

export interface CountersWatch {
	/** Reads now; it also happens by itself. @returns whether they could be read */
	look(): Promise<boolean>;
	close(): void;
}

/** @param take of each reading, and the one before */
export function watchCounters(
	{ admin, filter, clock, everyMs, fresh = false }: CountersWatchOptions,
	take: (before: CountersReading, now: CountersReading) => void,
): CountersWatch {
	let last: CountersReading | null = fresh ? { counters: new Map(), atMs: clock() } : null;
	let closed = false;
	let timer: NodeJS.Timeout | null = null;
	/** One reading at a time. */
	let looking: Promise<boolean> = Promise.resolve(true);
	const read = async (): Promise<boolean> => {
		const atMs = clock();
		const counters = await readCounters(admin, filter).catch(() => null);
		if (closed || counters === null) return false;
		const now = { counters, atMs };
		if (last !== null) take(last, now);
		last = now;
		return true;
	};
	const look = (): Promise<boolean> => {
		looking = looking.then(read);
		return looking;
	};
	const again = async (): Promise<void> => {
		await look();
		if (!closed) timer = setTimeout(() => void again(), everyMs).unref();
	};
	void again();
	return {
		look,
		close: () => {
			closed = true;
			if (timer !== null) clearTimeout(timer);
		},
	};
}
