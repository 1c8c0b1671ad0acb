/** Appends access records and shadow counts to the store's tables, in column order; see schema.ts. */
import type { DuckDBAppender } from "@duckdb/node-api";
import type { Transaction } from "../../store/store.js";
import type { AccessRecord } from "./accessRecord.js";
import type { ShadowCount } from "./shadow.js";

export interface Queued {
	readonly record: AccessRecord;
	readonly receivedMs: number;
}

/**
 * @param lastId of the newest record in the store; 0 = not known
 * @param completeUntilMs time until which the log is complete after this write; null = unchanged
 * @returns the id of the newest record after this write
 */
export async function writeAccessRecords(
	transaction: Transaction,
	records: readonly Queued[],
	shadows: readonly ShadowCount[],
	nowMs: number,
	lastId: number,
	completeUntilMs: number | null,
): Promise<number> {
	let id = lastId;
	if (id === 0) {
		const [row] = await transaction.rows("SELECT coalesce(max(id), 0) AS id FROM decisions");
		id = Number(row?.id ?? 0);
	}
	await transaction.append("decisions", records, (to, { record, receivedMs }) => {
		// Ids grow across commits and restarts, also if the clock steps back. × 1,000: room for 1,000 records per ms.
		id = Math.max(id + 1, receivedMs * 1_000);
		putAccessRecord(to, id, receivedMs, record);
	});
	await transaction.append("shadows", shadows, (to, shadow) => putShadow(to, nowMs, shadow));
	if (completeUntilMs !== null)
		await transaction.run(
			"INSERT INTO meta VALUES ($key, $value) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
			{ key: COMPLETE_UNTIL_KEY, value: String(completeUntilMs) },
		);
	return id;
}

const COMPLETE_UNTIL_KEY = "decisions-whole-ms";

/** Epoch milliseconds until which the access record log is complete; null = never written. */
export async function readCompleteUntilMs(transaction: Transaction): Promise<number | null> {
	const [row] = await transaction.rows("SELECT value FROM meta WHERE key = $key", { key: COMPLETE_UNTIL_KEY });
	return row === undefined ? null : Number(row.value);
}

function putText(to: DuckDBAppender, text: string | null): void {
	if (text === null) to.appendNull();
	else to.appendVarchar(text);
}

/** Into `decisions`. */
export function putAccessRecord(to: DuckDBAppender, id: number, receivedMs: number, record: AccessRecord): void {
	to.appendBigInt(BigInt(id));
	to.appendVarchar(record.kind);
	to.appendBigInt(BigInt(record.atMs));
	to.appendBigInt(BigInt(receivedMs));
	putText(to, record.requestId);
	putText(to, record.traceId);
	putText(to, record.gateway);
	putText(to, record.service);
	putText(to, record.method);
	putText(to, record.path);
	putText(to, record.principal);
	if (record.unit === null) to.appendNull();
	else to.appendUHugeInt(record.unit);
	putText(to, record.experiment);
	putText(to, record.arm);
	putText(to, record.formerArm);
	putText(to, record.variant);
	putText(to, record.verdict);
	to.appendVarchar(record.reason);
	putText(to, record.policy);
	to.appendVarchar(record.by);
	putText(to, record.plan);
	if (record.status === null) to.appendNull();
	else to.appendUSmallInt(record.status);
	if (record.latencyMs === null) to.appendNull();
	else to.appendDouble(record.latencyMs);
	to.appendBigInt(BigInt(record.count));
	putText(to, record.via);
}

/** Into `shadows`. */
export function putShadow(to: DuckDBAppender, receivedMs: number, shadow: ShadowCount): void {
	const { change, policy, reason, service, principal, method, path, rules, count } = shadow;
	to.appendBigInt(BigInt(receivedMs));
	for (const text of [change, policy, service, principal, method, path]) putText(to, text);
	to.appendBigInt(BigInt(count));
	putText(to, rules);
	putText(to, reason);
}
