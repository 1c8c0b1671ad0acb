/**
 * What Envoys of other machines go without, that control can tell: an access log, so that their denials and exposures are
 * lost, a sidecar beside each, where Services need one, an id of their own, or control itself.
 */
import { GAUGES } from "../../events/meter.js";
import { REMOTE_LACK_PATIENCE_MS, REMOTE_STALE_MS, REMOTE_UNHEARD_MS, XDS_CLIENT_AWAY_MS } from "../../limits.js";
import { type GatewayAlarm, REMOTE_NOTE } from "../../state/api/wire.js";
import type { MetricsJson } from "../../telemetry/meter.js";
import type { ClusterLoad } from "../../xds/loadReports.js";
import { envoysOf, type RemotePeer, type RemoteStream } from "../../xds/peer.js";
import { type GaugeJson, gaugesOf } from "./probeAlarms.js";
import { AWAY, SHARED } from "./probeWords.js";

export interface RemoteEnvoysOptions {
	/** Who has come by mTLS, one for each stream that is open. */
	readonly peers: () => readonly RemoteStream[];
	/** Qualified names of the Gateways of an Envoy's id; null = all. */
	readonly gatewaysOf: (id: string) => readonly string[] | null;
	/** Whether something is published that asks the sidecar. */
	readonly asksSidecar: () => boolean;
	/** ingest's; null = it does not answer. */
	readonly ingested: () => Promise<MetricsJson | null>;
	/** When control's own SVID ends, or has ended; left out where it has none. */
	readonly ownEndMs?: () => number;
	readonly nowMs?: () => number;
}

/** An Envoy's id that was connected since this process started. */
interface Known {
	readonly name: string;
	/** How many seem to have it, by their open streams. */
	readonly envoys: number;
	/** Since when none has; null = one has. */
	readonly goneSinceMs: number | null;
	/** Since when several have; null = they have not. */
	readonly sharedSinceMs: number | null;
}

interface ServedBy {
	readonly atMs: number;
	/** Processes that were connected then, of those that say which they are. */
	readonly instances: ReadonlySet<string>;
}

export class RemoteEnvoys {
	readonly #options: Required<RemoteEnvoysOptions>;
	/** When each last reported that it had served requests, by its id. */
	readonly #served = new Map<string, ServedBy>();
	/** By id. */
	readonly #known = new Map<string, Known>();
	/** Since when there are fewer sidecars than Envoys. */
	#fewSinceMs: number | null = null;

	constructor(options: RemoteEnvoysOptions) {
		this.#options = { nowMs: Date.now, ownEndMs: () => Number.POSITIVE_INFINITY, ...options };
	}

	/** @param loads none: one of its streams has ended, which takes back nothing */
	reported(id: string, loads: readonly ClusterLoad[]): void {
		if (!loads.some(({ succeeded, failed }) => succeeded + failed > 0)) return;
		this.#served.set(id, { atMs: this.#options.nowMs(), instances: instancesOf(this.#envoysOf(id)) });
	}

