/** The current state of an experiment for display: declaration, status and fresh evidence, as the loop uses them. */

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
	/** Time of the query. */
	readonly atMs: number;
	readonly experiment: Experiment;
	readonly metrics: Readonly<Record<string, Metric>>;
	readonly status: ExperimentStatus;
	/** Metrics have the names that the experiment uses. null = unavailable. */
	readonly evidence: Evidence | null;
	/** Why there is no evidence, or empty. */
	readonly noEvidence: string;
	/** As in DecisionInput. */
	readonly beingPromoted?: string;
	readonly replaces?: string;
	/** The Service's current default Variant. Absent = the Service is not declared any more. */
	readonly defaultVariant?: string;
	/** The Service is closed at some Envoy (ports.ts); absent = it is not. */
	readonly closed?: true;
}

/**
 * @param name qualified
 * @throws WeirError `not-found` if the experiment is not declared or has not started
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
	const known = { experiment, metrics, status, noEvidence: "", ...besides };
	if (source === null) return { ...known, atMs: nowMs(), evidence: null, noEvidence: "no evidence is kept here" };
	const ask = async (others: readonly string[]): Promise<Evidence> =>
		localEvidence(await source.evidence(evidenceQuery(state.resources, experiment, status, nowMs(), others)), metrics);
	try {
		let evidence = await ask([]);
		const others = sharingUnits(state, experiment);
		// As in the loop: a join over all units of both, so only before a promotion.
		if (others.length > 0) {
			const wanted = decide({ rules: RULES, ...known, evidence, nowMs: nowMs() });
			if (wanted.action === "promote") evidence = await ask(others);
		}
		return { ...known, atMs: nowMs(), evidence };
	} catch (thrown) {
		const { message } = WeirError.from(thrown);
		return { ...known, atMs: nowMs(), evidence: null, noEvidence: message };
	}
}
