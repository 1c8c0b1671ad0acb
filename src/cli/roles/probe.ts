/**
 * No bypass: probes every listener of a protected Service on an interval, and watches that what is served was judged.
 * An alarm is a line in the log, a metric, and a line of `weir status` for as long as it stands. A Gateway that is not
 * probed is named there too, with the reason.
 */
import {
	type DroppedEntries,
	deniedReason,
	type Guard,
	type ProbeAlarm,
	probeAlarm,
	type RefusedConnections,
	watchedListeners,
} from "../../access/probe.js";
import type { PlanTable } from "../../compiler/plan.js";
import type { WeirError } from "../../error.js";
import { clientTls } from "../../identity/nodeTls.js";
import type { Identity } from "../../identity/svid.js";
import { PROBE_INTERVAL_MS, PROBE_SHARED_MS } from "../../limits.js";
import { isNobodyThere, isStarting, readListeners, readNode } from "../../probe/envoyCounters.js";
import { Prober, type ProbeTarget } from "../../probe/prober.js";
import { type Gateway, qualifiedName, tlsFiles } from "../../resources/resource.js";
import type { GatewayAlarm } from "../../state/wire.js";
import type { Log } from "../../telemetry/log.js";
import type { Meter, MetricsJson } from "../../telemetry/meter.js";

export interface WatchOptions {
	readonly log: Log;
	readonly meter: Meter;
	/** null = Gateways that demand a certificate cannot be probed from here. */
	readonly identity: Identity | null;
	/** Of the Envoy of this machine, whose Gateways alone are probed; null = all Gateways are this machine's. */
	readonly adminSocket: string | null;
	/** Whether an Envoy that has what it serves from xDS is connected: where none of this machine's answers, one is elsewhere. */
	readonly connected: () => boolean;
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
	/** Gateways that were left out. */
	readonly unprobed: readonly { readonly gateway: string; readonly why: string }[];
}

