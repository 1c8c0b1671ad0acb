/**
 * How an experiment stands: its declaration and status of one state, and fresh evidence for them. What a person reads
 * of it is made from the same as what the loop decides on.
 */

import { findQualified, serviceOf } from "../../declare/resources/lookup.js";
import { type Experiment, type Metric, qualifiedName } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import type { Evidence } from "../../infer/statistics/evidence.js";
import { decide } from "./decide.js";
import { RULES } from "./decision.js";
import { evidenceQuery, localEvidence, metricsOf, sharingUnits } from "./evidenceQuery.js";
import { otherPromotions } from "./otherPromotion.js";
import type { EvidenceSource, State } from "./ports.js";
import { type ExperimentStatus, liveDefault } from "./status.js";

export interface ExperimentState {
	/** When it was asked. */
	readonly atMs: number;
	readonly experiment: Experiment;
	readonly metrics: Readonly<Record<string, Metric>>;
	readonly status: ExperimentStatus;
	/** Metrics by the names that the experiment uses. null: it cannot be had now. */
	readonly evidence: Evidence | null;
	/** Why there is no evidence, or empty. */
	readonly noEvidence: string;
	/** As in decide()'s input: what the loop looks at beside the evidence. */
	readonly beingPromoted?: string;
	readonly replaces?: string;
	/** The Service's default Variant now. Absent: it is declared no more. */
	readonly defaultVariant?: string;
	/** The Service is closed somewhere (ports.ts); absent: it is not. */
	readonly closed?: true;
}

/**
 * @param name qualified
 * @throws WeirError `not-found` for an experiment that is not declared or has not begun
 */
export async function experimentState(
	state: State,
	name: string,
	source: EvidenceSource | null,
	nowMs: () => number,
): Promise<ExperimentState> {
	const experiment = state.resources.experiments.find(({ metadata }) => qualifiedName(metadata) === name);
	const status = state.status.experiments[name];
	if (experiment === undefined || status === undefined)
		throw new WeirError("not-found", `no Experiment '${name.slice(0, 200)}'`, "weir status lists those that there are");
	const metrics = metricsOf(state.resources, experiment);
	const closed = state.closed?.includes(serviceOf(experiment)) ? { closed: true as const } : {};
	const service = findQualified(state.resources.services, serviceOf(experiment));
	const live = service === undefined ? {} : { defaultVariant: liveDefault(service, state.status) };
	const besides = { ...otherPromotions(state, experiment, status), ...live, ...closed };
	const standing = { experiment, metrics, status, noEvidence: "", ...besides };
	if (source === null) return { ...standing, atMs: nowMs(), evidence: null, noEvidence: "nobody keeps evidence here" };
	const ask = async (others: readonly string[]): Promise<Evidence> =>
		localEvidence(await source.evidence(evidenceQuery(state.resources, experiment, status, nowMs(), others)), metrics);
	try {
		let evidence = await ask([]);
		const others = sharingUnits(state, experiment);
		// As the loop does: a join over all units of both, so only once it matters.
		if (others.length > 0) {
			const wanted = decide({ rules: RULES, ...standing, evidence, nowMs: nowMs() });
			if (wanted.action === "promote") evidence = await ask(others);
		}
		return { ...standing, atMs: nowMs(), evidence };
	} catch (thrown) {
		const { message } = WeirError.from(thrown);
		return { ...standing, atMs: nowMs(), evidence: null, noEvidence: message };
	}
}
