/** An Experiment's part of a layer as Envoy's matcher: from lo and below hi, each only if needed. */
import t from "tap";
import { inSlot } from "../../../src/compile/envoy/matcher.js";
import { build, neighbours } from "./neighbours.js";
import { valuesUnder } from "./virtualHosts.js";

const [table] = build(neighbours(["header"])).table.services.flatMap(({ experiments }) => experiments);
if (table === undefined) throw new Error("no Experiment");

/** The thresholds, of those that a unit must not reach with a minus. */
const thresholds = (slotLoPpm: number, slotHiPpm: number): readonly unknown[] => {
	const slot = inSlot({ ...table, slotLoPpm, slotHiPpm });
	const ends = valuesUnder(slot, "not_matcher").flatMap((ended) => valuesUnder(ended, "threshold"));
	return valuesUnder(slot, "threshold").map((at) => (ends.includes(at) ? -Number(at) : at));
};

for (const [lo, hi, wanted] of [
	[0, 1_000_000, []],
	[0, 999_999, [-999_999]],
	[0, 1, [-1]],
	[1, 1_000_000, [1]],
	[1, 2, [1, -2]],
	[250_000, 750_000, [250_000, -750_000]],
] as const) {
	t.test(`[${lo}, ${hi})`, async (t) => t.same(thresholds(lo, hi), wanted));
}