export interface Watch {
	/** What Envoys are to serve. Where none says for an interval that it has it, rounds begin with that. */
	published(gateways: readonly Gateway[], table: PlanTable): void;
	/**
	 * What Envoys serve now; the first call begins the rounds.
	 * @param refusedBy by node of an Envoy: Gateways whose listeners it refuses. What they were before it serves, if they were
	 */
	served(gateways: readonly Gateway[], table: PlanTable, refusedBy?: ReadonlyMap<string, ReadonlySet<string>>): void;
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
	let gateways: ReadonlyMap<string, Gateway> = new Map();
	/** The same by node, of Envoys that were ever connected: of what one refuses it has what was before. */
	let served: ReadonlyMap<string, ReadonlyMap<string, Gateway>> = new Map();
	let refused: ReadonlyMap<string, ReadonlySet<string>> = new Map();
	let table: PlanTable = { gateways: [], services: [] };
	let timer: NodeJS.Timeout | null = null;
	/** Until somebody has what is published. */
	let unsaid: { readonly timer: NodeJS.Timeout; readonly serve: () => void } | null = null;
	let closed = false;
	let begun = false;
	/** Alarms that were ever raised, by their labels: one that is over is set to 0. */
	const raised = new Map<string, Readonly<Record<string, string>>>();
	/** Gateways that were ever left out, by their labels; likewise. */
	const leftOut = new Map<string, Readonly<Record<string, string>>>();
	/** Listeners of this machine's Envoy. */
	let here: ReadonlySet<string> | null = null;
	/** Its node. */
	let node = "";
	const wayTo = (name: string): ProbeTarget | string => {
		const gateway = (served.get(node) ?? gateways).get(name);
		const isHere = here?.has(name) !== false;
		if (refused.get(node)?.has(name) && (gateway === undefined || !isHere)) return REFUSED;
		return isHere ? targetOf(gateway, identity) : ELSEWHERE;
	};
	const prober = new Prober({
		listeners: () => watchedListeners(table),
		target: (name) => {
			const way = wayTo(name);
			return typeof way === "string" ? null : way;
		},
		adminSocket,
		...(options.closed === undefined ? {} : { closed: options.closed }),
	});
	const round = async (): Promise<ProbeReport | null> => {
		if (!begun || (await isAwaited())) return null;
		// One that hangs keeps those that it had: what it serves meanwhile is probed, and what it does not is an alarm.
		const silent = (error: WeirError) => (isNobodyThere(error) ? new Set<string>() : here);
		here = adminSocket === null ? null : await readListeners(adminSocket).catch(silent);
		if (adminSocket !== null) node = await readNode(adminSocket).catch(() => node);
		const unprobed = tellUnprobed();
		const { alarms, results } = await prober.round();
		meter.count("weir_probe_rounds_total", "Rounds of the built-in probe.");
		meter.count("weir_probe_requests_total", "Probes sent.", {}, results.length);
		for (const alarm of alarms) log.error(saidOf(alarm), factsOf(alarm));
		for (const { alarm, gateway } of alarms) {
			meter.count("weir_probe_alarms_total", "Alarms of the built-in probe.", { alarm, gateway });
			raised.set(`${alarm} ${gateway}`, { alarm, gateway });
		}
		const standing = new Set(alarms.map(({ alarm, gateway }) => `${alarm} ${gateway}`));
		for (const [key, labels] of raised)
			meter.gauge(PROBE_ALARM, "1 while the last round raised that alarm.", standing.has(key) ? 1 : 0, labels);
		return {
			answers: results.map((result) => {
				const { gateway, service, guard, status } = result;
				const alarm = probeAlarm(result)?.alarm ?? null;
				return { gateway, service, guard, status, reason: deniedReason(result), alarm };
			}),
			unjudged: alarms.filter((one) => one.alarm === "served-unjudged"),
			refused: alarms.filter((one) => one.alarm === "connections-refused"),
			dropped: alarms.filter((one) => one.alarm === "entries-dropped"),
			unprobed,
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
	/** What the last round came to, for a while. */
	let told: { readonly untilMs: number; readonly report: ProbeReport } | null = null;
	const recent = async (): Promise<ProbeReport | null> => {
		if (underWay === null && told !== null && performance.now() < told.untilMs) return told.report;
		const report = await shared();
		if (report !== null) told = { untilMs: performance.now() + PROBE_SHARED_MS, report };
		return report;
	};
	const take: Watch["served"] = (newest, newTable, refusedBy = new Map()) => {
		const named = newest.map((gateway) => [qualifiedName(gateway.metadata), gateway] as const);
		const before = (one: string): ReadonlyMap<string, Gateway> => served.get(one) ?? gateways;
		// One that is away goes on with what it had.
		served = new Map([
			...served,
			...[...refusedBy].map(([one, names]) => {
				const kept = named.map(([name, gateway]) => [name, names.has(name) ? before(one).get(name) : gateway] as const);
				const has = kept.flatMap(([name, gateway]) => (gateway === undefined ? [] : [[name, gateway] as const]));
				return [one, new Map(has)] as const;
			}),
		]);
		gateways = new Map(named);
		refused = new Map([...refused, ...refusedBy]);
		table = newTable;
		told = null;
		if (begun) return;
		begun = true;
		if (unsaid !== null) clearTimeout(unsaid.timer);
		void follow();
	};
	return {
		published: (newest, newTable) => {
			if (begun) return;
			const timer = unsaid?.timer ?? setTimeout(() => unsaid?.serve(), intervalMs).unref();
			unsaid = { timer, serve: () => take(newest, newTable) };
		},
		served: take,
		round: shared,
		recent,
		close: () => {
			closed = true;
			if (timer !== null) clearTimeout(timer);
			if (unsaid !== null) clearTimeout(unsaid.timer);
		},
	};

	/** Whether no Envoy can be asked yet. One of this machine says so itself, for it serves on where xDS does not reach it. */
	async function isAwaited(): Promise<boolean> {
		if (adminSocket === null) return !connected();
		return isStarting(adminSocket).catch((error: WeirError) => isNobodyThere(error) && !connected());
	}

	function tellUnprobed(): ProbeReport["unprobed"] {
		const standing = new Set<string>();
		const left: { readonly gateway: string; readonly why: string }[] = [];
		for (const { gateway } of watchedListeners(table)) {
			const why = wayTo(gateway);
			if (typeof why !== "string") continue;
			standing.add(`${gateway} ${why}`);
			left.push({ gateway, why });
			leftOut.set(`${gateway} ${why}`, { gateway, why });
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

/** Or the one that is here was started where xDS did not reach it. */
const ELSEWHERE = "no Envoy of this machine has its listener";
const REFUSED = "its listener is refused (weir proxy-status)";

/** The gauges that `weir status` is told by. */
const PROBE_ALARM = "weir_probe_alarm";
const PROBE_LEFT_OUT = "weir_probe_left_out";

/** What stands now, by the metrics of the process that watches. */
export function standingAlarms({ metrics }: MetricsJson): readonly GatewayAlarm[] {
	return (metrics as readonly GaugeJson[]).flatMap(({ name, values }) => {
		if (name !== PROBE_ALARM && name !== PROBE_LEFT_OUT) return [];
		return values.flatMap(({ value, labels: { gateway = "", alarm = null, why = null } }) =>
			value === 1 ? [{ gateway, alarm, why }] : [],
		);
	});
}

/** As prom-client tells a gauge. */
interface GaugeJson {
	readonly name: string;
	readonly values: readonly { readonly value: number; readonly labels: Readonly<Record<string, string>> }[];
}

function saidOf({ alarm }: ProbeAlarm): string {
	if (alarm === "connections-refused") return "connections of clients are refused";
	if (alarm === "entries-dropped") return "Envoy drops access-log entries";
	// What nobody answers, or nobody but Envoy with 503, has got past nothing.
	return alarm === "probe-unanswered" ? "the probe was given no verdict" : "requests may get past the verdict";
}

/** Only of scalars, for the log; no request of anybody is in it. */
function factsOf(alarm: ProbeAlarm): Readonly<Record<string, string | number>> {
	const { alarm: kind, gateway } = alarm;
	if (kind === "served-unjudged") {
		return { alarm: kind, gateway, services: alarm.services.join(","), judgedBy: alarm.judgedBy, served: alarm.served };
	}
	if (kind === "connections-refused") return { alarm: kind, gateway, refused: alarm.refused };
	if (kind === "entries-dropped") return { alarm: kind, gateway, dropped: alarm.dropped };
	const facts = { alarm: kind, gateway, service: alarm.service, status: alarm.status ?? "none" };
	return kind === "probe-unanswered" && alarm.why !== null ? { ...facts, why: alarm.why } : facts;
}

/** @returns why it cannot be probed, in words */
function targetOf(gateway: Gateway | undefined, identity: Identity | null): ProbeTarget | string {
	if (gateway === undefined || gateway.spec.port === 0) return "its port is not known";
	const { address, port, tls } = gateway.spec;
	const host = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
	if (tls === null) return { address: host, port, tls: null };
	const files = tlsFiles(gateway);
	if (files !== null) {
		if (files.clientCaFile !== null) return "it demands a client certificate of its own CA";
		// Its certificate is of whatever CA, and for the names of Services. Nothing secret is sent, and who could answer
		// in Envoy's place on this machine can read Envoy's key too.
		return { address: host, port, tls: () => ({ rejectUnauthorized: false }) };
	}
	if (identity === null) return "it demands a client certificate, and control has no identity";
	return {
		address: host,
		port,
		tls: () => {
			const { cert, key, ca, servername, checkServerIdentity } = clientTls(identity, (id) =>
				/\/weir\/envoy\/[^/]+$/.test(id),
			);
			return {
				cert,
				key,
				ca,
				...(servername === undefined ? {} : { servername }),
				...(checkServerIdentity === undefined ? {} : { checkServerIdentity }),
			};
		},
	};
}
