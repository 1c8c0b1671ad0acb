/**
 * Sends the built-in probe through a Gateway's listener, and watches the counters: the alarm that a bypass would set
 * off. What counts as an alarm is access/bypass/probe.ts's business; who is told, the caller's.
 */
import { setImmediate as breath } from "node:timers/promises";
import { isOfUse, type Known } from "../access/bypass/knownCounters.js";
import {
	droppedEntries,
	GUARDS,
	type Guard,
	type ProbeAlarm,
	type ProbeResult,
	probeAlarm,
	refusedConnections,
} from "../access/bypass/probe.js";
import type { AskListener, EnvoyAdmin } from "../access/bypass/reach.js";
import type { WatchedListener, WatchedService } from "../access/bypass/watched.js";
import { WeirError } from "../error.js";
import type { Kept } from "./envoyCounters.js";
import { JudgedCounts } from "./judgedCounts.js";
import type { ProbeMemory } from "./memory.js";
import { PastCounts } from "./pastCounts.js";
import { type Reading, readReading } from "./reading.js";

export interface ProberOptions {
	/** What is protected there; asked in each round. */
	readonly listeners: () => readonly WatchedListener[];
	/** null = this Gateway cannot be reached; its counters are watched all the same. */
	readonly ask: (gateway: string) => AskListener | null;
	/** null = there is none, and only probes are sent. */
	readonly admin: EnvoyAdmin | null;
	/** Services of one Gateway that are probed at once; left out = one. */
	readonly together?: number;
	/** Which counters are kept, asked once in each round; left out = all that its Envoy says. */
	readonly known?: () => Known;
	/** Qualified names of Services that some Envoy may have been given closed; left out = none. */
	readonly closed?: () => ReadonlySet<string>;
	/** Whether Envoy is known to have that Service so, and is not being told otherwise; left out = it is. */
	readonly isCertain?: (gateway: string, service: string) => boolean;
	/** Whether that is known of all Services of the Gateway; left out = it is. */
	readonly isSettled?: (gateway: string) => boolean;
}

/** Verdicts are not compared with what was served: nothing was found out about bypasses that only counters show. */
export interface Uncounted {
	readonly why: string;
	/** How many rounds in a row. */
	readonly rounds: number;
}

/** What one round has found out. */
export interface ProbeRound {
	readonly alarms: readonly ProbeAlarm[];
	/** What each probe was answered. */
	readonly results: readonly ProbeResult[];
	/** Services that were changed meanwhile, so that what answered says nothing of them; `unsent`: or the probe could not be sent. */
	readonly skipped: readonly { readonly gateway: string; readonly service: string; readonly unsent: boolean }[];
	/** Alarms of earlier rounds that stand, of what was not probed in this one. They are among `alarms`. */
	readonly kept: readonly ProbeAlarm[];
	/** Whether Envoy's counters could be read, and are compared with earlier ones. */
	readonly counted: boolean;
	/** Why they could not be read; null = they were, or there is no admin to read them from. */
	readonly uncounted: Uncounted | null;
}

export class Prober {
	readonly #options: ProberOptions;
	/** The last one that could be made. */
	#before: Reading | null = null;
	#uncounted: Uncounted | null = null;
	readonly #judged: JudgedCounts;
	readonly #past: PastCounts;
	/** Alarms of probes that stand, by what was probed. */
	#raised: ReadonlyMap<string, ProbeAlarm> = new Map();
	#rounds = 0;
	/** In which round each Service was probed last, by Gateway and name. */
	readonly #askedAt = new Map<string, number>();

	constructor(options: ProberOptions) {
		this.#options = options;
		const isSettled = options.isSettled ?? (() => true);
		this.#judged = new JudgedCounts(isSettled);
		this.#past = new PastCounts(isSettled);
	}

