/** What stands of one Envoy's probe, as metrics: each is 1 for as long as it stands, and 0 when it is over. */
import type { Meter } from "../../telemetry/meter.js";
import { PROBE_ALARM, PROBE_LEFT_OUT, PROBE_UNCOUNTED } from "./probeAlarms.js";
import { type ProbeReport, UNCOUNTED_ROUNDS, type Unprobed } from "./probeReport.js";

type Labels = Readonly<Record<string, string>>;

export class ProbeGauges {
	/** Those that ever stood, by their labels. */
	readonly #alarms = new Map<string, Labels>();
	/** Gateways at which verdicts were ever not counted; likewise. */
	readonly #blind = new Map<string, Labels>();
	/** Gateways that were ever left out; likewise. */
	readonly #leftOut = new Map<string, Labels>();

	/** @param envoy name of an Envoy of another machine; empty = this machine's */
	constructor(
		private readonly meter: Pick<Meter, "gauge" | "count">,
		private readonly envoy: string,
	) {}

	/** They will be told as standing, or as over. */
	know(alarms: Iterable<{ readonly alarm: string; readonly gateway: string }>): void {
		for (const { alarm, gateway } of alarms) this.#alarms.set(`${alarm} ${gateway}`, { alarm, gateway });
	}

	get known(): ReadonlySet<string> {
		return new Set(this.#alarms.keys());
	}

	/** Of one round. */
	count(probes: number, fresh: Iterable<{ readonly alarm: string; readonly gateway: string }>): void {
		const { envoy, meter } = this;
		meter.count("weir_probe_rounds_total", "Rounds of the built-in probe.", { envoy });
		meter.count("weir_probe_requests_total", "Probes sent.", { envoy }, probes);
		for (const { alarm, gateway } of fresh)
			meter.count("weir_probe_alarms_total", "Alarms of the built-in probe.", { alarm, gateway, envoy });
		this.know(fresh);
	}

	/** @param standing `ALARM GATEWAY` */
	standing(standing: ReadonlySet<string>): void {
		this.#tell(PROBE_ALARM, "1 while the last round raised that alarm.", this.#alarms, standing);
	}

	uncounted(unread: ProbeReport["uncounted"]): void {
		const standing = new Set<string>();
		for (const { gateway, why, rounds } of unread) {
			if (rounds < UNCOUNTED_ROUNDS) continue;
			standing.add(`${gateway} ${why}`);
			this.#blind.set(`${gateway} ${why}`, { gateway, why });
		}
		const help = "1 while the counters of that Gateway's Envoy cannot be read.";
		this.#tell(PROBE_UNCOUNTED, help, this.#blind, standing);
	}

	leftOut(left: readonly Unprobed[]): void {
		const standing = new Set<string>();
		for (const { gateway, why, services } of left) {
			const labels = { gateway, why: services === undefined ? why : SOME_MISSING };
			standing.add(`${gateway} ${labels.why}`);
			this.#leftOut.set(`${gateway} ${labels.why}`, labels);
		}
		this.#tell(PROBE_LEFT_OUT, "1 while that Gateway is not probed.", this.#leftOut, standing);
	}

	/** Nothing stands any more, of whatever is known. */
	end(): void {
		this.standing(new Set());
		this.uncounted([]);
		this.leftOut([]);
	}

	#tell(name: string, help: string, known: ReadonlyMap<string, Labels>, standing: ReadonlySet<string>): void {
		const { envoy } = this;
		for (const [key, labels] of known) this.meter.gauge(name, help, standing.has(key) ? 1 : 0, { ...labels, envoy });
	}
}

const SOME_MISSING = "some of its Services are not probed (weir probe)";
