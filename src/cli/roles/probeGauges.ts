/**
 * What stands of one Envoy's probe: for `weir status`, and as metrics, of which each is 1 for as long as it stands, and 0 when
 * it is over. A metric has no more than METRIC_LABEL_SETS_MAX of those apart, of all Envoys: `weir status` goes by none.
 */
import type { ProbeAlarm } from "../../access/bypass/probe.js";
import type { GatewayAlarm } from "../../state/api/wire.js";
import type { Labels, Meter } from "../../telemetry/meter.js";
import { type ProbeReport, UNCOUNTED_ROUNDS, type Unprobed } from "./probeReport.js";

/** One metric. */
interface Kind {
	readonly name: string;
	readonly help: string;
	readonly labels: (alarm: Known) => Labels;
	/** Those that ever stood, by their labels. */
	readonly known: Map<string, Known>;
	/** Keys of those that stand. */
	standing: ReadonlySet<string>;
}

type Known = Pick<GatewayAlarm, "gateway" | "alarm" | "why">;

const ofWhy = ({ gateway, why }: Known): Labels => ({ gateway, why: why ?? "" });

export class ProbeGauges {
	readonly #alarms: Kind = {
		name: "weir_probe_alarm",
		help: "1 while the last round raised that alarm.",
		labels: ({ alarm, gateway }) => ({ alarm: alarm ?? "", gateway }),
		...{ known: new Map(), standing: new Set() },
	};
	/** Gateways at which verdicts are not counted. */
	readonly #blind: Kind = {
		name: "weir_probe_uncounted",
		help: "1 while the counters of that Gateway's Envoy cannot be read.",
		labels: ofWhy,
		...{ known: new Map(), standing: new Set() },
	};
	readonly #leftOut: Kind = {
		name: "weir_probe_left_out",
		help: "1 while that Gateway is not probed.",
		labels: ofWhy,
		...{ known: new Map(), standing: new Set() },
	};

	#over = false;

	/** @param envoy name of an Envoy of another machine; empty = this machine's */
	constructor(
		private readonly meter: Pick<Meter, "gauge" | "count">,
		private readonly envoy: string,
	) {}

	/** They will be told as standing, or as over. */
	know(alarms: Iterable<{ readonly alarm: string; readonly gateway: string }>): void {
		for (const { alarm, gateway } of alarms)
			this.#alarms.known.set(`${alarm} ${gateway}`, { alarm, gateway, why: null });
	}

	get known(): ReadonlySet<string> {
		return new Set(this.#alarms.known.keys());
	}

	/** What stands now. */
	get now(): readonly GatewayAlarm[] {
		const of = this.envoy === "" ? {} : { envoy: this.envoy };
		return [this.#alarms, this.#blind, this.#leftOut].flatMap((kind) =>
			[...kind.known].flatMap(([key, one]) => {
				// With its cause it is told once.
				if (!kind.standing.has(key) || (kind === this.#alarms && one.alarm === UNCOUNTED)) return [];
				return [{ ...one, ...of }];
			}),
		);
	}

	/** Of one round. */
	count(probes: number): void {
		const { envoy, meter } = this;
		meter.count("weir_probe_rounds_total", "Rounds of the built-in probe.", { envoy });
		meter.count("weir_probe_requests_total", "Probes sent.", { envoy }, probes);
	}

	raise(fresh: Iterable<{ readonly alarm: string; readonly gateway: string }>): void {
		const { envoy, meter } = this;
		for (const { alarm, gateway } of fresh)
			meter.count("weir_probe_alarms_total", "Alarms of the built-in probe.", { alarm, gateway, envoy });
		this.know(fresh);
	}

	/** @param standing `ALARM GATEWAY` */
	standing(standing: ReadonlySet<string>): void {
		this.#tell(this.#alarms, standing);
	}

	uncounted(unread: ProbeReport["uncounted"]): void {
		const late = unread.filter(({ rounds }) => rounds >= UNCOUNTED_ROUNDS);
		this.#stand(
			this.#blind,
			late.map(({ gateway, why }) => ({ gateway, alarm: UNCOUNTED, why })),
		);
	}

	leftOut(left: readonly Unprobed[]): void {
		this.#stand(
			this.#leftOut,
			left.map(({ gateway, why, services }) => ({
				...{ gateway, alarm: null },
				why: services === undefined ? why : SOME_MISSING,
			})),
		);
	}

	/** Nothing stands any more, of whatever is known, nor will: a round may be under way. */
	end(): void {
		this.standing(new Set());
		this.uncounted([]);
		this.leftOut([]);
		this.#over = true;
	}

	#stand(kind: Kind, alarms: readonly Known[]): void {
		const standing = new Map(alarms.map((one) => [`${one.gateway} ${one.why}`, one]));
		for (const [key, one] of standing) kind.known.set(key, one);
		this.#tell(kind, new Set(standing.keys()));
	}

	#tell(kind: Kind, standing: ReadonlySet<string>): void {
		if (this.#over) return;
		const { envoy, meter } = this;
		kind.standing = standing;
		for (const [key, one] of kind.known)
			meter.gauge(kind.name, kind.help, standing.has(key) ? 1 : 0, { ...kind.labels(one), envoy });
		const alarms = this.now.filter(({ alarm }) => alarm !== null).length;
		meter.gauge("weir_probe_alarms_standing", "Alarms of the built-in probe that stand of that Envoy.", alarms, {
			envoy,
		});
	}
}

const UNCOUNTED: ProbeAlarm["alarm"] = "verdicts-uncounted";
const SOME_MISSING = "some of its Services are not probed (weir probe)";
