/**
 * Sends the built-in probe through a Gateway's listener, and watches the counters: the alarm that a bypass would set
 * off. What counts as an alarm is access/bypass/probe.ts's business; who is told, the caller's.
 */
import { type OutgoingHttpHeaders, request as plainRequest } from "node:http";
import { type RequestOptions, request as tlsRequest } from "node:https";
import { setImmediate as breath } from "node:timers/promises";
import {
	droppedEntries,
	GUARDS,
	type Guard,
	type ProbeAlarm,
	type ProbeResult,
	probeAlarm,
	probeHeaders,
	refusedConnections,
} from "../access/bypass/probe.js";
import type { WatchedListener, WatchedService } from "../access/bypass/watched.js";
import { PROBE_PATH } from "../access/requests/canonical.js";
import { WeirError } from "../error.js";
import { PROBE_ANSWER_BYTES_MAX, PROBE_TIMEOUT_MS } from "../limits.js";
import { JudgedCounts } from "./judgedCounts.js";
import type { ProbeMemory } from "./memory.js";
import { PastCounts } from "./pastCounts.js";
import { type Reading, readReading } from "./reading.js";

export type ProbeTls = Pick<
	RequestOptions,
	"ca" | "cert" | "key" | "servername" | "checkServerIdentity" | "rejectUnauthorized"
>;

/** How a listener is reached. */
export interface ProbeTarget {
	readonly address: string;
	readonly port: number;
	/** Asked at each connection, so that a rotated certificate is used; null = no TLS. */
	readonly tls: (() => ProbeTls) | null;
}

/** One probe. Never rejects. */
export function probe(
	target: ProbeTarget,
	gateway: string,
	{ name, host }: WatchedService,
	guard: Guard,
): Promise<Omit<ProbeResult, "mayBeClosed">> {
	return new Promise((resolve) => {
		const result = (status: number | null, body: string): void =>
			resolve({ gateway, service: name, guard, status, body });
		const unanswered = (error: unknown): void =>
			resolve({ gateway, service: name, guard, status: null, body: "", why: whyOf(error) });
		const headers: OutgoingHttpHeaders = { host, connection: "close", ...probeHeaders(guard) };
		const options = {
			host: target.address,
			port: target.port,
			method: "OPTIONS",
			path: PROBE_PATH,
			headers,
			agent: false,
			timeout: PROBE_TIMEOUT_MS,
		} as const;
		try {
			const call = target.tls === null ? plainRequest(options) : tlsRequest({ ...options, ...target.tls() });
			call.on("timeout", () => call.destroy(new Error("no answer in time")));
			call.on("error", unanswered);
			call.on("response", (response) => {
				let body = "";
				response.setEncoding("latin1").on("data", (part: string) => {
					body += part;
					if (body.length <= PROBE_ANSWER_BYTES_MAX) return;
					call.destroy();
					result(response.statusCode ?? null, "");
				});
				response.on("end", () => result(response.statusCode ?? null, body));
				response.on("error", () => result(null, ""));
			});
			call.end();
		} catch (error) {
			// Certificates that cannot be had.
			unanswered(error);
		}
	});
}

/** TLS has them where a certificate's time and the clock are apart. */
const CLOCK_CODES = new Set(["CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED"]);

/** Code, message, and what to do, in one line. */
function whyOf(error: unknown): string {
	if (error instanceof WeirError) return [`${error.code}: ${error.message}`, error.hint].filter(Boolean).join("; ");
	const { code = "", message } = error as NodeJS.ErrnoException;
	const hint = CLOCK_CODES.has(code) ? "; was the clock set, and does whoever issues identities run?" : "";
	return `${[code, message].filter(Boolean).join(": ")}${hint}`;
}

export interface ProberOptions {
	/** What is protected there; asked in each round. */
	readonly listeners: () => readonly WatchedListener[];
	/** null = this Gateway cannot be reached from here; its counters are watched all the same. */
	readonly target: (gateway: string) => ProbeTarget | null;
	/** UNIX socket of Envoy's admin; null = there is none, and only probes are sent. */
	readonly adminSocket: string | null;
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
	/** Services that were changed meanwhile: what answered says nothing of them. */
	readonly skipped: readonly { readonly gateway: string; readonly service: string }[];
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
		const { listeners, target, adminSocket } = this.#options;
		const watched = listeners();
		const ways = watched.flatMap((listener) => {
			const way = target(listener.gateway);
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
		const after = adminSocket === null ? null : await this.#read(adminSocket);
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

	async #read(adminSocket: string): Promise<Reading | null> {
		const failed = (why: string): null => {
			this.#uncounted = { why, rounds: (this.#uncounted?.rounds ?? 0) + 1 };
			return null;
		};
		try {
			const reading = await readReading(adminSocket);
			if (reading === null) return failed("Envoy was started anew meanwhile");
			this.#uncounted = null;
			return reading;
		} catch (error) {
			return failed(WeirError.from(error).message);
		}
	}

	/**
	 * One after the other: a probe of many Services must not be a flood. First who was answered for the longest time ago: a silent
	 * Service, or changes without end, hide the same ones in no two rounds.
	 */
	async #ask(
		way: ProbeTarget,
		{ gateway, services }: WatchedListener,
	): Promise<Pick<ProbeRound, "results" | "skipped">> {
		const { closed = () => new Set(), isCertain = () => true } = this.#options;
		const results: ProbeResult[] = [];
		const skipped = new Set<string>();
		let silent = 0;
		// In the order of the plan, whichever was first.
		const told = () => {
			const place = new Map(services.map(({ name }, at) => [name, at]));
			const inOrder = results.toSorted((one, other) => (place.get(one.service) ?? 0) - (place.get(other.service) ?? 0));
			return { results: inOrder, skipped: skippedAt(gateway, skipped) };
		};
		const lastAt = ({ name }: WatchedService): number => this.#askedAt.get(placeOf(gateway, name)) ?? 0;
		for (const service of services.toSorted((one, other) => lastAt(one) - lastAt(other))) {
			for (const guard of GUARDS) {
				const before = closed().has(service.name);
				const result = isCertain(gateway, service.name) ? await probe(way, gateway, service, guard) : null;
				// What was changed or taken away meanwhile may have answered otherwise.
				if (result === null || !isCertain(gateway, service.name)) {
					skipped.add(service.name);
					continue;
				}
				// It may be closed, or open again, while the probe is under way.
				this.#askedAt.set(placeOf(gateway, service.name), this.#rounds);
				results.push({ ...result, mayBeClosed: before || closed().has(service.name) });
				silent = result.status === null ? silent + 1 : 0;
				// The listener answers nobody: that is told now, and not after a time for each Service.
				if (silent === SILENT_MAX) return told();
			}
		}
		return told();
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

const skippedAt = (gateway: string, services: ReadonlySet<string>): ProbeRound["skipped"] =>
	[...services].map((service) => ({ gateway, service }));
