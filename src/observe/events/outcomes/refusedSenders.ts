/**
 * Unauthorised outcome requests: each is counted, and recorded once a minute by sender, reason and Metric. Any client
 * with an identity may cause any number of refusals.
 */

import { ReportThrottle } from "../../../trust/clients/reportThrottle.js";
import { BoundedNames } from "../boundedNames.js";
import { type DecisionRecord, NOTHING_ELSE, shownPrincipal } from "../decisions/decisionRecord.js";
import { COUNTERS, type Meter } from "../meter.js";
import type { Sender } from "./sender.js";

/** How often a refused sender is logged and recorded, with a count. */
const SENDERS_LOGGED_MS = 60_000;

export interface RefusedSender {
	readonly sender: Sender;
	readonly reason: "no-identity" | "sender-not-granted";
	/** Number of rows; null = the body was not read. */
	readonly rows: number | null;
	/** The first declared Metric among them that the sender may not post; null = none, or the body was not read. */
	readonly metric: string | null;
}

export interface RefusedSendersOptions {
	/** Takes a record for the decision log; must not throw. */
	readonly record: (record: DecisionRecord) => void;
	readonly clock: () => number;
	readonly meter: Pick<Meter, "count">;
}

export class RefusedSenders {
	/** By reason, id and Metric, as JSON. */
	readonly #throttle: ReportThrottle<string>;
	readonly #metrics = new BoundedNames(SENDERS_LOGGED_MS);

	constructor(private readonly options: RefusedSendersOptions) {
		const { record, clock } = options;
		this.#throttle = new ReportThrottle((kind, count) => {
			const [reason, principal, policy] = JSON.parse(kind) as [string, string | null, string | null];
			const whose = { principal, policy, reason, count };
			record({ ...NOTHING_ELSE, ...whose, kind: "outcome-refused", atMs: clock(), verdict: "deny", status: 403 });
		}, SENDERS_LOGGED_MS);
	}

	add({ sender, reason, rows, metric }: RefusedSender): void {
		const { senders } = COUNTERS;
		this.options.meter.count(senders.name, senders.help, { reason }, Math.max(1, rows ?? 0));
		const id = sender.kind === "spiffe" ? shownPrincipal(sender.id) : null;
		const apart = metric === null ? null : this.#metrics.of(id, metric);
		// Without a Metric the rows were not read, so requests are counted.
		this.#throttle.add(JSON.stringify([reason, id, apart]), apart === null ? 1 : (rows ?? 1));
	}

	/** Writes the pending records. */
	close(): void {
		this.#throttle.close();
	}
}
