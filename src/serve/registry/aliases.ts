/** Where aliases point, computed from the log. Pure. */
import type { ModelEvent } from "./log.js";

export interface AliasMove {
	/** Id of its event. */
	readonly id: string;
	readonly name: string;
	readonly alias: string;
	/** null = the alias was new. */
	readonly from: string | null;
	readonly to: string;
	readonly actor: string;
	readonly reason: string;
	/** RFC 3339. */
	readonly time: string;
	/** The move that this one took back; null = it is no rollback. */
	readonly reverts: string | null;
}

/** Oldest first. */
export function movesOf(events: readonly ModelEvent[], name: string): readonly AliasMove[] {
	return events.flatMap(({ id, type, subject, time, data }): readonly AliasMove[] => {
		const { alias, digest, from = null, actor, reason = "", reverts = null } = data;
		if (type !== "dev.weir.model.promoted" || subject !== name || alias === undefined || digest === null) return [];
		return [{ id, name, alias, from, to: digest, actor, reason, time, reverts }];
	});
}

/** Digest by alias at a time. */
export function aliasesAt(events: readonly ModelEvent[], name: string, atMs: number): ReadonlyMap<string, string> {
	const moves = movesOf(events, name).filter(({ time }) => Date.parse(time) <= atMs);
	return new Map(moves.map(({ alias, to }) => [alias, to]));
}

/** The move that a rollback takes back: the newest that is no rollback, and that none has taken back. */
export function lastMove(events: readonly ModelEvent[], name: string, alias: string): AliasMove | null {
	const moves = movesOf(events, name).filter((move) => move.alias === alias);
	const reverted = new Set(moves.map(({ reverts }) => reverts));
	return moves.findLast(({ id, reverts }) => reverts === null && !reverted.has(id)) ?? null;
}

/** Digests that an alias named at that time or later. */
export function namedSince(events: readonly ModelEvent[], name: string, sinceMs: number): ReadonlySet<string> {
	const after = movesOf(events, name).filter(({ time }) => Date.parse(time) >= sinceMs);
	const left = after.flatMap(({ from, to }) => (from === null ? [to] : [from, to]));
	return new Set([...aliasesAt(events, name, sinceMs).values(), ...left]);
}
