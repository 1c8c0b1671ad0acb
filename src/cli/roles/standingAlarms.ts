/** Alarms that stand for a while: each is told when it begins and when it is another, and again when it has ended. */

import type { ProxyStatus } from "../../decide/rollout/ports.js";
import type { Refusal } from "../../decide/rollout/refusal.js";
import type { Log } from "../../observe/telemetry/log.js";
import type { Meter } from "../../observe/telemetry/meter.js";

export interface AlarmOptions {
	readonly log: Pick<Log, "error" | "info">;
	readonly meter: Pick<Meter, "gauge">;
	/** Whether it succeeds is its own matter. */
	readonly audit: (refused: Refusal) => void;
}

export interface AlarmWatch {
	look(proxies: readonly ProxyStatus[]): void;
}

export interface AlarmKind<Alarm> {
	/** Those that stand now. */
	readonly of: (proxies: readonly ProxyStatus[]) => readonly Alarm[];
	readonly keyOf: (alarm: Alarm) => string;
	/** Whether nothing new is to be told of one that stands: it stays as it was. */
	readonly isSame: (before: Alarm, now: Alarm) => boolean;
	readonly begun: (alarm: Alarm) => void;
	readonly ended: (alarm: Alarm) => void;
	/** How long one that is told no more may yet come back as it was: its client may only be connecting anew. By default 0. */
	readonly awayMs?: (alarm: Alarm, proxies: readonly ProxyStatus[]) => number;
}

export function watchAlarms<Alarm>(
	{ of, keyOf, isSame, begun, ended, awayMs = () => 0 }: AlarmKind<Alarm>,
	nowMs: () => number = Date.now,
): AlarmWatch {
	let standing: ReadonlyMap<string, Alarm> = new Map();
	/** Since when those are told no more that stand all the same. */
	const awaySinceMs = new Map<string, number>();
	let timer: NodeJS.Timeout | null = null;
	const look = (proxies: readonly ProxyStatus[]): void => {
		const now = new Map(of(proxies).map((alarm) => [keyOf(alarm), alarm]));
		for (const [key, alarm] of now) {
			awaySinceMs.delete(key);
			const before = standing.get(key);
			if (before === undefined || !isSame(before, alarm)) begun(alarm);
			else now.set(key, before);
		}
		let nextMs = Number.POSITIVE_INFINITY;
		for (const [key, alarm] of standing) {
			if (now.has(key)) continue;
			const sinceMs = awaySinceMs.get(key) ?? nowMs();
			const leftMs = sinceMs + awayMs(alarm, proxies) - nowMs();
			if (leftMs > 0) {
				awaySinceMs.set(key, sinceMs);
				now.set(key, alarm);
				nextMs = Math.min(nextMs, leftMs);
			} else {
				awaySinceMs.delete(key);
				ended(alarm);
			}
		}
		standing = now;
		if (timer !== null) clearTimeout(timer);
		timer = nextMs === Number.POSITIVE_INFINITY ? null : setTimeout(() => look(proxies), nextMs).unref();
	};
	return { look };
}
