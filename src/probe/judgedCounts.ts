/** What is remembered of Envoy's counters from one reading to the next, to tell what was served and not judged. */
import { setImmediate as breath } from "node:timers/promises";
import type { Counters } from "../access/bypass/counters.js";
import {
	NOTHING_OWED,
	type Owed,
	owedAt,
	routesChanged,
	type Span,
	type UnjudgedAlarm,
	unjudgedAlarms,
} from "../access/bypass/unjudged.js";
import type { WatchedListener } from "../access/bypass/watched.js";
import { isAnother, type Reading } from "./reading.js";

const NONE: Counters = new Map();

export interface JudgedMemory {
	readonly standing: readonly UnjudgedAlarm[];
	/** At the last reading, by Gateway. */
	readonly owed: ReadonlyMap<string, Owed>;
	/** Gateways whose routes changed before the last reading: workers take them a moment later. */
	readonly changed: ReadonlySet<string>;
}

export class JudgedCounts {
	/** Whether Envoy is known to have the Gateway's Services as they are watched, and is being told of no other. */
	readonly #isSettled: (gateway: string) => boolean;
	#memory: JudgedMemory = { standing: [], owed: new Map(), changed: new Set() };

	constructor(isSettled: (gateway: string) => boolean) {
		this.#isSettled = isSettled;
	}

	get memory(): JudgedMemory {
		return this.#memory;
	}

	/** Goes on where another one ended. */
	recall(memory: JudgedMemory): void {
		this.#memory = memory;
	}

	/**
	 * One call at a time.
	 * @param before the last reading that could be made before this one; null = there was none
	 * @param after null = it could not be made: what is owed stays owed
	 * @returns alarms that stand now, those of earlier readings too
	 */
	async alarms(
		watched: readonly WatchedListener[],
		before: Reading | null,
		after: Reading | null,
	): Promise<readonly UnjudgedAlarm[]> {
		const { owed, changed, standing } = this.#memory;
		if (after === null) {
			const there = new Set(watched.map(({ gateway }) => gateway));
			// Routes that are under way now may be there at the next reading.
			const moving = watched.filter(({ gateway }) => !this.#isSettled(gateway)).map(({ gateway }) => gateway);
			const left = standing.filter(({ gateway }) => there.has(gateway));
			this.#memory = { standing: left, owed, changed: new Set([...changed, ...moving]) };
			return left;
		}
		const now = new Map<string, Owed>();
		const moving = new Set<string>();
		const alarms: UnjudgedAlarm[] = [];
		for (const listener of watched) {
			const { gateway } = listener;
			// Each may have thousands of Services: others have a turn in between.
			await breath();
			const isMoving =
				!this.#isSettled(gateway) || (before !== null && routesChanged(gateway, before.first, after.last));
			if (isMoving) moving.add(gateway);
			if (before === null) {
				now.set(gateway, owedAt(listener, null, after.last));
				alarms.push(...standing.filter((one) => one.gateway === gateway));
				continue;
			}
			const due = owed.get(gateway);
			// Of a process that was started since, all that it counted is of this span.
			const isNew = isAnother(before, after);
			const span: Span = {
				before: isNew ? NONE : before.first,
				after: after.last,
				owed: isNew ? NOTHING_OWED : (due ?? owedAt(listener, null, before.last)),
				changed: isNew || isMoving || due === undefined || changed.has(gateway),
			};
			now.set(gateway, owedAt(listener, span, after.last));
			alarms.push(...unjudgedAlarms(listener, span, standing));
		}
		this.#memory = { standing: alarms, owed: now, changed: moving };
		return alarms;
	}
}
