/** Quantile sketches (analysis/statistics/quantileSketch.ts) by SQL: the bins are a GROUP BY, and merging them is a sum. */
import { BIN_RATIO, LOWEST_BIN, LOWEST_VALUE } from "../analysis/statistics/quantileSketch.js";
import { double } from "./aggregateSql.js";
import type { Dialect } from "./dialect.js";

/** Rows of keys, bin and n over the rows of a relation where the value is not null. */
export function binCounts(dialect: Dialect, keys: readonly string[], value: string, from: string): string {
	const number = dialect.whole(`ceil(ln(${value}) / ${double(Math.log(BIN_RATIO))})`);
	const bin = `CASE WHEN ${value} <= ${double(LOWEST_VALUE)} THEN ${dialect.whole(String(LOWEST_BIN))} ELSE ${number} END`;
	const list = keys.join(", ");
	return `SELECT ${list}, bin, count(*) AS n FROM (SELECT ${list}, ${bin} AS bin FROM ${from} WHERE ${value} IS NOT NULL) binned
		GROUP BY ${list}, bin`;
}
