/** Alarms that stand for a while: each is told when it begins and when it is another, and again when it has ended. */
import type { ProxyStatus } from "../../rollout/ports.js";
import type { Refusal } from "../../rollout/refusal.js";
import type { Log } from "../../telemetry/log.js";
import type { Meter } from "../../telemetry/meter.js";

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
}

export function watchAlarms<Alarm>({ of, keyOf, isSame, begun, ended }: AlarmKind<Alarm>): AlarmWatch {
	let standing: ReadonlyMap<string, Alarm> = new Map();
	return {
		look: (proxies) => {
			const now = new Map(of(proxies).map((alarm) => [keyOf(alarm), alarm]));
			for (const [key, alarm] of now) {
				const before = standing.get(key);
				if (before === undefined || !isSame(before, alarm)) begun(alarm);
				else now.set(key, before);
			}
			for (const [key, alarm] of standing) if (!now.has(key)) ended(alarm);
			standing = now;
		},
	};
}
