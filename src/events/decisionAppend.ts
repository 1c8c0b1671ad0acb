/** Decision records and shadow counts as the store's tables have them, column by column; see schema.ts. */
import type { DuckDBAppender } from "@duckdb/node-api";
import type { DecisionRecord } from "./decisionRecord.js";
import type { ShadowCount } from "./shadow.js";

function putText(to: DuckDBAppender, text: string | null): void {
	if (text === null) to.appendNull();
	else to.appendVarchar(text);
}

/** Into `decisions`. */
export function putDecision(to: DuckDBAppender, id: number, receivedMs: number, record: DecisionRecord): void {
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
	const { change, policy, service, principal, method, path, rules, count } = shadow;
	to.appendBigInt(BigInt(receivedMs));
	for (const text of [change, policy, service, principal, method, path]) putText(to, text);
	to.appendBigInt(BigInt(count));
	putText(to, rules);
}
