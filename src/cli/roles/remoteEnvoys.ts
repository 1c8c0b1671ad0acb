/**
 * What Envoys of other machines go without, that control can tell: an access log, so that their denials and exposures are
 * lost, a sidecar beside each, where Services need one, an id of their own, or control itself.
 */
import { GAUGES } from "../../events/meter.js";
import { REMOTE_LACK_PATIENCE_MS, REMOTE_UNHEARD_MS } from "../../limits.js";
import { type GatewayAlarm, REMOTE_NOTE } from "../../state/api/wire.js";
import type { MetricsJson } from "../../telemetry/meter.js";
import type { ClusterLoad } from "../../xds/loadReports.js";
import type { RemotePeer } from "../../xds/peer.js";
import { type GaugeJson, gaugesOf } from "./probeAlarms.js";

export interface RemoteEnvoysOptions {
	/** Who has come by mTLS, one for each stream that is open. */
	readonly peers: () => readonly RemotePeer[];
	/** Qualified names of the Gateways of an Envoy's id; null = all. */
	readonly gatewaysOf: (id: string) => readonly string[] | null;
	/** Whether something is published that asks the sidecar. */
	readonly asksSidecar: () => boolean;
	/** ingest's; null = it does not answer. */
	readonly ingested: () => Promise<MetricsJson | null>;
	readonly nowMs?: () => number;
}

/** An Envoy's id that was connected since this process started. */
interface Known {
	readonly name: string;
	/** Open streams: each Envoy has one. */
	readonly streams: number;
	/** Since when it has none; null = it has. */
	readonly goneSinceMs: number | null;
	/** Since when it has several; null = it has not. */
	readonly sharedSinceMs: number | null;
}

export class RemoteEnvoys {
	readonly #options: Required<RemoteEnvoysOptions>;
	/** When each last reported that it had served requests, by its id. */
	readonly #servedMs = new Map<string, number>();
	/** By id. */
	readonly #known = new Map<string, Known>();
	/** Since when there are fewer sidecars than Envoys. */
	#fewSinceMs: number | null = null;

	constructor(options: RemoteEnvoysOptions) {
		this.#options = { nowMs: Date.now, ...options };
	}

	/** @param loads none: one of its streams has ended, which takes back nothing */
	reported(id: string, loads: readonly ClusterLoad[]): void {
		if (loads.some(({ succeeded, failed }) => succeeded + failed > 0)) this.#servedMs.set(id, this.#options.nowMs());
	}

	/** To be called when somebody comes or goes, and when something else is published. */
	look(): void {
		const nowMs = this.#options.nowMs();
		const [envoys, sidecars] = [this.#streams("envoy"), this.#streams("sidecar")];
		const few = this.#options.asksSidecar() && sidecars.length < envoys.length;
		this.#fewSinceMs = few ? (this.#fewSinceMs ?? nowMs) : null;
		const names = new Map([...this.#known].map(([id, { name }]) => [id, name]));
		for (const { id, name } of envoys) names.set(id, name);
		for (const [id, name] of names) {
			const before = this.#known.get(id);
			const streams = envoys.filter((one) => one.id === id).length;
			this.#known.set(id, {
				...{ name, streams },
				goneSinceMs: streams === 0 ? (before?.goneSinceMs ?? nowMs) : null,
				sharedSinceMs: streams > 1 ? (before?.sharedSinceMs ?? nowMs) : null,
			});
		}
	}

	async troubles(): Promise<readonly GatewayAlarm[]> {
		this.look();
		const known = [...this.#known];
		if (known.length === 0) return [];
		const gauges = gaugesOf(await this.#options.ingested());
		return [
			...this.#withoutSidecar(),
			...known.flatMap(([id, one]) => [...this.#missed(id, one, gauges), ...this.#shared(id, one)]),
		];
	}

	#withoutSidecar(): readonly GatewayAlarm[] {
		if (!this.#lasts(this.#fewSinceMs)) return [];
		const envoys = this.#streams("envoy");
		const why = `Envoys of other machines: ${envoys.length}, sidecars there that follow control: ${this.#streams("sidecar").length}`;
		const gateways = new Set(envoys.flatMap(({ id }) => this.#gatewaysOf(id)));
		return [...gateways].map((gateway) => ({ gateway, alarm: "sidecar-missing", why }));
	}

	#missed(id: string, { name, goneSinceMs }: Known, gauges: readonly GaugeJson[]): readonly GatewayAlarm[] {
		if (goneSinceMs === null || !this.#lasts(goneSinceMs)) return this.#unheard(id, name, gauges);
		const why = `Envoy ${name} is not connected to control since ${dateOf(goneSinceMs)}: it has ended, or serves by what it had`;
		return this.#gatewaysOf(id).map((gateway) => ({ gateway, alarm: REMOTE_NOTE, why }));
	}

	/** What is told of an Envoy is told by its id. */
	#shared(id: string, { streams, sharedSinceMs }: Known): readonly GatewayAlarm[] {
		if (!this.#lasts(sharedSinceMs)) return [];
		const why = `${streams} Envoys have the SPIFFE id ${id}: where one of them goes, or is not recorded, that is not seen; give each its own`;
		return this.#gatewaysOf(id).map((gateway) => ({ gateway, alarm: REMOTE_NOTE, why }));
	}

	/** Its stream opens with its first entry, so that silence alone tells nothing. */
	#unheard(id: string, name: string, gauges: readonly GaugeJson[]): readonly GatewayAlarm[] {
		const startedMs = newestMs(gauges, GAUGES.started.name, () => true);
		// Nobody knows.
		if (startedMs === null) return [];
		const heardMs = newestMs(gauges, GAUGES.heard.name, ({ envoy }) => envoy === id);
		const sinceMs = heardMs ?? startedMs;
		const since = `ingest has heard nothing of Envoy ${name} since ${dateOf(sinceMs)}`;
		const lost = (this.#servedMs.get(id) ?? 0) - sinceMs > REMOTE_UNHEARD_MS;
		if (!lost && heardMs !== null) return [];
		const told = lost
			? { alarm: "requests-unrecorded", why: `${since}, though it serves: see its --access-log` }
			: { alarm: REMOTE_NOTE, why: `${since}: it was asked nothing, or its access log leads nowhere` };
		return this.#gatewaysOf(id).map((gateway) => ({ gateway, ...told }));
	}

	/** A connection ends before its certificate does, and is there again at once; an Envoy's next one is open before. */
	#lasts(sinceMs: number | null): boolean {
		return sinceMs !== null && this.#options.nowMs() - sinceMs >= REMOTE_LACK_PATIENCE_MS;
	}

	/** Qualified names; empty = every one. */
	#gatewaysOf(id: string): readonly string[] {
		return this.#options.gatewaysOf(id) ?? [""];
	}

	#streams(kind: RemotePeer["kind"]): readonly RemotePeer[] {
		return this.#options.peers().filter((one) => one.kind === kind);
	}
}

const dateOf = (ms: number): string => new Date(ms).toISOString();

function newestMs(
	gauges: readonly GaugeJson[],
	name: string,
	wanted: (labels: Readonly<Record<string, string>>) => boolean,
): number | null {
	const values = gauges.find((one) => one.name === name)?.values.filter(({ labels }) => wanted(labels)) ?? [];
	return values.length === 0 ? null : Math.max(...values.map(({ value }) => value * 1_000));
}
