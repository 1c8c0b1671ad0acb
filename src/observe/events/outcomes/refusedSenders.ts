/**
 * Requests with outcomes that their senders had no right to: each counted, and recorded once a minute with their number by who
 * it was, why and for which Metric. Anybody with an identity may be refused as often as they like.
 */

import { SENDERS_LOGGED_MS } from "../../../limits/index.js";
import { Digest } from "../../../trust/clients/digest.js";
import { type DecisionRecord, NOTHING_ELSE, shownPrincipal } from "../decisions/decisionRecord.js";
import { COUNTERS, type Meter } from "../meter.js";
import { ToldApart } from "../toldApart.js";
import type { Sender } from "./sender.js";

export interface RefusedSender {
	readonly sender: Sender;
	readonly reason: "no-identity" | "sender-not-granted";
	/** Rows that it brought; null = they were not read. */
	readonly rows: number | null;
	/** The first declared Metric among them whose `senders` do not name the sender; null = none, or they were not read. */
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
	readonly #digest: Digest<string>;
	readonly #metrics = new ToldApart(SENDERS_LOGGED_MS);

	constructor(private readonly options: RefusedSendersOptions) {
		const { record, clock } = options;
		this.#digest = new Digest((kind, count) => {
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
		// Of what names no Metric the requests are told, for nobody has read their rows.
		this.#digest.add(JSON.stringify([reason, id, apart]), apart === null ? 1 : (rows ?? 1));
	}

	/** Records what is not told yet. */
	close(): void {
		this.#digest.close();
	}
}