	/** To be called when somebody comes or goes, and when something else is published. */
	look(): void {
		const nowMs = this.#options.nowMs();
		const names = new Map([...this.#known].map(([id, { name }]) => [id, name]));
		for (const { id, name } of this.#streams("envoy")) names.set(id, name);
		for (const [id, name] of names) {
			const before = this.#known.get(id);
			const open = this.#envoysOf(id);
			const number = envoysOf(open);
			if (number > 0 && !this.#isSame(id, open, before?.goneSinceMs ?? null)) this.#served.delete(id);
			this.#known.set(id, {
				...{ name, envoys: number },
				goneSinceMs: number === 0 ? (before?.goneSinceMs ?? nowMs) : null,
				sharedSinceMs: number > 1 ? (before?.sharedSinceMs ?? nowMs) : null,
			});
		}
		const few = this.#options.asksSidecar() && envoysOf(this.#streams("sidecar")) < this.#envoys;
		this.#fewSinceMs = few ? (this.#fewSinceMs ?? nowMs) : null;
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

	/** Whether what this tells of an Envoy at that Gateway says more than that it is not probed for the same cause. */
	saysMore({ alarm, gateway, why, envoy }: GatewayAlarm): boolean {
		if (alarm !== null) return false;
		return [...this.#known].some(([id, one]) => {
			if (one.name !== envoy || !this.#gatewaysOf(id).includes(gateway)) return false;
			return (why === AWAY && this.#lasts(one.goneSinceMs)) || (why === SHARED && this.#isShared(one));
		});
	}

	#withoutSidecar(): readonly GatewayAlarm[] {
		if (!this.#lasts(this.#fewSinceMs)) return [];
		const why = `Envoys of other machines: ${this.#envoys}, sidecars there that follow control: ${envoysOf(this.#streams("sidecar"))}`;
		const gateways = new Set(this.#streams("envoy").flatMap(({ id }) => this.#gatewaysOf(id)));
		return [...gateways].map((gateway) => ({ gateway, alarm: "sidecar-missing", why }));
	}

	#missed(id: string, { name, goneSinceMs }: Known, gauges: readonly GaugeJson[]): readonly GatewayAlarm[] {
		if (goneSinceMs === null || !this.#lasts(goneSinceMs)) return this.#unheard(id, name, gauges);
		const endMs = this.#options.ownEndMs();
		// It would be no use to look at the Envoy.
		const cause =
			endMs <= this.#options.nowMs()
				? `control's own identity has ended at ${dateOf(endMs)}, so that nobody can connect to it`
				: "it has ended, or serves by what it had";
		const why = `Envoy ${name} is not connected to control since ${dateOf(goneSinceMs)}: ${cause}`;
		return this.#gatewaysOf(id).map((gateway) => ({ gateway, alarm: REMOTE_NOTE, why }));
	}

	/** What is told of an Envoy is told by its id. */
	#shared(id: string, one: Known): readonly GatewayAlarm[] {
		if (!this.#isShared(one)) return [];
		const why = `${one.envoys} Envoys have the SPIFFE id ${id}: one is probed, and where one goes, or is not recorded, that is not seen; give each its own`;
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
		const lost = (this.#served.get(id)?.atMs ?? 0) - sinceMs > REMOTE_UNHEARD_MS;
		if (!lost && heardMs !== null) return [];
		const told = lost
			? { alarm: "requests-unrecorded", why: `${since}, though it serves: see its --access-log` }
			: { alarm: REMOTE_NOTE, why: `${since}: it was asked nothing, or its access log leads nowhere` };
		return this.#gatewaysOf(id).map((gateway) => ({ gateway, ...told }));
	}

	/** Whether who served may still be it: a process that was started anew may be recorded by now. */
	#isSame(id: string, open: readonly RemoteStream[], goneSinceMs: number | null): boolean {
		if (goneSinceMs !== null && this.#options.nowMs() - goneSinceMs >= XDS_CLIENT_AWAY_MS) return false;
		const before = this.#served.get(id)?.instances ?? new Set();
		const now = instancesOf(open);
		return before.size === 0 || now.size === 0 || [...now].some((one) => before.has(one));
	}

	/** A sidecar each is needed: of an id as many as certainly have it. */
	get #envoys(): number {
		return [...this.#known.values()].reduce(
			(sum, one) => sum + (this.#isShared(one) ? one.envoys : Math.min(one.envoys, 1)),
			0,
		);
	}

	#isShared({ sharedSinceMs }: Known): boolean {
		return sharedSinceMs !== null && this.#options.nowMs() - sharedSinceMs >= REMOTE_STALE_MS;
	}

	/** A connection ends before its certificate does, and is there again at once; an Envoy's next one is open before. */
	#lasts(sinceMs: number | null): boolean {
		return sinceMs !== null && this.#options.nowMs() - sinceMs >= REMOTE_LACK_PATIENCE_MS;
	}

	/** Qualified names; empty = every one. */
	#gatewaysOf(id: string): readonly string[] {
		return this.#options.gatewaysOf(id) ?? [""];
	}

	#envoysOf(id: string): readonly RemoteStream[] {
		return this.#streams("envoy").filter((one) => one.id === id);
	}

	#streams(kind: RemotePeer["kind"]): readonly RemoteStream[] {
		return this.#options.peers().filter((one) => one.kind === kind);
	}
}

const instancesOf = (streams: readonly RemoteStream[]): ReadonlySet<string> =>
	new Set(streams.flatMap(({ instance }) => instance ?? []));

const dateOf = (ms: number): string => new Date(ms).toISOString();

function newestMs(
	gauges: readonly GaugeJson[],
	name: string,
	wanted: (labels: Readonly<Record<string, string>>) => boolean,
): number | null {
	const values = gauges.find((one) => one.name === name)?.values.filter(({ labels }) => wanted(labels)) ?? [];
	return values.length === 0 ? null : Math.max(...values.map(({ value }) => value * 1_000));
}
