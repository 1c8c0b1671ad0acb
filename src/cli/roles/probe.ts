/**
 * No bypass: probes every listener of a protected Service on an interval, and watches that what is served was judged.
 * An alarm is a line in the log, a metric, and a line of `weir status` for as long as it stands. A Gateway that is not
 * probed is named there too, with the reason.
 */
import { addressOf, type Bound, type ForeignListener, foreignListeners } from "../../access/bypass/foreignListeners.js";
import {
	type DroppedEntries,
	deniedReason,
	type ForgottenAlarms,
	type Guard,
	type ProbeAlarm,
	probeAlarm,
	type RefusedConnections,
	type UncountedVerdicts,
} from "../../access/bypass/probe.js";
import type { PastAlarm } from "../../access/bypass/servedPast.js";
import type { WeirError } from "../../error.js";
import type { Identity } from "../../identity/svid.js";
import { PROBE_INTERVAL_MS, PROBE_SHARED_MS } from "../../limits.js";
import { isStarting, readListeners, readNode } from "../../probe/envoyCounters.js";
import { isNobodyThere } from "../../probe/envoyPage.js";
import type { MemoryShelf } from "../../probe/memoryShelf.js";
import { type ProbeRound, Prober, type ProbeTarget, type Uncounted } from "../../probe/prober.js";
import type { Log } from "../../telemetry/log.js";
import type { Meter } from "../../telemetry/meter.js";
import type { Served } from "../../xds/served.js";
import { factsOf, PROBE_ALARM, PROBE_LEFT_OUT, PROBE_UNCOUNTED, saidOf } from "./probeAlarms.js";
import { type Declared, ProbedPlans, type ProbedPlansOptions } from "./probedPlans.js";
import { wayTo } from "./probeWay.js";

export interface WatchOptions extends Pick<ProbedPlansOptions, "planOf"> {
	readonly log: Log;
	readonly meter: Meter;
	/** null = Gateways that demand a certificate cannot be probed from here. */
	readonly identity: Identity | null;
	/** Of the Envoy of this machine, whose Gateways alone are probed. */
	readonly adminSocket: string;
	/**
	 * Whether an Envoy that has what it serves from xDS is connected: where none of this machine's answers, one is elsewhere.
	 * @param node of that name; left out = any
	 */
	readonly connected: (node?: string) => boolean;
	/** What the Envoy of that node has of what was published, or had when it left; null = none such has come. */
	readonly served: (node: string) => Served | null;
	/** Where what is known outlives the process; left out = nowhere. */
	readonly memory?: Pick<MemoryShelf, "recall" | "keep" | "alarms">;
	/** Services that some Envoy may have been given closed; left out = none. */
	readonly closed?: () => ReadonlySet<string>;
	readonly intervalMs?: number;
}

/** What a round came to, as `weir probe` prints it; nothing of an answer's body but our own reason is in it. */
export interface ProbeReport {
	readonly answers: readonly {
		readonly gateway: string;
		readonly service: string;
		readonly guard: Guard;
		readonly status: number | null;
		readonly reason: string | null;
		/** null = refused as it must be. */
		readonly alarm: ProbeAlarm["alarm"] | null;
	}[];
	/** Alarms of Envoy's counters. */
	readonly unjudged: readonly Extract<ProbeAlarm, { alarm: "served-unjudged" }>[];
	readonly refused: readonly RefusedConnections[];
	readonly dropped: readonly DroppedEntries[];
	/** Gateways whose Envoy's counters could not be read, in how many rounds up to this one; an alarm from UNCOUNTED_ROUNDS on. */
	readonly uncounted: readonly (UncountedVerdicts & { readonly rounds: number })[];
	/** Protected Services that were served by no Gateway. */
	readonly past: readonly PastAlarm[];
	/** Listeners of this machine's Envoy that are no Gateway's. */
	readonly foreign: readonly ForeignListener[];
	readonly forgotten: readonly ForgottenAlarms[];
	/** Alarms of Services that were not probed now, from when they were. */
	readonly standing: readonly StandingAlarm[];
	/** Gateways that were left out; with `services`: those alone. */
	readonly unprobed: readonly Unprobed[];
}

type StandingAlarm = Pick<Extract<ProbeAlarm, { service: string }>, "alarm" | "gateway" | "service">;

interface Unprobed {
	readonly gateway: string;
	readonly why: string;
	/** Qualified names of Services, where the Gateway's others are probed. */
	readonly services?: readonly string[];
}

