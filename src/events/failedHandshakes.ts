/** TLS handshakes at ingest's TCP doors that failed, whoever it was: each counted, and recorded once a minute with their number. */
import { Digest } from "../digest.js";
import type { HandshakeFault } from "../handshake.js";
import { HANDSHAKE_FAULTS_TOLD_MS } from "../limits.js";
import { type DecisionRecord, NOTHING_ELSE } from "./decisions/decisionRecord.js";
import { COUNTERS, type Meter } from "./meter.js";

export interface FailedHandshakesOptions {
	readonly door: "access-log" | "outcomes";
	/** Takes a record for the decision log; must not throw. */
	readonly refused: (record: DecisionRecord) => void;
	readonly clock: () => number;
	readonly meter: Meter;
}

export class FailedHandshakes {
	readonly #digest: Digest<HandshakeFault>;

	constructor(readonly options: FailedHandshakesOptions) {
		const { door, refused, clock } = options;
		const kind = door === "outcomes" ? "outcome-refused" : "stream-refused";
		this.#digest = new Digest(
			(reason, count) => refused({ ...NOTHING_ELSE, kind, atMs: clock(), verdict: "deny", reason, count }),
			HANDSHAKE_FAULTS_TOLD_MS,
		);
	}

	add(reason: HandshakeFault): void {
		const { door, meter } = this.options;
		meter.count(COUNTERS.handshakes.name, COUNTERS.handshakes.help, { door, reason });
		this.#digest.add(reason);
	}

	/** Records what is not told yet. */
	close(): void {
		this.#digest.close();
	}
}
