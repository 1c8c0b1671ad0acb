/**
 * No bypass: probes every listener of a protected Service on an interval, and watches that what is served was judged.
 * An alarm is a line in the log, a metric, and a line of `weir status` for as long as it stands. A Gateway that is not
 * probed is named there too, with the reason.
 */
import {
	addressOf,
	type Bound,
	type ForeignListener,
	foreignListeners,
	someOf,
} from "../../access/bypass/foreignListeners.js";
import { type ForgottenAlarms, type ProbeAlarm, underOwnNames } from "../../access/bypass/probe.js";
import { type AskListener, type EnvoyReach, isNobodyThere, isUnattended } from "../../access/bypass/reach.js";
import { ATTENDANCE_PROBES_MAX, PROBE_INTERVAL_MS } from "../../limits.js";
import { isStarting, readListeners, readNode } from "../../probe/envoyCounters.js";
import type { MemoryShelf } from "../../probe/memoryShelf.js";
import { Prober, type Uncounted } from "../../probe/prober.js";
import type { GatewayAlarm } from "../../state/api/wire.js";
import type { Log } from "../../telemetry/log.js";
import type { Meter } from "../../telemetry/meter.js";
import type { Served } from "../../xds/served.js";
import { factsOf, saidOf } from "./probeAlarms.js";
import { type Declared, ProbedPlans, type ProbedPlansOptions } from "./probedPlans.js";
import { ProbeGauges } from "./probeGauges.js";
import { answersOf, byKind, type ProbeReport, standingOf, UNCOUNTED_ROUNDS, type Unprobed } from "./probeReport.js";
import { wayTo } from "./probeWay.js";
import { AWAY, HERE, LATE, leftMeanwhile, NOT_YET, REFUSED, SHARED, STARTING, THERE } from "./probeWords.js";
import { SharedRounds } from "./sharedRounds.js";

