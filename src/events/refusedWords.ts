/**
 * Words of Envoys' keepers that were refused: each counted, and recorded once a minute with their number by who it was and
 * why, for a keeper asks again and again, as long as it lives.
 */
import { Digest } from "../digest.js";
import { HANDSHAKE_FAULTS_TOLD_MS } from "../limits.js";
import type { StreamFault } from "./accessLog/streamIdentity.js";
import { COUNTERS, type Meter } from "./meter.js";

export interface RefusedWordsOptions {
	/** @param id SPIFFE id of the caller; null = it proved none */
	readonly record: (fault: StreamFault, id: string | null, count: number) => void;
	readonly meter: Meter;
}

export class RefusedWords {
	/** By fault and id, as JSON. */
	readonly #digest: Digest<string>;

	constructor(private readonly options: RefusedWordsOptions) {
		this.#digest = new Digest((kind, count) => {
			const [fault, id] = JSON.parse(kind) as [StreamFault, string | null];
			options.record(fault, id, count);
		}, HANDSHAKE_FAULTS_TOLD_MS);
	}

	add(fault: StreamFault, id: string | null): void {
		this.options.meter.count(COUNTERS.streams.name, COUNTERS.streams.help, { reason: fault });
		this.#digest.add(JSON.stringify([fault, id]));
	}

	/** Records what is not told yet. */
	close(): void {
		this.#digest.close();
	}
}