	/** As of the last round. */
	get memory(): ProbeMemory {
		return { reading: this.#before, judged: this.#judged.memory, past: this.#past.memory, raised: this.#raised };
	}

	/** Goes on where another one ended, before the first round. */
	recall({ reading, judged, past, raised }: ProbeMemory): void {
		this.#before = reading;
		this.#judged.recall(judged);
		this.#past.recall(past);
		this.#raised = raised;
	}

	/** Probes each protected Service through each listener, and compares the counters with the last round's. Never rejects. */
	async round(): Promise<ProbeRound> {
		const { listeners, ask, admin } = this.#options;
		const watched = listeners();
		const ways = watched.flatMap((listener) => {
			const way = ask(listener.gateway);
			return way === null ? [] : [{ way, listener }];
		});
		this.#rounds++;
		// A hanging Gateway keeps none but its own Services waiting.
		const asked = await Promise.all(ways.map(({ way, listener }) => this.#ask(way, listener)));
		const results = asked.flatMap((one) => one.results);
		const skipped = asked.flatMap((one) => one.skipped);
		const there = new Set(
			watched.flatMap(({ gateway, services }) => services.map(({ name }) => placeOf(gateway, name))),
		);
		for (const place of this.#askedAt.keys()) if (!there.has(place)) this.#askedAt.delete(place);
		const { alarms, kept } = this.#alarmsOf(
			ways.map(({ listener }) => listener),
			results,
		);
		const before = this.#before;
		const after = admin === null ? null : await this.#read(admin);
		if (after !== null) this.#before = after;
		const counted = before !== null && after !== null;
		const unjudged = await this.#judged.alarms(watched, before, after);
		await breath();
		const past = this.#past.alarms(watched, before, after);
		return {
			alarms: [
				...alarms,
				...unjudged,
				...past,
				...(counted
					? [...refusedConnections(before.last, after.last), ...droppedEntries(before.last, after.last)]
					: []),
			],
			results,
			skipped,
			kept,
			counted,
			uncounted: this.#uncounted,
		};
	}

	async #read(admin: EnvoyAdmin): Promise<Reading | null> {
		const failed = (why: string): null => {
			this.#uncounted = { why, rounds: (this.#uncounted?.rounds ?? 0) + 1 };
			return null;
		};
		try {
			const reading = await readReading(admin, this.#kept());
			if (reading === null) return failed("Envoy was started anew meanwhile");
			this.#uncounted = null;
			return reading;
		} catch (error) {
			return failed(WeirError.from(error).message);
		}
	}

	/** What the reading before had is kept for as long as it is said: one that came again would seem to have moved from 0. */
	#kept(): Kept | undefined {
		const known = this.#options.known?.();
		if (known === undefined) return undefined;
		const before = this.#before?.last;
		return { keeps: (name) => before?.has(name) === true || isOfUse(name, known), most: known.most };
	}

	/**
	 * Some at once, of each Service one after the other: a probe of many Services must not be a flood. First who was answered for the
	 * longest time ago: a silent Service, or changes without end, hide the same ones in no two rounds.
	 */
	async #ask(
		way: AskListener,
		{ gateway, services }: WatchedListener,
	): Promise<Pick<ProbeRound, "results" | "skipped">> {
		const { closed = () => new Set(), isCertain = () => true, together = 1 } = this.#options;
		const results: ProbeResult[] = [];
		/** Whether it could not be sent, by name. */
		const skipped = new Map<string, boolean>();
		let silent = 0;
		let unsent = 0;
		// The listener answers nobody, which is told now, and not after a time for each Service; or nobody there can send any.
		const isOver = (): boolean => silent >= SILENT_MAX || unsent >= SILENT_MAX;
		const askOf = async (service: WatchedService, guard: Guard): Promise<void> => {
			const before = closed().has(service.name);
			const certain = isCertain(gateway, service.name);
			const answer = certain ? await way(service.host, guard) : null;
			// What was changed or taken away meanwhile may have answered otherwise.
			if (answer === null || !isCertain(gateway, service.name)) {
				skipped.set(service.name, certain && answer === null);
				unsent = certain && answer === null ? unsent + 1 : 0;
				return;
			}
			// It may be closed, or open again, while the probe is under way.
			this.#askedAt.set(placeOf(gateway, service.name), this.#rounds);
			const mayBeClosed = before || closed().has(service.name);
			results.push({ gateway, service: service.name, guard, ...answer, mayBeClosed });
			silent = answer.status === null ? silent + 1 : 0;
		};
		const lastAt = ({ name }: WatchedService): number => this.#askedAt.get(placeOf(gateway, name)) ?? 0;
		const left = services.toSorted((one, other) => lastAt(one) - lastAt(other)).values();
		const askSome = async (): Promise<void> => {
			for (const service of left) {
				for (const guard of GUARDS) {
					if (isOver()) return;
					await askOf(service, guard);
				}
			}
		};
		await Promise.all(Array.from({ length: together }, askSome));
		if (unsent >= SILENT_MAX)
			for (const { name } of services) if (!results.some((one) => one.service === name)) skipped.set(name, true);
		// In the order of the plan, whichever was first.
		const place = new Map(services.map(({ name }, at) => [name, at]));
		const inOrder = results.toSorted((one, other) => (place.get(one.service) ?? 0) - (place.get(other.service) ?? 0));
		return { results: inOrder, skipped: skippedAt(gateway, skipped) };
	}

	/**
	 * With those of earlier rounds that stand: of what was to be probed in this one, and was not.
	 * @param reached listeners that there is a way to
	 */
	#alarmsOf(
		reached: readonly WatchedListener[],
		results: readonly ProbeResult[],
	): { readonly alarms: readonly ProbeAlarm[]; readonly kept: readonly ProbeAlarm[] } {
		const probed = new Set(results.map(keyOf));
		const there = new Set(
			reached.flatMap(({ gateway, services }) =>
				services.flatMap(({ name: service }) => GUARDS.map((guard) => keyOf({ gateway, service, guard }))),
			),
		);
		const kept = [...this.#raised].filter(([key]) => there.has(key) && !probed.has(key));
		const raised = results.flatMap((result) => {
			const alarm = probeAlarm(result);
			return alarm === null ? [] : [[keyOf(result), alarm] as const];
		});
		this.#raised = new Map([...kept, ...raised]);
		return { alarms: [...this.#raised.values()], kept: kept.map(([, alarm]) => alarm) };
	}
}

/** Probes in a row that nobody answers, after which a listener is asked no more in that round. */
const SILENT_MAX = 2;

const placeOf = (gateway: string, service: string): string => `${gateway} ${service}`;

const keyOf = ({ gateway, service, guard }: Pick<ProbeResult, "gateway" | "service" | "guard">): string =>
	`${placeOf(gateway, service)} ${guard}`;

const skippedAt = (gateway: string, services: ReadonlyMap<string, boolean>): ProbeRound["skipped"] =>
	[...services].map(([service, unsent]) => ({ gateway, service, unsent }));
