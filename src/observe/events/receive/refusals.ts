/**
 * Counts refused access-log streams, failed TLS handshakes and unauthorised outcome requests, and records them once a
 * minute by reason and caller: a client may cause any number of them.
 */
import { HANDSHAKE_FAULTS_RECORDED_MS } from "../../../limits/index.js";
import { ReportThrottle } from "../../../trust/clients/reportThrottle.js";
import type { HandshakeFault } from "../../../trust/tls/handshake.js";
import { COUNTERS, type Meter } from "../meter.js";
import type { StreamFault } from "./accessLog/streamIdentity.js";
import { type AccessRecord, NOTHING_ELSE, shownPrincipal } from "./accessRecords/accessRecord.js";
import type { Sender } from "./outcomes/sender.js";

export interface RefusedOutcomes {
	readonly sender: Sender;
	readonly reason: "no-identity" | "sender-not-granted";
	/** Number of rows; null = the body was not read. */
	readonly rows: number | null;
	/** The first declared Metric among them that the sender may not post; null = none, or the body was not read. */
	readonly metric: string | null;
}

type Refused = Pick<AccessRecord, "kind" | "reason" | "principal" | "policy" | "status">;

export class Refusals {
	/** By the fields of the record, as JSON. */
	readonly #throttle: ReportThrottle<string>;

	/** @param record takes a record for the access record log; must not throw. @param everyMs between two records of one caller */
	constructor(
		record: (record: AccessRecord) => void,
		clock: () => number,
		private readonly meter: Pick<Meter, "count">,
		everyMs = HANDSHAKE_FAULTS_RECORDED_MS,
	) {
		this.#throttle = new ReportThrottle((key, count) => {
			const refused = JSON.parse(key) as Refused;
			record({ ...NOTHING_ELSE, ...refused, atMs: clock(), verdict: "deny", count });
		}, everyMs);
	}

	/** @param principal in printable form; null = the caller proved none */
	stream(reason: StreamFault, principal: string | null): void {
		this.meter.count(COUNTERS.streams.name, COUNTERS.streams.help, { reason });
		this.#add({ kind: "stream-refused", reason, principal, policy: null, status: null });
	}

	handshake(reason: HandshakeFault): void {
		this.meter.count(COUNTERS.handshakes.name, COUNTERS.handshakes.help, { listener: "access-log", reason });
		this.#add({ kind: "stream-refused", reason, principal: null, policy: null, status: null });
	}

	outcomes({ sender, reason, rows, metric }: RefusedOutcomes): void {
		const { senders } = COUNTERS;
		this.meter.count(senders.name, senders.help, { reason }, Math.max(1, rows ?? 0));
		const principal = sender.kind === "spiffe" ? shownPrincipal(sender.id) : null;
		// Without a Metric the rows were not read, so requests are counted.
		const count = metric === null ? 1 : (rows ?? 1);
		this.#add({ kind: "outcome-refused", reason, principal, policy: metric, status: 403 }, count);
	}

	/** Writes the pending records. */
	close(): void {
		this.#throttle.close();
	}

	#add(refused: Refused, count = 1): void {
		this.#throttle.add(JSON.stringify(refused), count);
	}
}
