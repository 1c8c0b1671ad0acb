/**
 * How an experiment stands: its declaration and status of one state, and fresh evidence for them. What a person reads
 * of it is made from the same as what the loop decides on.
 */
import type { Evidence } from "../analysis/evidence.js";
import { WeirError } from "../error.js";
import { serviceOf } from "../resources/lookup.js";
import { type Experiment, type Metric, qualifiedName } from "../resources/resource.js";
import { decide } from "./decide.js";
import { RULES, type ShutOut } from "./decision.js";
import { evidenceQuery, localEvidence, metricsOf, sharingUnits } from "./evidenceQuery.js";
import { otherPromotions } from "./otherPromotion.js";
import type { EvidenceSource, State } from "./ports.js";
import { askShutOut, type ShutOutQuestion } from "./shutOut.js";
import { type ExperimentStatus, isExposing } from "./status.js";

export interface Standing {
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
	readonly shutOuts?: Readonly<Record<string, ShutOut>>;
	/** The Service is closed somewhere (ports.ts); absent: it is not. */
	readonly closed?: true;
}

/**
 * @param name qualified
 * @param told answers whom a winner would shut out, which may take up to a second; asked where one is ready
 * @throws WeirError `not-found` for an experiment that is not declared or has not begun
 */
export async function standingOf(
	state: State,
	name: string,
	source: EvidenceSource | null,
	nowMs: () => number,
	told: (question: ShutOutQuestion) => ShutOut | null,
): Promise<Standing> {
	const experiment = state.resources.experiments.find(({ metadata }) => qualifiedName(metadata) === name);
	const status = state.status.experiments[name];
	if (experiment === undefined || status === undefined)
		throw new WeirError("not-found", `no Experiment '${name.slice(0, 200)}'`, "weir status lists those that there are");
	const metrics = metricsOf(state.resources, experiment);
	const closed = state.closed?.includes(serviceOf(experiment)) ? { closed: true as const } : {};
	const besides = isExposing(status.phase) ? otherPromotions(state, experiment) : {};
	const standing = { experiment, metrics, status, noEvidence: "", ...besides, ...closed };
	if (source === null) return { ...standing, atMs: nowMs(), evidence: null, noEvidence: "nobody keeps evidence here" };
	const ask = async (others: readonly string[]): Promise<Evidence> =>
		localEvidence(await source.evidence(evidenceQuery(state.resources, experiment, status, nowMs(), others)), metrics);
	try {
		let evidence = await ask([]);
		const wanted = () => decide({ rules: RULES, ...standing, evidence, nowMs: nowMs() });
		let { action, status: after } = wanted();
		const others = sharingUnits(state, experiment);
		// As the loop does: a join over all units of both, so only once it matters.
		if (others.length > 0 && action === "promote") {
			evidence = await ask(others);
			({ action, status: after } = wanted());
		}
		const atMs = nowMs();
		const arm = action === "promote" ? after.promotion?.arm : undefined;
		const shutOut = arm === undefined ? null : told(askShutOut(state, experiment, arm, atMs));
		const shutOuts = arm === undefined || shutOut === null ? {} : { shutOuts: { [arm]: shutOut } };
		return { ...standing, ...shutOuts, atMs, evidence };
	} catch (thrown) {
		const { message } = WeirError.from(thrown);
		return { ...standing, atMs: nowMs(), evidence: null, noEvidence: message };
	}
}
