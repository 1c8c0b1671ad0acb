/**
 * Which of the three executions a Service gets (design: one declaration, three executions): all in Envoy; assignment in Envoy
 * with one callout that gets the arm; or a full callout. Native first: the sidecar is used only for what Envoy cannot do, or
 * what the declaration or the operator assigns to it.
 */

import type { Callout, Experiment, Service, TokenIssuer } from "../../declare/resources/resource.js";
import type { Eligibility } from "../access/rules/eligibility.js";
import { isOpen } from "../access/rules/policy.js";
import { type DryRun, dryRunOf } from "../access/shadow.js";
import { beyondEnvoy, verdictReason } from "../access/verdictReason.js";
import type { AccessTable, CalloutTable, ServiceTable } from "../plan/compiledPlan.js";

/** auto: native if possible. native: anything that Envoy cannot do is a problem. callout: the sidecar does all that it can. */
export type Mode = "auto" | "native" | "callout";

export interface Execution {
	/** null = the sidecar is never called. */
	readonly callout: CalloutTable | null;
	/** Why the sidecar assigns; null = Envoy assigns, or there is nothing to assign. */
	readonly whyAssignment: string | null;
	/** Why the sidecar decides access; null = Envoy decides, or anyone may call. */
	readonly whyVerdict: string | null;
	/** Set if the sidecar assigns because of who may use each arm's Variant; null = not the reason. */
	readonly eligibility: Eligibility | null;
	/** Envoy's rules cannot decide it at all. */
	readonly beyondEnvoy: boolean;
	/** Shadow policies that Envoy tries. If the sidecar decides, it tries all. */
	readonly dryRun: DryRun;
}

/** A Service during compilation. */
export interface CompiledService {
	readonly service: Service;
	readonly table: ServiceTable;
	readonly execution: Execution;
}

export interface ExecutionInput {
	readonly access: AccessTable;
	readonly callout: Callout;
	/** Experiments that assign units now. */
	readonly experiments: readonly Experiment[];
	/** null or left out = access to the arms' Variants does not affect assignment. */
	readonly eligibility?: Eligibility | null;
	readonly mode: Mode;
	/** The issuers of all Gateways. */
	readonly issuers: readonly TokenIssuer[];
	/** Qualified name of a Gateway with trusted proxies; null or left out = none. */
	readonly proxied?: string | null;
}

export function executionOf(input: ExecutionInput): Execution {
	const { access, callout, experiments, mode, issuers, proxied = null } = input;
	// The sidecar always assigns by a cookie.
	const eligibility = experiments.some(mints) ? null : (input.eligibility ?? null);
	const whyAssignment = assignmentReason(experiments, eligibility, mode);
	const sidecarAssigns = whyAssignment !== null;
	const needed = verdictReason({ access, callout, issuers, proxied, eligibility, sidecarAssigns });
	// If the declaration allows requests without an answer, the verdict stays in Envoy.
	const given = mode === "callout" && callout.onFailure === "deny" && !isOpen(access);
	const whyVerdict = needed ?? (given ? "the mode is callout" : null);
	const beyond = callout.sign || beyondEnvoy({ access, issuers, proxied }) !== null;
	const verdict = whyVerdict !== null;
	const dryRun = dryRunOf(access, { issuers, proxied, sidecarAssigns });
	if (!sidecarAssigns && !verdict) {
		return { callout: null, whyAssignment, whyVerdict, eligibility, beyondEnvoy: beyond, dryRun };
	}
	return {
		callout: {
			verdict,
			assignment: sidecarAssigns,
			onFailure: verdict ? "deny" : callout.onFailure,
			maxStalenessMs: callout.maxStalenessMs,
			onStale: verdict ? "deny" : callout.onStale,
			sign: verdict && callout.sign,
		},
		whyAssignment,
		whyVerdict,
		eligibility,
		beyondEnvoy: beyond,
		dryRun,
	};
}

const mints = ({ spec }: Experiment): boolean => spec.unit.from === "cookie";

function assignmentReason(
	experiments: readonly Experiment[],
	eligibility: Eligibility | null,
	mode: Mode,
): string | null {
	if (experiments.length === 0) return null;
	if (experiments.some(mints)) return "Envoy cannot mint a cookie and assign by it in one step";
	if (eligibility !== null) {
		const { policy, experiment } = eligibility;
		return `who may use each arm's Variant is known after identity, and only who may use all takes part: AccessPolicy ${policy} judges the Variants of Experiment ${experiment} apart`;
	}
	return mode === "callout" ? "the mode is callout" : null;
}
