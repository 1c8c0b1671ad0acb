/**
 * What each execution of a rule costs, so that `explain` can say what a choice costs: CPU microseconds a request above
 * a plain route, Envoy and sidecar together. Measured by `npm run bench -- explain-cost` on 2026-11-24 (Envoy 1.40.0, 2
 * cores); on another machine the ratio holds, not the number.
 */

import { comparedValues } from "../access/rules/comparedValues.js";
import { listedValues } from "../access/rules/listedValues.js";
import type { AccessTable, Cost, RuleExecution } from "./plan.js";

/** What costs are of, for whoever reads the numbers: another machine has other ones. */
export const COSTS_NOTE =
	"Costs are of a request above a plain route, as measured on 2026-11-24 (Envoy 1.40.0, 2 cores). Elsewhere they were up to three times as much: compare them with each other, or measure (npm run bench -- explain-cost).";

const ACCESS = { native: 5.6, callout: 79 } as const;
const EXPERIMENT = { native: 4, callout: 78 } as const;

/**
 * Of one value: RBAC tries the rules until one fits, and in each what it names until that is decided; the sidecar files them
 * (access/rules/ruleIndex.ts). By `npm run bench -- rule-cost` on 2026-11-28, alone and thrice, a callout costs more by as much as 750
 * to 830 groups (for short lists) cost, 450 to 510 path templates, or 1,100 to 1,350 callers: this is a group's. An allow that fits ends the walk
 * sooner.
 */
const VALUE_US = 0.1;

/** Of one that is compared with a token's list, above that: for the longest list of a token of 8 KiB (LISTED_VALUES_MAX). */
const LONGEST_LIST_US = 20;

/**
 * Of a claim as the unit, above a header, where no policy is about users: tokens that do not hold are held back there
 * (claims.ts). By `npm run bench -- claim-units` on 2026-11-26, on a machine about as quick as that of the other figures; on one where
 * a header's request costs 1.7 times as much it was 36.
 */
export const CLAIM_UNIT_US = 15;

/**
 * Of deciding access by these rules.
 * @param access as Envoy has them: without shadow policies that it does not try (DryRun.rules)
 * @param issuers of the Gateway with the most of them
 */
export function accessCost(access: AccessTable, canBeNative: boolean, issuers: number): Cost {
	const { values } = comparedValues(access, issuers);
	const nativeUs = Math.round(ACCESS.native + VALUE_US * values);
	const enforced = access.policies.filter(({ shadow }) => !shadow);
	// Where some are shadows, all are tried once more.
	const again = enforced.length === access.policies.length ? [] : access.policies;
	const listed = listedValues(enforced) + listedValues(again);
	return { nativeUs: canBeNative ? nativeUs : null, calloutUs: ACCESS.callout, values, listed };
}

/** Of assigning. */
export function experimentCost(canBeNative: boolean): Cost {
	return { nativeUs: canBeNative ? EXPERIMENT.native : null, calloutUs: EXPERIMENT.callout, values: null, listed: 0 };
}

/** In words, for a person. Nothing moves to the sidecar for its cost but long lists (LISTED_VALUES_MAX): without its answer requests are refused. */
export function costText({ nativeUs, calloutUs, values, listed }: Cost, execution: RuleExecution["execution"]): string {
	const native =
		values === null
			? `${nativeUs} µs`
			: `${nativeUs} µs (Envoy tries ${values === 1 ? "1 value" : `up to ${values} values`} of its rules${listedText(listed)})`;
	if (execution === "callout") {
		const instead = nativeUs === null ? "" : `; natively ${native}`;
		return `about ${calloutUs} µs of CPU a request, shared by the Service's rules${instead}`;
	}
	if (calloutUs === null) return `about ${native.replace("µs", "µs of CPU a request")}`;
	const dear = nativeUs !== null && nativeUs > calloutUs;
	const advice = dear ? ", however many: declare callout: {access: sidecar} (503 where it does not answer)" : "";
	return `about ${native.replace("µs", "µs of CPU a request")}; by the sidecar ${calloutUs} µs${advice}`;
}

const listedText = (listed: number): string =>
	listed === 0
		? ""
		: `, ${listed} of them with each item of a token's list: up to ${LONGEST_LIST_US * listed} µs more for the longest`;
