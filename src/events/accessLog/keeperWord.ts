/**
 * What the keeper of an Envoy (`weir envoy`) says of it to ingest, by a new connection each time, beside the Envoy's own access
 * log: an Envoy that cannot connect drops its entries and counts them as written.
 */
import { flag, integer, object, orNull, text } from "../../jsonShape.js";
import { KEEPER_AGO_MAX_MS, KEEPER_WORD_BYTES_MAX } from "../../limits.js";

export const KEEPER_PATH = "/weir.v1.EnvoyKeeper/Tell";

/** Times are told as milliseconds ago: two machines' clocks differ. */
export interface KeeperWord {
	readonly node: string;
	/** Which process of Envoy, as its node says (compiler/envoyInstance.ts): several may have one node's name, and id. */
	readonly instance: string;
	/** Ingest could not be reached: between when it was last before, and now; `lastAgoMs`: when that was tried last. */
	readonly away: { readonly sinceAgoMs: number; readonly lastAgoMs: number } | null;
	/** Entries that the Envoy dropped. */
	readonly dropped: { readonly entries: number; readonly sinceAgoMs: number } | null;
	/** The Envoy takes no more requests, and has written its access log. */
	readonly drained: boolean;
}

const ago = integer(0, KEEPER_AGO_MAX_MS);

const word = object<KeeperWord>({
	node: text,
	instance: text,
	away: orNull(object({ sinceAgoMs: ago, lastAgoMs: ago })),
	dropped: orNull(object({ entries: integer(1), sinceAgoMs: ago })),
	drained: flag,
});

/** null = it is none. */
export function readKeeperWord(bytes: Buffer): KeeperWord | null {
	if (bytes.length > KEEPER_WORD_BYTES_MAX) return null;
	try {
		return word(JSON.parse(bytes.toString("utf8")));
	} catch {
		return null;
	}
}
