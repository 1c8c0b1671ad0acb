/**
 * What Envoys of other machines go without, that control can tell: an access log, so that their denials and exposures are
 * lost, or a sidecar beside each, where Services need one.
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

export class RemoteEnvoys {
	readonly #options: Required<RemoteEnvoysOptions>;
	/** When each last reported that it had served requests, by its id. */
	readonly #servedMs = new Map<string, number>();
	/** Since when there are fewer sidecars than Envoys. */
	#fewSinceMs: number | null = null;

	constructor(options: RemoteEnvoysOptions) {
		this.#options = { nowMs: Date.now, ...options };
	}

	/** @param loads none: it is gone */
	reported(id: string, loads: readonly ClusterLoad[]): void {
		if (loads.length === 0) this.#servedMs.delete(id);
		else if (loads.some(({ succeeded, failed }) => succeeded + failed > 0))
			this.#servedMs.set(id, this.#options.nowMs());
	}

	/** To be called when somebody comes or goes, and when something else is published. */
	look(): void {
		const few = this.#options.asksSidecar() && this.#sidecars < this.#envoys.size;
		this.#fewSinceMs = few ? (this.#fewSinceMs ?? this.#options.nowMs()) : null;
	}

	async troubles(): Promise<readonly GatewayAlarm[]> {
		const envoys = this.#envoys;
		if (envoys.size === 0) return [];
		const gauges = gaugesOf(await this.#options.ingested());
		return [...this.#withoutSidecar(envoys), ...[...envoys].flatMap(([id, name]) => this.#unheard(id, name, gauges))];
	}

	#withoutSidecar(envoys: ReadonlyMap<string, string>): readonly GatewayAlarm[] {
		const sinceMs = this.#fewSinceMs;
		// A connection ends before its certificate does, and is there again at once.
		if (sinceMs === null || this.#options.nowMs() - sinceMs < REMOTE_LACK_PATIENCE_MS) return [];
		const why = `Envoys of other machines: ${envoys.size}, sidecars there that follow control: ${this.#sidecars}`;
		const gateways = new Set([...envoys.keys()].flatMap((id) => this.#options.gatewaysOf(id) ?? [""]));
		return [...gateways].map((gateway) => ({ gateway, alarm: "sidecar-missing", why }));
	}

	/** Its stream opens with its first entry, so that silence alone tells nothing. */
	#unheard(id: string, name: string, gauges: readonly GaugeJson[]): readonly GatewayAlarm[] {
		const startedMs = newestMs(gauges, GAUGES.started.name, () => true);
		// Nobody knows.
		if (startedMs === null) return [];
		const heardMs = newestMs(gauges, GAUGES.heard.name, ({ envoy }) => envoy === id);
		const sinceMs = heardMs ?? startedMs;
		const since = `ingest has heard nothing of Envoy ${name} since ${new Date(sinceMs).toISOString()}`;
		const lost = (this.#servedMs.get(id) ?? 0) - sinceMs > REMOTE_UNHEARD_MS;
		if (!lost && heardMs !== null) return [];
		const told = lost
			? { alarm: "requests-unrecorded", why: `${since}, though it serves: see its --access-log` }
			: { alarm: REMOTE_NOTE, why: `${since}: it was asked nothing, or its access log leads nowhere` };
		return (this.#options.gatewaysOf(id) ?? [""]).map((gateway) => ({ gateway, ...told }));
	}

	/** Names by id. */
	get #envoys(): ReadonlyMap<string, string> {
		return new Map(
			this.#options.peers().flatMap(({ kind, id, name }) => (kind === "envoy" ? [[id, name] as const] : [])),
		);
	}

	get #sidecars(): number {
		return this.#options.peers().filter(({ kind }) => kind === "sidecar").length;
	}
}

function newestMs(
	gauges: readonly GaugeJson[],
	name: string,
	wanted: (labels: Readonly<Record<string, string>>) => boolean,
): number | null {
	const values = gauges.find((one) => one.name === name)?.values.filter(({ labels }) => wanted(labels)) ?? [];
	return values.length === 0 ? null : Math.max(...values.map(({ value }) => value * 1_000));
}