export interface Watch {
	/** What Envoys are to serve. The first one begins the rounds: of what this machine's has of it, as xDS knows. */
	published(declared: Declared): void;
	/**
	 * One round, now, or the one that is under way; null = no Envoy is there to be asked yet. Each compares counters with
	 * the last.
	 */
	round(): Promise<ProbeReport | null>;
	/** For who asks: the round that is under way, or the last one within PROBE_SHARED_MS of its end, or one now. */
	recent(): Promise<ProbeReport | null>;
	close(): void;
}

export function watchForBypass(options: WatchOptions): Watch {
	const { log, meter, identity, adminSocket, connected, intervalMs = PROBE_INTERVAL_MS } = options;
	const plans = new ProbedPlans({ planOf: options.planOf, patienceMs: intervalMs, nowMs: () => performance.now() });
	let timer: NodeJS.Timeout | null = null;
	let closed = false;
	/** Until then somebody may still say what the Envoy has. */
	let assumedAtMs = Number.POSITIVE_INFINITY;
	/** Alarms that were ever raised, by their labels: one that is over is set to 0. */
	const raised = new Map<string, Readonly<Record<string, string>>>();
	/** Gateways at which verdicts were ever not counted, by their labels; likewise. */
	const blind = new Map<string, Readonly<Record<string, string>>>();
	/** Gateways that were ever left out, by their labels; likewise. */
	const leftOut = new Map<string, Readonly<Record<string, string>>>();
	/** Listeners of this machine's Envoy; null = it has never said them. */
	let here: ReadonlyMap<string, Bound | null> | null = null;
	/** Those that it said last; `here` are none while it is away. */
	let said: ReadonlyMap<string, Bound | null> | null = null;
	/** Its node. */
	let node = "";
	/** Those that are no Gateway's, where something is protected. */
	let foreign: readonly ForeignListener[] = [];
	let forgotten: readonly ForgottenAlarms[] = [];
	const served = (): Served | null => options.served(node);
	const way = (name: string): ProbeTarget | string => {
		const gateway = plans.gateway(name);
		const bound = here?.get(name);
		const isRefused = served()?.get(name)?.refused === true;
		if (here !== null && bound === undefined) return isRefused ? REFUSED : ELSEWHERE;
		if (gateway !== undefined && gateway !== null) return wayTo(gateway, bound ?? null, identity);
		return isRefused ? REFUSED : LATE;
	};
	/** One has sent probes. */
	let hasProbed = false;
	/** Alarms that the process before this one raised, by labels. */
	let inherited: ReadonlySet<string> = new Set();
	/**
	 * Of the first round of all: where control is there before a sidecar, no verdict can be had for a moment. What still is none in
	 * the next round is told. Who asks (`weir probe`, `weir status`) hears of it at once.
	 */
	const isEarly = (one: ProbeAlarm): boolean =>
		!hasProbed &&
		one.alarm === "probe-unanswered" &&
		one.status === 503 &&
		!inherited.has(`${one.alarm} ${one.gateway}`);
	const prober = new Prober({
		listeners: () => plans.listeners,
		target: (name) => {
			const found = way(name);
			return typeof found === "string" ? null : found;
		},
		adminSocket,
		isCertain: (gateway, service) => plans.isCertain(served(), gateway, service),
		isSettled: (gateway) => plans.isSettled(served(), gateway),
		...(options.closed === undefined ? {} : { closed: options.closed }),
	});
	/** What stands from the process before this one stands now. */
	const recall = async (): Promise<void> => {
		const known = (await options.memory?.recall()) ?? null;
		if (known === null) return;
		prober.recall(known);
		for (const { alarm, gateway } of [...known.judged.standing, ...known.past.standing, ...known.raised.values()])
			raised.set(`${alarm} ${gateway}`, { alarm, gateway });
		inherited = new Set(raised.keys());
		tellStanding(inherited);
	};
	const recalled = recall();
	const round = async (): Promise<ProbeReport | null> => {
		await recalled;
		if (!plans.isDeclared) return null;
		// One that hangs, or lost its admin socket, keeps those that it had: what it serves meanwhile is probed, and what it does not is an
		// alarm.
		const silent = (error: WeirError) =>
			isNobodyThere(error) && (node === "" || !connected(node)) ? new Map<string, null>() : said;
		// A Gateway that leaves is there until Envoy answers, which may be while it is asked.
		const leaving = [...plans.gateways, ...(served()?.keys() ?? [])];
		// At once, for one that hangs lets each of them wait.
		const [awaited, listeners, named] = await Promise.all([
			isAwaited(),
			readListeners(adminSocket).then((found) => {
				said = found;
				return found;
			}, silent),
			readNode(adminSocket).catch(() => node),
		]);
		if (awaited) return null;
		here = listeners;
		const isKnown = node === named;
		node = named;
		await plans.look(served());
		if (!plans.isKnown && here?.size !== 0) {
			if (performance.now() < assumedAtMs) return null;
			plans.assume();
		}
		const before = new Set([...foreign.map(keyOf), ...forgotten.map(({ alarm }) => alarm)]);
		// What an Envoy had that has just come is known by its name, from the next round on.
		if (here !== null && isKnown) {
			const gateways = new Set([...leaving, ...plans.gateways, ...(served()?.keys() ?? [])]);
			foreign = plans.listeners.length === 0 ? [] : foreignListeners(here, gateways);
		}
		const { alarms: found, kept, results, skipped, uncounted } = await prober.round();
		forgotten = (await options.memory?.alarms()) ?? [];
		options.memory?.keep(prober.memory);
		const unread = tellUncounted(uncounted);
		const alarms = [...found, ...foreign, ...forgotten, ...unread.filter(({ rounds }) => rounds >= UNCOUNTED_ROUNDS)];
		/** One that stands as it stood is told once. */
		const fresh = [
			...found,
			...foreign.filter((one) => !before.has(keyOf(one))),
			...forgotten.filter(({ alarm }) => !before.has(alarm)),
			...unread.filter(({ rounds }) => rounds === UNCOUNTED_ROUNDS),
		];
		plans.noteSkipped(skipped);
		const unprobed = tellUnprobed();
		meter.count("weir_probe_rounds_total", "Rounds of the built-in probe.");
		meter.count("weir_probe_requests_total", "Probes sent.", {}, results.length);
		for (const alarm of fresh) {
			if (isEarly(alarm)) log.info("no verdict can be had yet", factsOf(alarm));
			else log.error(saidOf(alarm), factsOf(alarm));
		}
		if (results.length > 0) hasProbed = true;
		for (const { alarm, gateway } of fresh) {
			meter.count("weir_probe_alarms_total", "Alarms of the built-in probe.", { alarm, gateway });
			raised.set(`${alarm} ${gateway}`, { alarm, gateway });
		}
		tellStanding(new Set(alarms.map(({ alarm, gateway }) => `${alarm} ${gateway}`)));
		return {
			answers: results.map((result) => {
				const { gateway, service, guard, status } = result;
				const alarm = probeAlarm(result)?.alarm ?? null;
				return { gateway, service, guard, status, reason: deniedReason(result), alarm };
			}),
			unjudged: alarms.filter((one) => one.alarm === "served-unjudged"),
			refused: alarms.filter((one) => one.alarm === "connections-refused"),
			dropped: alarms.filter((one) => one.alarm === "entries-dropped"),
			past: alarms.filter((one) => one.alarm === "served-past-gateways"),
			uncounted: unread,
			foreign,
			forgotten,
			standing: kept.flatMap((one) =>
				"service" in one ? [{ alarm: one.alarm, gateway: one.gateway, service: one.service }] : [],
			),
			unprobed: [...unprobed, ...changedMeanwhile(skipped, unprobed)],
		};
	};
	/** Who asks while a round is under way is told of that one: askers queue no rounds. */
	let underWay: Promise<ProbeReport | null> | null = null;
	const shared = (): Promise<ProbeReport | null> => {
		underWay ??= round().finally(() => {
			underWay = null;
		});
		return underWay;
	};
	/** What the last round came to, for a while, and what the Envoy had then. */
	let told: { readonly untilMs: number; readonly served: string; readonly report: ProbeReport } | null = null;
	const recent = async (): Promise<ProbeReport | null> => {
		const now = stateOf(served());
		const isRecent = told !== null && performance.now() < told.untilMs && told.served === now;
		if (underWay === null && told !== null && isRecent) return told.report;
		const report = await shared();
		if (report !== null) told = { untilMs: performance.now() + PROBE_SHARED_MS, served: now, report };
		return report;
	};
	return {
		published: (declared) => {
			const isFirst = !plans.isDeclared;
			plans.declare(declared);
			if (!isFirst) return;
			assumedAtMs = performance.now() + intervalMs;
			void follow();
		},
		round: shared,
		recent,
		close: () => {
			closed = true;
			if (timer !== null) clearTimeout(timer);
		},
	};

	/** Whether no Envoy can be asked yet. One of this machine says so itself, for it serves on where xDS does not reach it. */
	async function isAwaited(): Promise<boolean> {
		return isStarting(adminSocket).catch((error: WeirError) => isNobodyThere(error) && !connected());
	}

	function tellStanding(standing: ReadonlySet<string>): void {
		for (const [key, labels] of raised)
			meter.gauge(PROBE_ALARM, "1 while the last round raised that alarm.", standing.has(key) ? 1 : 0, labels);
	}

	/** Of Gateways that are here, or may be; of the others it is told that they are not probed. */
	function tellUncounted(found: Uncounted | null): ProbeReport["uncounted"] {
		const unread =
			found === null
				? []
				: plans.listeners.flatMap(({ gateway }) =>
						here === null || here.has(gateway) ? [{ alarm: "verdicts-uncounted", gateway, ...found } as const] : [],
					);
		const standing = new Set<string>();
		for (const { gateway, why, rounds } of unread) {
			if (rounds < UNCOUNTED_ROUNDS) continue;
			standing.add(`${gateway} ${why}`);
			blind.set(`${gateway} ${why}`, { gateway, why });
		}
		for (const [key, labels] of blind)
			meter.gauge(
				PROBE_UNCOUNTED,
				"1 while the counters of that Gateway's Envoy cannot be read.",
				standing.has(key) ? 1 : 0,
				labels,
			);
		return unread;
	}

	function tellUnprobed(): readonly Unprobed[] {
		const left: Unprobed[] = [];
		for (const { gateway } of plans.listeners) {
			const why = way(gateway);
			const services = typeof why === "string" ? [] : plans.missingAt(gateway);
			if (typeof why === "string") left.push({ gateway, why });
			else if (services.length > 0) left.push({ gateway, why: MISSING, services });
		}
		const standing = new Set<string>();
		for (const { gateway, why, services } of left) {
			const labels = { gateway, why: services === undefined ? why : SOME_MISSING };
			standing.add(`${gateway} ${labels.why}`);
			leftOut.set(`${gateway} ${labels.why}`, labels);
		}
		for (const [key, labels] of leftOut)
			meter.gauge(PROBE_LEFT_OUT, "1 while that Gateway is not probed.", standing.has(key) ? 1 : 0, labels);
		return left;
	}

	/** Rounds until closed; soon where no Envoy is there yet. */
	async function follow(): Promise<void> {
		const ready = await shared().then(
			(report) => report !== null,
			(error: unknown) => {
				log.error("a round of the probe failed", { why: String(error) });
				return true;
			},
		);
		if (!closed) timer = setTimeout(() => void follow(), ready ? intervalMs : NO_ENVOY_YET_MS).unref();
	}
}

