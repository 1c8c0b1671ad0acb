/**
 * The guard of an Experiment in Envoy's generic matcher API. HttpRequestHeaderMatchInput joins the values of a repeated
 * header with a comma, and the regular expression refuses commas, spaces and non-ASCII. (A route's own header matcher
 * tests each value and would accept a repeated header.)
 */
import { PPM } from "../../limits/index.js";
import type { ExperimentTable } from "../plan/compiledPlan.js";

/** Printable ASCII 0x21–0x7E except the comma; small enough for google_re2's program-size limit of 100. */
export const UNIT_REGEX = "^[!-+\\--~]+$";

export const ROUTE_TYPE = "type.googleapis.com/envoy.config.route.v3.Route";

/** The header of a unit that Envoy finds itself; native Experiments have one (execution.ts). */
export const unitHeader = ({ unit }: ExperimentTable): string => (unit.from === "cookie" ? "" : unit.header);

const headerInput = (header: string): object => ({
	name: "unit",
	typed_config: {
		"@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
		header_name: header,
	},
});

export const hasUnit = (header: string): object => ({
	single_predicate: {
		input: headerInput(header),
		value_match: { safe_regex: { google_re2: {}, regex: UNIT_REGEX } },
	},
});

/** True where XXH64(unit, layer seed) mod 10⁶ ≥ threshold. */
const hashAtLeast = (table: ExperimentTable, threshold: number): object => ({
	single_predicate: {
		input: headerInput(unitHeader(table)),
		custom_match: {
			name: "slot",
			typed_config: {
				"@type": "type.googleapis.com/envoy.extensions.matching.input_matchers.consistent_hashing.v3.ConsistentHashing",
				threshold,
				modulo: PPM,
				// A proto3 JSON uint64 is a string.
				seed: table.layerSeed,
			},
		},
	},
});

/** The slot [lo, hi) of the layer; null = the whole layer, without a hash. */
export function inSlot(table: ExperimentTable): object | null {
	const { slotLoPpm: lo, slotHiPpm: hi } = table;
	const above = lo === 0 ? null : hashAtLeast(table, lo);
	const below = hi === PPM ? null : { not_matcher: hashAtLeast(table, hi) };
	if (above !== null && below !== null) return { and_matcher: { predicate: [above, below] } };
	return above ?? below;
}

export const onMatchRoute = (route: object): object => ({
	action: { name: "route", typed_config: { "@type": ROUTE_TYPE, ...route } },
});
