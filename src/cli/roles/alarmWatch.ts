/** Reports an alarm when it starts, changes and ends. */

import type { ProxyStatus } from "../../decide/rollout/ports.js";
import type { Refusal } from "../../decide/rollout/refusal.js";
import type { Log } from "../../observe/telemetry/log.js";
import type { Meter } from "../../observe/telemetry/meter.js";

export interface AlarmOptions {
	readonly log: Pick<Log, "error" | "info">;
	readonly meter: Pick<Meter, "gauge">;
	/** Handles its own failures. */
	readonly audit: (refused: Refusal) => void;
}

export interface AlarmWatch {
	look(proxies: readonly ProxyStatus[]): void;
}

export interface AlarmKind<Alarm> {
	/** The active alarms. */
	readonly of: (proxies: readonly ProxyStatus[]) => readonly Alarm[];
	readonly keyOf: (alarm: Alarm) => string;
	/** Whether an active alarm is unchanged: it is not reported again. */
	readonly isSame: (before: Alarm, now: Alarm) => boolean;
	readonly begun: (alarm: Alarm) => void;
	readonly ended: (alarm: Alarm) => void;
	/** How long a missing alarm stays active: its client may only be reconnecting. By default 0. */
	readonly awayMs?: (alarm: Alarm, proxies: readonly ProxyStatus[]) => number;
}

export function watchAlarms<Alarm>(
	{ of, keyOf, isSame, begun, ended, awayMs = () => 0 }: AlarmKind<Alarm>,
	nowMs: () => number = Date.now,
): AlarmWatch {
	let active: ReadonlyMap<string, Alarm> = new Map();
	/** Start of the absence of each missing alarm that is still active. */
	const missingSinceMs = new Map<string, number>();
	let timer: NodeJS.Timeout | null = null;
	const look = (proxies: readonly ProxyStatus[]): void => {
		const now = new Map(of(proxies).map((alarm) => [keyOf(alarm), alarm]));
		for (const [key, alarm] of now) {
			missingSinceMs.delete(key);
			const before = active.get(key);
			if (before === undefined || !isSame(before, alarm)) begun(alarm);
			else now.set(key, before);
		}
		let nextMs = Number.POSITIVE_INFINITY;
		for (const [key, alarm] of active) {
			if (now.has(key)) continue;
			const sinceMs = missingSinceMs.get(key) ?? nowMs();
			const leftMs = sinceMs + awayMs(alarm, proxies) - nowMs();
			if (leftMs > 0) {
				missingSinceMs.set(key, sinceMs);
				now.set(key, alarm);
				nextMs = Math.min(nextMs, leftMs);
			} else {
				missingSinceMs.delete(key);
				ended(alarm);
			}
		}
		active = now;
		if (timer !== null) clearTimeout(timer);
		timer = nextMs === Number.POSITIVE_INFINITY ? null : setTimeout(() => look(proxies), nextMs).unref();
	};
	return { look };
}
