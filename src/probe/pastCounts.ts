/** What is remembered of clusters' counters from one reading to the next, to tell what was served past the Gateways. */
import { gatewaysAt, type PastAlarm, triesBetween, underWayAtAll } from "../access/bypass/servedPast.js";
import { routesChanged } from "../access/bypass/unjudged.js";
import type { WatchedListener } from "../access/bypass/watched.js";
import { isAnother, type Reading } from "./reading.js";

export interface PastMemory {
	readonly standing: readonly PastAlarm[];
	/** Tries that may be of requests which came by routes of before, by Service, at the last reading. */
	readonly owed: ReadonlyMap<string, number>;
	/** Whether routes changed before the last reading: workers take them a moment later. */
	readonly changed: boolean;
}

export class PastCounts {
	#standing: readonly PastAlarm[] = [];
	/** Tries that may be of requests which came by routes of before, by Service, at the last reading. */
	#owed: ReadonlyMap<string, number> = new Map();
	/** Whether routes changed before the last reading: workers take them a moment later. */
	#changed = false;
	/** Whether Envoy is known to have the Gateway's Services as they are watched, and is being told of no other. */
	readonly #isSettled: (gateway: string) => boolean;

	constructor(isSettled: (gateway: string) => boolean) {
		this.#isSettled = isSettled;
	}

	get memory(): PastMemory {
		return { standing: this.#standing, owed: this.#owed, changed: this.#changed };
	}

	/** Goes on where another one ended. */
	recall({ standing, owed, changed }: PastMemory): void {
		[this.#standing, this.#owed, this.#changed] = [standing, owed, changed];
	}

	/**
	 * @param before the last reading that could be made before this one; null = there was none
	 * @param after null = it could not be made: what is owed stays owed
	 * @returns alarms that stand now: each until its Service is served by its routes alone, or is protected no more
	 */
	alarms(watched: readonly WatchedListener[], before: Reading | null, after: Reading | null): readonly PastAlarm[] {
		const there = new Set(watched.flatMap((one) => one.services.map(({ name }) => name)));
		this.#standing = this.#standing.filter(({ service }) => there.has(service));
		if (after === null) {
			this.#changed ||= watched.some(({ gateway }) => !this.#isSettled(gateway));
			return this.#standing;
		}
		const gateways = gatewaysAt(after.last);
		const isMoving =
			watched.some(({ gateway }) => !this.#isSettled(gateway)) ||
			(before !== null &&
				(isAnother(before, after) || gateways.some((name) => routesChanged(name, before.first, after.last))));
		const tries =
			before === null || isMoving || this.#changed
				? null
				: triesBetween({ before: before.passed.first, after: after.passed.last });
		const most = underWayAtAll(after.last);
		const owed = new Map<string, number>();
		const told = new Map<string, PastAlarm | null>();
		for (const service of everywhere(watched, gateways)) {
			const due = this.#owed.get(service);
			const { sent, past } = tries?.get(service) ?? { sent: 0, past: tries === null ? null : 0 };
			if (due === undefined || past === null) {
				owed.set(service, most);
				continue;
			}
			owed.set(service, Math.min(most, Math.max(0, due - Math.max(0, past))));
			if (past > due) told.set(service, { alarm: "served-past-gateways", gateway: "", service, served: past - due });
			else if (past <= 0 && sent > 0) told.set(service, null);
		}
		this.#owed = owed;
		this.#changed = isMoving;
		this.#standing = [
			...this.#standing.filter(({ service }) => !told.has(service)),
			...[...told.values()].filter((one) => one !== null),
		];
		return this.#standing;
	}
}

/**
 * Services that are protected at each of these Gateways: by one with older routes a Service may be open still.
 * @param gateways that were ever asked: the others have sent nothing
 */
function everywhere(watched: readonly WatchedListener[], gateways: readonly string[]): ReadonlySet<string> {
	const protectedAt = new Map(
		watched.map(({ gateway, services }) => [gateway, new Set(services.map(({ name }) => name))]),
	);
	const [first, ...others] = (gateways.length === 0 ? [...protectedAt.keys()] : gateways).map(
		(gateway) => protectedAt.get(gateway) ?? new Set<string>(),
	);
	return new Set([...(first ?? [])].filter((name) => others.every((names) => names.has(name))));
}
