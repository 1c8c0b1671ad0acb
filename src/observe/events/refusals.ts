/** Counts refused access-log streams and failed TLS handshakes, and records them once a minute by reason and caller. */

import { HANDSHAKE_FAULTS_RECORDED_MS } from "../../limits/index.js";
import { ReportThrottle } from "../../trust/clients/reportThrottle.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import type { StreamFault } from "./accessLog/streamIdentity.js";
import { type DecisionRecord, NOTHING_ELSE } from "./decisions/decisionRecord.js";
import { COUNTERS, type Meter } from "./meter.js";

type Kind = "stream-refused" | "outcome-refused";

export class Refusals {
	/** By kind, reason and SPIFFE id, as JSON. */
	readonly #throttle: ReportThrottle<string>;

	/** @param record takes a record for the decision log; must not throw. @param everyMs between two records of one caller */
	constructor(
		record: (record: DecisionRecord) => void,
		clock: () => number,
		private readonly meter: Pick<Meter, "count">,
		everyMs = HANDSHAKE_FAULTS_RECORDED_MS,
	) {
		this.#throttle = new ReportThrottle((key, count) => {
			const [kind, reason, principal] = JSON.parse(key) as [Kind, string, string | null];
			record({ ...NOTHING_ELSE, kind, atMs: clock(), principal, verdict: "deny", reason, count });
		}, everyMs);
	}

	/** @param principal in printable form; null = the caller proved none */
	stream(reason: StreamFault, principal: string | null): void {
		this.meter.count(COUNTERS.streams.name, COUNTERS.streams.help, { reason });
		this.#add("stream-refused", reason, principal);
	}

	handshake(door: "access-log" | "outcomes", reason: HandshakeFault): void {
		this.meter.count(COUNTERS.handshakes.name, COUNTERS.handshakes.help, { door, reason });
		this.#add(door === "outcomes" ? "outcome-refused" : "stream-refused", reason, null);
	}

	/** Writes the pending records. */
	close(): void {
		this.#throttle.close();
	}

	#add(kind: Kind, reason: string, principal: string | null): void {
		this.#throttle.add(JSON.stringify([kind, reason, principal]));
	}
}