export interface WatchOptions extends Pick<ProbedPlansOptions, "planOf"> {
	readonly log: Log;
	readonly meter: Meter;
	/** How its Envoy is asked, whose Gateways alone are probed. */
	readonly reach: EnvoyReach;
	/** Where that Envoy is another machine's; left out = it is this one's. */
	readonly remote?: RemoteEnvoy;
	/** Gateways that this machine's Envoy has not, and of which the watch of another one tells; left out = none. */
	readonly toldElsewhere?: (gateway: string) => boolean;
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

export interface RemoteEnvoy {
	/** The last segment of its SPIFFE id. */
	readonly name: string;
	/** Whether that Gateway is to be at it. */
	readonly isOwn: (gateway: string) => boolean;
	/** When its keeper attends, or has had time to. */
	readonly awaited: () => Promise<void>;
	/** Neither it nor its keeper is connected. */
	readonly isAway: () => boolean;
	/** How long a round may take before who asks is told of what stood. */
	readonly patienceMs: number;
	/** Its keeper has answered. */
	readonly answered: () => void;
	/** Its keeper has not answered for no longer than one may take that is about to try again. */
	readonly mayStillCome: () => boolean;
	/** Others have its id too, of which none is probed. */
	readonly isShared: () => boolean;
}

export interface Watch {
	/** What Envoys are to serve. The first one begins the rounds: of what this machine's has of it, as xDS knows. */
	published(declared: Declared): void;
	/**
	 * One round, now, or the one that is under way; null = no Envoy is there to be asked yet. Each compares counters with
	 * the last.
	 */
	round(): Promise<ProbeReport | null>;
	/**
	 * For who asks: the round that is under way, or the last one within PROBE_SHARED_MS of its end, or one now. Where that takes long
	 * at an Envoy of another machine, what stood.
	 */
	recent(): Promise<ProbeReport | null>;
	/** Its Envoy, or whoever tells of it, has come or gone: a round soon. */
	look(): void;
	/** What stands now, as `weir status` tells it. */
	standing(): readonly GatewayAlarm[];
	/** What stands is told no more. */
	forget(): void;
	close(): void;
}

export function watchForBypass(options: WatchOptions): Watch {
	const { log, meter, reach, remote, connected, intervalMs = PROBE_INTERVAL_MS } = options;
	const { admin } = reach;
	const words = remote === undefined ? HERE : THERE;
	const gauges = new ProbeGauges(meter, remote?.name ?? "");
	/** In the log. */
	const named = remote === undefined ? {} : { envoy: remote.name };
	const plans = new ProbedPlans({ planOf: options.planOf, patienceMs: intervalMs, nowMs: () => performance.now() });
	let timer: NodeJS.Timeout | null = null;
	let closed = false;
	/** Until then somebody may still say what the Envoy has. */
	let assumedAtMs = Number.POSITIVE_INFINITY;
	/** Listeners of its Envoy; null = it has never said them. */
	let here: ReadonlyMap<string, Bound | null> | null = null;
	/** Those that it said last; `here` are none while it is away. */
	let said: ReadonlyMap<string, Bound | null> | null = null;
	/** Its node. */
	let node = "";
	/** Those that are no Gateway's, where something is protected. */
	let foreign: readonly ForeignListener[] = [];
	let forgotten: readonly ForgottenAlarms[] = [];
	let unread: ProbeReport["uncounted"] = [];
	/** Whether the last round found it not to be starting: else it is asked again soon. */
	let isUp = true;
	/** Why no probe can be sent there, as its keeper does not answer. */
	let unreached: string | null = null;
	const served = (): Served | null => options.served(node);
	const isDeclaredThere = (gateway: string): boolean => remote === undefined || remote.isOwn(gateway);
	const listeners = () =>
		plans.listeners.filter(({ gateway }) => isDeclaredThere(gateway) || served()?.has(gateway) === true);
	/** Names that its Envoy's Gateways may have: those that are to be there, and those that it was given. */
	const gateways = (): readonly string[] => [
		...[...plans.gateways].filter(isDeclaredThere),
		...(served()?.keys() ?? []),
	];
	const way = (name: string): AskListener | string => {
		if (unreached !== null) return unreached;
		const gateway = plans.gateway(name);
		const bound = here?.get(name);
		const isRefused = served()?.get(name)?.refused === true;
		if (here !== null && bound === undefined) return isRefused ? REFUSED : words.elsewhere;
		if (gateway === undefined || gateway === null) return isRefused ? REFUSED : words.late;
		const found = wayTo(gateway, bound ?? null, reach.meshless);
		return typeof found === "string" ? found : reach.through(found);
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
		listeners,
		ask: (name) => {
			// What stood stands, as where nothing could be sent.
			if (unreached !== null) return async () => null;
			const found = way(name);
			return typeof found === "string" ? null : found;
		},
		admin,
		// Whatever its keeper says.
		...(remote === undefined ? {} : { known: () => plans.names(served()), together: ATTENDANCE_PROBES_MAX }),
		isCertain: (gateway, service) => plans.isCertain(served(), gateway, service),
		isSettled: (gateway) => plans.isSettled(served(), gateway),
		...(options.closed === undefined ? {} : { closed: options.closed }),
	});
	const raise = (fresh: readonly ProbeAlarm[]): void => {
		for (const alarm of fresh) {
			if (isEarly(alarm)) log.info("no verdict can be had yet", { ...named, ...factsOf(alarm) });
			else log.error(saidOf(alarm), { ...named, ...factsOf(alarm) });
		}
		gauges.raise(fresh);
	};
	/** Whether something of it is lost, also of one that is not asked. */
	const lookAtMemory = async (): Promise<void> => {
		const before = forgotten;
		forgotten = (await options.memory?.alarms()) ?? [];
		raise(forgotten.filter(({ alarm }) => !before.some((one) => one.alarm === alarm)));
	};
	/** What stands from the process before this one stands now. */
	const recall = async (): Promise<void> => {
		const known = (await options.memory?.recall()) ?? null;
		await lookAtMemory();
		if (known === null && forgotten.length === 0) return;
		if (known !== null) {
			prober.recall(known);
			gauges.know([...known.judged.standing, ...known.past.standing, ...known.raised.values()]);
		}
		inherited = gauges.known;
		gauges.standing(inherited);
	};
	const recalled = recall();
	const round = async (): Promise<ProbeReport | null> => {
		await recalled;
		if (!plans.isDeclared) return null;
		isUp = true;
		await remote?.awaited();
		if (remote?.isAway() === true) return unasked(AWAY);
		// One that hangs, or lost its admin socket, keeps those that it had: what it serves meanwhile is probed, and what it does not is an
		// alarm.
		const silent = (error: unknown) => {
			if (isUnattended(error)) unreached = words.unattended;
			return isNobodyThere(error) && (node === "" || !connected(node)) ? new Map<string, null>() : said;
		};
		unreached = null;
		// A Gateway that leaves is there until Envoy answers, which may be while it is asked.
		const leaving = gateways();
		// At once, for one that hangs lets each of them wait.
		const [awaited, found, name] = await Promise.all([
			isAwaited(),
			readListeners(admin).then((found) => {
				said = found;
				return found;
			}, silent),
			readNode(admin).catch(() => node),
		]);
		if (unreached === null) remote?.answered();
		if (awaited !== null && remote !== undefined) return unasked(awaited === "gone" ? AWAY : STARTING);
		if (awaited !== null) return null;
		if (unreached !== null && remote?.mayStillCome() === true) return unasked(NOT_YET);
		here = found;
		const isKnown = node === name;
		node = name;
		await plans.look(served());
		if (!plans.isKnown && here?.size !== 0) {
			if (performance.now() < assumedAtMs) return null;
			plans.assume();
		}
		const before = new Set(foreign.map(keyOf));
		// What an Envoy had that has just come is known by its name, from the next round on.
		if (here !== null && isKnown) {
			foreign = listeners().length === 0 ? [] : foreignListeners(here, new Set([...leaving, ...gateways()]));
		}
		const { alarms: all, kept, results, skipped, uncounted } = await prober.round();
		const own = new Set([...leaving, ...gateways()]);
		const raised = underOwnNames(all, (gateway) => own.has(gateway));
		await lookAtMemory();
		options.memory?.keep(prober.memory);
		tellUncounted(uncounted);
		const alarms = [...raised, ...foreign, ...forgotten, ...blind()];
		/** One that stands as it stood is told once. */
		const fresh = [
			...raised,
			...someOf(foreign.filter((one) => !before.has(keyOf(one)))),
			...unread.filter(({ rounds }) => rounds === UNCOUNTED_ROUNDS),
		];
		plans.noteSkipped(skipped);
		const unprobed = tellUnprobed();
		raise(fresh);
		if (results.length > 0) hasProbed = true;
		gauges.count(results.length);
		gauges.standing(keysOf(alarms));
		return {
			...byKind(alarms),
			answers: answersOf(results),
			uncounted: unread,
			foreign: someOf(foreign),
			forgotten,
			standing: standingOf(kept),
			unprobed: [...unprobed, ...leftMeanwhile(skipped, unprobed)],
		};
	};
	/** What stood of it when it was asked stands, for nobody knows better; but for what nobody answered, who has got past nothing. */
	const unasked = async (why: typeof AWAY | typeof STARTING | typeof NOT_YET): Promise<ProbeReport> => {
		await lookAtMemory();
		const { judged, past, raised } = prober.memory;
		const passed = [...raised.values()].filter(({ alarm }) => alarm !== "probe-unanswered");
		const counted = [...judged.standing, ...past.standing];
		const unprobed = allFor(why);
		isUp = why === AWAY;
		gauges.leftOut(unprobed);
		gauges.standing(keysOf([...counted, ...passed, ...foreign, ...forgotten, ...blind()]));
		return stood(passed, unprobed);
	};
	/** Of `unread`, what is an alarm. */
	const blind = () => unread.filter(({ rounds }) => rounds >= UNCOUNTED_ROUNDS);
	const allFor = (why: string): readonly Unprobed[] => listeners().map(({ gateway }) => ({ gateway, why }));
	const stood = (raised: Iterable<ProbeAlarm>, unprobed: readonly Unprobed[]): ProbeReport => ({
		...byKind([...prober.memory.judged.standing, ...prober.memory.past.standing]),
		answers: [],
		uncounted: unread,
		foreign: someOf(foreign),
		forgotten,
		standing: standingOf(raised),
		unprobed,
	});
	const rounds = new SharedRounds<ProbeReport>({
		round,
		holds: () => isUp,
		onFailed: failed,
		state: () => stateOf(served()),
		...(remote === undefined
			? {}
			: {
					late: {
						afterMs: remote.patienceMs,
						tell: () => gauges.leftOut(allFor(LATE)),
						report: () => stood(prober.memory.raised.values(), allFor(LATE)),
					},
				}),
	});
	return {
		published: (declared) => {
			const isFirst = !plans.isDeclared;
			plans.declare(declared);
			if (!isFirst) return;
			assumedAtMs = performance.now() + intervalMs;
			void follow();
		},
		round: () => rounds.now(),
		recent: () => rounds.recent(),
		look: () => rounds.again(),
		standing: () => gauges.now,
		forget: () => gauges.end(),
		close: () => {
			closed = true;
			rounds.close();
			if (timer !== null) clearTimeout(timer);
		},
	};

