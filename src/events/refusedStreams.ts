/**
 * Access-log streams of Envoys, and words of their keepers, that were refused: each counted, and recorded once a minute with
 * their number by who it was, why and for which Gateway. Both come again and again, as long as that Envoy lives.
 */
import { Digest } from "../digest.js";
import { HANDSHAKE_FAULTS_TOLD_MS } from "../limits.js";
import type { StreamFault } from "./accessLog/streamIdentity.js";
import { COUNTERS, type Meter } from "./meter.js";
import { ToldApart } from "./toldApart.js";

export interface RefusedStreamsOptions {
	/**
	 * @param id SPIFFE id of the caller; null = it proved none
	 * @param gateway that it was for; null = of all, it does not say, or one of too many
	 */
	readonly record: (fault: StreamFault, id: string | null, count: number, gateway: string | null) => void;
	readonly meter: Pick<Meter, "count">;
}

export class RefusedStreams {
	/** By fault, id and Gateway, as JSON. */
	readonly #digest: Digest<string>;
	readonly #gateways: ToldApart;

	/** @param everyMs between two records of one kind */
	constructor(
		private readonly options: RefusedStreamsOptions,
		everyMs = HANDSHAKE_FAULTS_TOLD_MS,
	) {
		this.#gateways = new ToldApart(everyMs);
		this.#digest = new Digest((kind, count) => {
			const [fault, id, gateway] = JSON.parse(kind) as [StreamFault, string | null, string | null];
			options.record(fault, id, count, gateway);
		}, everyMs);
	}

	/** @param gateway as it may be shown */
	add(fault: StreamFault, id: string | null, gateway: string | null): void {
		this.options.meter.count(COUNTERS.streams.name, COUNTERS.streams.help, { reason: fault });
		this.#digest.add(JSON.stringify([fault, id, gateway === null ? null : this.#gateways.of(id, gateway)]));
	}

	/** Records what is not told yet. */
	close(): void {
		this.#digest.close();
	}
}
