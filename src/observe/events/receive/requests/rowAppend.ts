/** Appends request rows and exposures to the store's tables, in column order; see schema.ts. */
import type { DuckDBAppender } from "@duckdb/node-api";
import type { Exposure, RequestRow } from "./requestRow.js";

/** In `entries`: the unit has no arm, while null means unknown. No arm has this name. */
export const NO_ARM = "";

/** Into `entries`. */
export function putRow(to: DuckDBAppender, row: RequestRow): void {
	to.appendBoolean(row.ended);
	to.appendUHugeInt(row.request);
	to.appendBigInt(BigInt(row.startUs));
	to.appendBigInt(BigInt(row.receivedMs));
	to.appendVarchar(row.service);
	putText(to, row.variant);
	putText(to, row.experiment);
	if (row.unit === null) to.appendNull();
	else to.appendUHugeInt(row.unit);
	putText(to, row.arm);
	to.appendBoolean(row.reference);
	if (row.ended) {
		to.appendDouble(row.durationMs);
		to.appendUSmallInt(row.status);
		to.appendBoolean(row.failed);
		to.appendBoolean(row.unhealthy);
	} else for (let column = 0; column < 4; column++) to.appendNull();
	putText(to, row.ended && row.experiment !== null ? (row.assigned ?? NO_ARM) : null);
}

function putText(to: DuckDBAppender, text: string | null): void {
	if (text === null) to.appendNull();
	else to.appendVarchar(text);
}

/** Into a table with the columns of `units`. */
export function putExposure(to: DuckDBAppender, exposure: Exposure): void {
	to.appendVarchar(exposure.experiment);
	to.appendUHugeInt(exposure.unit);
	to.appendVarchar(exposure.arm);
	to.appendVarchar(exposure.plan);
	to.appendBigInt(BigInt(exposure.firstMs));
	to.appendBigInt(BigInt(exposure.receivedMs));
	to.appendBoolean(exposure.core);
}
