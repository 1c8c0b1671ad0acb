/**
 * No bypass: probes every listener of a protected Service on an interval, and watches that what is served was judged.
 * An alarm is a line in the log, a metric, and a line of `weir status` for as long as it stands.
 */
import { type ProbeAlarm, watchedListeners } from "../../access/probe.js";
import type { PlanTable } from "../../compiler/plan.js";
import { clientTls } from "../../identity/nodeTls.js";
import type { Identity } from "../../identity/svid.js";
import { PROBE_INTERVAL_MS } from "../../limits.js";
import { Prober, type ProbeTarget } from "../../probe/prober.js";
import { type Gateway, qualifiedName } from "../../resources/resource.js";
import type { Log } from "../../telemetry/log.js";
import type { Meter } from "../../telemetry/meter.js";

export interface WatchOptions {
	readonly log: Log;
	readonly meter: Meter;
	/** null = Gateways that demand a certificate cannot be probed from here. */
	readonly identity: Identity | null;
	readonly adminSocket: string | null;
	/** Whether an Envoy is there to be asked. */
	readonly connected: () => boolean;
	readonly intervalMs?: number;
}

export interface Watch {
	/** What Envoys serve now; the first call begins the rounds. */
	served(gateways: readonly Gateway[], table: PlanTable): void;
	/** One round, now. */
	round(): Promise<void>;
	close(): void;
}

export function watchForBypass(options: WatchOptions): Watch {
	const { log, meter, identity, adminSocket, connected, intervalMs = PROBE_INTERVAL_MS } = options;
	let gateways: ReadonlyMap<string, Gateway> = new Map();
	let table: PlanTable = { gateways: [], services: [] };
	let timer: NodeJS.Timeout | null = null;
	let closed = false;
	let begun = false;
	/** Alarms that were ever raised, by their labels: one that is over is set to 0. */
	const raised = new Map<string, Readonly<Record<string, string>>>();
	const prober = new Prober({
		listeners: () => watchedListeners(table),
		target: (name) => targetOf(gateways.get(name), identity),
		adminSocket,
	});
	const round = async (): Promise<void> => {
		if (!connected()) return;
		const { alarms, probed } = await prober.round();
		meter.count("weir_probe_rounds_total", "Rounds of the built-in probe.");
		meter.count("weir_probe_requests_total", "Probes sent.", {}, probed);
		for (const alarm of alarms) log.error("requests may get past the verdict", factsOf(alarm));
		for (const { alarm, gateway } of alarms) {
			meter.count("weir_probe_alarms_total", "Alarms of the built-in probe.", { alarm, gateway });
			raised.set(`${alarm} ${gateway}`, { alarm, gateway });
		}
		const standing = new Set(alarms.map(({ alarm, gateway }) => `${alarm} ${gateway}`));
		for (const [key, labels] of raised)
			meter.gauge(PROBE_ALARM, "1 while the last round raised that alarm.", standing.has(key) ? 1 : 0, labels);
	};
	return {
		served: (newest, newTable) => {
			gateways = new Map(newest.map((gateway) => [qualifiedName(gateway.metadata), gateway]));
			table = newTable;
			if (!begun) void follow();
			begun = true;
		},
		round,
		close: () => {
			closed = true;
			if (timer !== null) clearTimeout(timer);
		},
	};

	/** Rounds until closed; soon where no Envoy is there yet. */
	async function follow(): Promise<void> {
		const ready = connected();
		await round();
		if (!closed) timer = setTimeout(() => void follow(), ready ? intervalMs : NO_ENVOY_YET_MS).unref();
	}
}

const NO_ENVOY_YET_MS = 500;

/** The gauge that `weir status` looks for. */
export const PROBE_ALARM = "weir_probe_alarm";

/** Only of scalars, for the log; no request of anybody is in it. */
function factsOf(alarm: ProbeAlarm): Readonly<Record<string, string | number>> {
	const { alarm: kind, gateway } = alarm;
	if (kind === "served-unjudged") {
		return { alarm: kind, gateway, services: alarm.services.join(","), judgedBy: alarm.judgedBy, served: alarm.served };
	}
	return { alarm: kind, gateway, service: alarm.service, status: alarm.status ?? "none" };
}

/** null = it cannot be reached from here: its files' CA has given us no certificate. */
function targetOf(gateway: Gateway | undefined, identity: Identity | null): ProbeTarget | null {
	if (gateway === undefined || gateway.spec.port === 0) return null;
	const { address, port, tls } = gateway.spec;
	const host = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
	if (tls === null) return { address: host, port, tls: null };
	if (tls.from === "files" || identity === null) return null;
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
