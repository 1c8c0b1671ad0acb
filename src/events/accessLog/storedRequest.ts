/** What the event store still knows of a request whose access-log entry is no longer at hand, or that has not ended. */

import type { EventStore } from "../store/store.js";
import { type OutlineAccount, shownPseudonym } from "./account.js";

/** The newest request with that id; null where the store knows none (its rows are removed when their time is over). */
export async function storedRequest(store: EventStore, requestId: string): Promise<OutlineAccount | null> {
	const [row] = await store.questions.transaction((transaction) =>
		transaction.rows(
			`SELECT start_us, ended, duration_ms, status, service, variant, experiment, arm, unit FROM entries
			WHERE request = $request::UHUGEINT ORDER BY start_us DESC, ended DESC LIMIT 1`,
			// As text: the driver binds a bigint as a signed HUGEINT, which ends at 2¹²⁷.
			{ request: store.pseudonyms.request(requestId).toString() },
		),
	);
	if (row === undefined) return null;
	const text = (value: unknown): string | null => (typeof value === "string" ? value : null);
	const ended = row.ended === true;
	return {
		known: "outline",
		requestId,
		startMs: Number(row.start_us) / 1e3,
		ended,
		durationMs: ended ? Number(row.duration_ms) : null,
		status: ended ? Number(row.status) : null,
		service: String(row.service),
		variant: text(row.variant),
		experiment: text(row.experiment),
		arm: text(row.arm),
		unit: typeof row.unit === "bigint" ? shownPseudonym(row.unit) : null,
	};
}
