/**
 * A reach for somebody else: where its Envoy does not listen nobody is asked, so that whoever asks gets at nothing on this
 * machine or behind it but that Envoy.
 */
import { type Bound, isSameBound } from "../access/bypass/foreignListeners.js";
import { asReached, type EnvoyReach } from "../access/bypass/reach.js";
import { readListeners } from "./envoyCounters.js";

/** For so long what Envoy has said of its listeners is gone by: a round asks each of them for many Services. */
const SAID_MS = 5_000;

/** @param nowMs by a clock that nobody sets */
export function ownListenersOnly(
	{ admin, meshless, through }: EnvoyReach,
	nowMs: () => number = () => performance.now(),
): EnvoyReach {
	let said: { readonly atMs: number; readonly bounds: Promise<readonly Bound[]> } | null = null;
	/** Of an Envoy that hangs, those that it had. */
	let last: readonly Bound[] = [];
	const read = async (): Promise<readonly Bound[]> => {
		const listeners = await readListeners(admin).catch(() => null);
		if (listeners !== null) last = [...listeners.values()].flatMap((bound) => bound ?? []).map(asReached);
		return last;
	};
	const bounds = (): Promise<readonly Bound[]> => {
		if (said === null || nowMs() - said.atMs > SAID_MS) said = { atMs: nowMs(), bounds: read() };
		return said.bounds;
	};
	return {
		admin,
		meshless,
		through: (way) => {
			const ask = through(way);
			return async (host, guard) =>
				(await bounds()).some((bound) => isSameBound(bound, way)) ? ask(host, guard) : null;
		},
	};
}
