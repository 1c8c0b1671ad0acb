/**
 * `weir plan -f FILE`: what an Experiment needs and when it is decided. What is known of the Service comes from flags,
 * then from the Experiment's own evidence while it runs, then from earlier Experiments of the same Service.
 */

import { decide } from "../../decide/rollout/decide.js";
import { type Decision, RULES } from "../../decide/rollout/decision.js";
import { metricsOf } from "../../decide/rollout/evidenceQuery.js";
import { mergePlanEvidence, type PlanEvidence, planEvidenceOf } from "../../decide/rollout/planEvidence.js";
import { planInputOf } from "../../decide/rollout/planInput.js";
import { isExposing } from "../../decide/rollout/status.js";
import { serviceOf } from "../../declare/resources/lookup.js";
import { type Experiment, qualifiedName, qualifiedText, type ResourceSet } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { type Plan, type PlanInput, planOf } from "../../infer/planning/plan.js";
import type { ApiClient } from "../../operate/api/apiClient.js";
import { heldResources } from "../resourceFiles.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { demandMetrics, type PlanFlags, parsePlanFlags } from "./planFlags.js";
import { planPage, type ReportedPlan, type Running } from "./planPage.js";

export interface PlanArguments extends ApiArguments, PlanFlags {
	readonly file: readonly string[];
	readonly experiment?: string;
	readonly offline?: boolean;
	readonly json?: boolean;
}

/** So many earlier Experiments of the Service are asked, newest first. */
const EARLIER_MAX = 5;

export async function plan(options: PlanArguments): Promise<void> {
	const flags = parsePlanFlags(options);
	const resources = await heldResources(options.file);
	const experiment = experimentOf(resources, options.experiment);
	demandMetrics(experiment, flags);
	const client = options.offline === true ? null : clientOrNull(options);
	const asked = client === null ? NOTHING_ASKED : await ask(client, experiment);
	const facts = mergePlanEvidence([flags.facts, ...asked.facts]);
	const planned = planInputOf(experiment, metricsOf(resources, experiment), facts, flags.assumptions);
	const report: ReportedPlan = {
		experiment: qualifiedName(experiment.metadata),
		facts: { traffic: facts.traffic, baselines: planned.baselines },
		input: planned.input,
		plan: planned.input === null ? null : made(planned.input),
		unknown: planned.unknown,
		running: asked.running,
	};
	process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : planPage(report, experiment));
	if (report.plan === null) process.exitCode = 1;
}

function made(input: PlanInput): Plan {
	try {
		return planOf(input);
	} catch (thrown) {
		if (!(thrown instanceof RangeError)) throw thrown;
		throw new WeirError("invalid-argument", thrown.message, "see the flags of weir plan --help", {
			cause: thrown,
		});
	}
}

function experimentOf({ experiments }: ResourceSet, name: string | undefined): Experiment {
	const known = experiments.map(({ metadata }) => qualifiedName(metadata));
	const [only] = experiments;
	if (name === undefined && only !== undefined && experiments.length === 1) return only;
	const found = experiments.find(({ metadata }) => qualifiedName(metadata) === qualifiedText(name ?? ""));
	if (found !== undefined) return found;
	const hint = known.length === 0 ? "" : `name one with --experiment: ${known.join(", ")}`;
	throw new WeirError(
		"invalid-argument",
		name === undefined ? `the files declare ${known.length} Experiments` : `there is no Experiment ${name}`,
		hint,
	);
}

/** Without a named API and without a stack here a plan is made from flags alone. */
function clientOrNull(options: ApiArguments): ApiClient | null {
	try {
		return clientOf(options);
	} catch (thrown) {
		if (options.api === undefined && thrown instanceof WeirError && thrown.code === "unavailable") return null;
		throw thrown;
	}
}

interface Asked {
	readonly facts: readonly PlanEvidence[];
	readonly running: Running | null;
}

const NOTHING_ASKED: Asked = { facts: [], running: null };

async function ask(client: ApiClient, experiment: Experiment): Promise<Asked> {
	const own = qualifiedName(experiment.metadata);
	const { experiments } = await client.status();
	const sameService = experiments
		.filter((one) => one.experiment === own || one.service === serviceOf(experiment))
		.sort(
			(a, b) =>
				Number(b.experiment === own) - Number(a.experiment === own) || b.status.startedAtMs - a.status.startedAtMs,
		)
		.slice(0, EARLIER_MAX + 1);
	let running: Running | null = null;
	const facts: PlanEvidence[] = [];
	for (const { experiment: name } of sameService) {
		const standing = await client.standing(name);
		const decisions: Decision[] = [];
		for await (const decision of client.allDecisions(name)) decisions.push(decision);
		const stored = decisions.findLast(({ input }) => input !== null)?.input?.evidence ?? null;
		const fresh = standing.evidence;
		const evidence = fresh !== null && fresh.arms.length > 0 ? fresh : stored;
		if (evidence === null) continue;
		facts.push(planEvidenceOf(standing.experiment, standing.metrics, evidence, decisions));
		if (name !== own || !isExposing(standing.status.phase)) continue;
		const { metrics, status, atMs } = standing;
		const now = decide({ rules: RULES, experiment: standing.experiment, metrics, status, evidence, nowMs: atMs });
		running = {
			units: evidence.arms.reduce((sum, arm) => sum + arm.maturedUnits, 0),
			summary: now.summary ?? now.reason,
			expectedMs: now.expectedMs,
		};
	}
	return { facts, running };
}
