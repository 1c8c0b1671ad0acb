/**
 * jStat's errors inside the domain that distributions/jstat.ts allows, and its defects outside it, against mpmath. If an upgrade
 * changes jStat these tests fail: measure it again.
 */
import { readFileSync } from "node:fs";
import t from "tap";
import { jstatNoncentralTCdf } from "../../../../src/infer/statistics/distributions/jstat.js";

type Rows<K extends string> = readonly Readonly<Record<K, number>>[];
const golden = JSON.parse(readFileSync("test/fixtures/statistics/distributions.json", "utf8")) as {
	readonly noncentralT: Rows<"t" | "df" | "shift" | "cdf">;
};

/** Largest |f − truth| over the rows. */
function worst<R>(rows: readonly R[], error: (row: R) => number): number {
	return Math.max(...rows.map((row) => Math.abs(error(row))));
}

t.test("jStat keeps its measured errors inside the allowed domain", async (t) => {
	const error = worst(golden.noncentralT, ({ t, df, shift, cdf }) => jstatNoncentralTCdf(t, df, shift) - cdf);
	t.ok(error <= 1e-8, `${error}`);
	t.ok(Math.abs(jstatNoncentralTCdf(2, 20, 2.8) - 0.21558694278542) < 1e-8);
});

t.test("jStat is not used outside the allowed domain", async (t) => {
	for (const outside of [() => jstatNoncentralTCdf(2, 1e5, 1), () => jstatNoncentralTCdf(2, 20, 9)])
		t.throws(outside, { code: "invalid-argument" });
});