	/** Whether no Envoy can be asked yet. Each says so itself, for it serves on where xDS does not reach it. */
	async function isAwaited(): Promise<"starting" | "gone" | null> {
		return isStarting(admin).then(
			(starting) => (starting ? "starting" : null),
			(error: unknown) => (isNobodyThere(error) && !connected() ? "gone" : null),
		);
	}

	/** Of Gateways that are there, or may be; of the others it is told that they are not probed. */
	function tellUncounted(found: Uncounted | null): void {
		unread =
			found === null
				? []
				: listeners().flatMap(({ gateway }) =>
						here === null || here.has(gateway) ? [{ alarm: "verdicts-uncounted", gateway, ...found } as const] : [],
					);
		gauges.uncounted(unread);
	}

	function tellUnprobed(): readonly Unprobed[] {
		const left: Unprobed[] = [];
		for (const { gateway } of listeners()) {
			const why = way(gateway);
			const services = typeof why === "string" ? [] : plans.missingAt(gateway);
			if (why === words.elsewhere && options.toldElsewhere?.(gateway) === true) continue;
			if (typeof why === "string") left.push({ gateway, why });
			else if (services.length > 0) left.push({ gateway, why: words.missing, services });
			if (remote?.isShared() === true) left.push({ gateway, why: SHARED });
		}
		gauges.leftOut(left);
		return left;
	}

	function failed(error: unknown): void {
		log.error("a round of the probe failed", { ...named, why: String(error) });
	}

	/** Rounds until closed; soon where no Envoy is there yet. */
	async function follow(): Promise<void> {
		const ready = await rounds.now().then(
			(report) => report !== null && isUp,
			(error: unknown) => {
				failed(error);
				return true;
			},
		);
		if (!closed) timer = setTimeout(() => void follow(), ready ? intervalMs : NO_ENVOY_YET_MS).unref();
	}
}

const NO_ENVOY_YET_MS = 500;

const keysOf = (alarms: readonly ProbeAlarm[]): ReadonlySet<string> =>
	new Set(alarms.map(({ alarm, gateway }) => `${alarm} ${gateway}`));

const keyOf = (one: ForeignListener): string => `${one.listener} ${addressOf(one)}`;

/** Another text where other things are there to be probed. */
const stateOf = (served: Served | null): string =>
	JSON.stringify(
		[...(served ?? [])].map(([name, { plan, listener, coming }]) => [name, plan, listener, coming === null]),
	);