const NO_ENVOY_YET_MS = 500;

/** Rounds in a row in which counters could not be read, from which on that is an alarm: one may be slow. */
export const UNCOUNTED_ROUNDS = 2;

const keyOf = (one: ForeignListener): string => `${one.listener} ${addressOf(one)}`;

/** What was left out of this round alone, but for what is told already. */
function changedMeanwhile(skipped: ProbeRound["skipped"], told: readonly Unprobed[]): readonly Unprobed[] {
	const names = new Map<string, string[]>();
	for (const { gateway, service } of skipped) {
		if (told.some((one) => one.gateway === gateway && one.services?.includes(service) !== false)) continue;
		names.set(gateway, [...(names.get(gateway) ?? []), service]);
	}
	return [...names].map(([gateway, services]) => ({ gateway, why: CHANGED, services }));
}

/** Another text where other things are there to be probed. */
const stateOf = (served: Served | null): string =>
	JSON.stringify(
		[...(served ?? [])].map(([name, { plan, listener, coming }]) => [name, plan, listener, coming === null]),
	);

/** Or the one that is here was started where xDS did not reach it. */
const ELSEWHERE = "no Envoy of this machine has its listener";
const REFUSED = "its listener is refused (weir proxy-status)";
const LATE = "this machine's Envoy has not taken what is declared (weir proxy-status)";
const MISSING = "this machine's Envoy has not taken it, or it changes again and again (weir proxy-status)";
const CHANGED = "it changed while it was to be probed: ask again";
const SOME_MISSING = "some of its Services are not probed (weir probe)";
