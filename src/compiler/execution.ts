/**
 * Which of the three executions a Service gets (design: one declaration, three executions): all in Envoy; assigned
 * by Envoy with one callout that is told the arm; or a full callout. Native first: the sidecar is asked only for
 * what Envoy cannot do, or what the declaration or the operator gives it.
 */
import { judgesVariants } from "../access/policy.js";
import type { Callout, Experiment, Service } from "../resources/resource.js";
import type { AccessTable, CalloutTable, ServiceTable } from "./plan.js";

/** auto: native wherever Envoy can. native: what it cannot is a problem. callout: the sidecar does what it can. */
export type Mode = "auto" | "native" | "callout";

/** By which of Envoy's protocols the sidecar is asked. */
export type CalloutProtocol = "ext_authz" | "ext_proc";

export interface Execution {
	/** null = the sidecar is never asked. */
	readonly callout: CalloutTable | null;
	/** Why the sidecar assigns; null where Envoy does, or there is nothing to assign. */
	readonly whyAssignment: string | null;
	/** Why the sidecar decides access; null where Envoy does, or anyone may call. */
	readonly whyVerdict: string | null;
}

/** One Service on its way through the compiler. */
export interface CompiledService {
	readonly service: Service;
	readonly table: ServiceTable;
	readonly execution: Execution;
}

export interface ExecutionInput {
	readonly access: AccessTable;
	readonly callout: Callout;
	/** Experiments that assign somebody now. */
	readonly experiments: readonly Experiment[];
	readonly mode: Mode;
}

export function executionOf({ access, callout, experiments, mode }: ExecutionInput): Execution {
	const whyAssignment = assignmentReason(experiments, mode);
	const whyVerdict = verdictReason(access, callout, whyAssignment !== null, mode);
	if (whyAssignment === null && whyVerdict === null) return { callout: null, whyAssignment, whyVerdict };
	const verdict = whyVerdict !== null;
	return {
		callout: {
			verdict,
			assignment: whyAssignment !== null,
			onFailure: verdict ? "deny" : callout.onFailure,
			maxStalenessMs: callout.maxStalenessMs,
			onStale: verdict ? "deny" : callout.onStale,
			sign: verdict && callout.sign,
		},
		whyAssignment,
		whyVerdict,
	};
}

function assignmentReason(experiments: readonly Experiment[], mode: Mode): string | null {
	if (experiments.length === 0) return null;
	if (experiments.some(({ spec }) => spec.unit.from === "cookie"))
		return "Envoy cannot mint a cookie and assign by it in one step";
	return mode === "callout" ? "the mode is callout" : null;
}

function verdictReason(access: AccessTable, callout: Callout, assigns: boolean, mode: Mode): string | null {
	if (isOpen(access)) return null;
	if (callout.access === "sidecar") return "the Service asks for it (callout.access: sidecar)";
	if (assigns && judgesVariants(access)) return "a policy judges Variants, and the sidecar chooses them";
	// Where the declaration lets requests pass unanswered, the verdict stays in Envoy, which can give it.
	return mode === "callout" && callout.onFailure === "deny" ? "the mode is callout" : null;
}

/** Anyone may call: said so, and no policy selects the Service. */
export const isOpen = (access: AccessTable): boolean => access.open && access.policies.length === 0;
