/**
 * The recent failure rate of each Variant, and how its rate of failures compares with the
 * baseline's: exactly, from counts alone. For an operator: what is decided of failures goes by people (a metric of source
 * errors), for one person's retries and one outage that hits many requests do not fail independently.
 */
import { isNoEstimate } from "../../infer/statistics/estimators/estimate.js";
import type { Evidence, VariantHealth } from "../../infer/statistics/evidence.js";
import { baselineVariant } from "../../infer/statistics/question.js";
import type { Bounds } from "../../infer/statistics/sequential/bernoulliBounds.js";
import { rateRatioBounds } from "../../infer/statistics/sequential/errorCounts.js";
import type { ReportInput } from "./reportInput.js";

export interface HealthReport extends VariantHealth {
	/** Its rate of failures ÷ the baseline's, with a chance of 95 %; null: it is the baseline, or unknown. */
	readonly againstBaseline: Bounds | null;
}

/** One-sided level of each bound. */
const ALPHA = 0.025;

/** One entry for each Variant that had requests. */
export function healthOf({ experiment }: ReportInput, { health }: Evidence): readonly HealthReport[] {
	const own = baselineVariant(experiment);
	const baseline = health.find(({ variant }) => variant === own);
	return health
		.filter(({ requests }) => requests > 0)
		.map((one) => ({ ...one, againstBaseline: one === baseline ? null : ratio(one, baseline) }));
}

/** The load is split as the requests were: given the number of each, a failure is either's by chance alone. */
function ratio(one: VariantHealth, baseline: VariantHealth | undefined): Bounds | null {
	if (baseline === undefined || baseline.requests === 0 || one.failures + baseline.failures === 0) return null;
	const share = one.requests / (one.requests + baseline.requests);
	const bounds = rateRatioBounds([{ challenger: one.failures, baseline: baseline.failures, share }], ALPHA);
	return isNoEstimate(bounds) ? null : bounds;
}
