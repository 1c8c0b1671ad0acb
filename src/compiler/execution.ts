/**
 * Which of the three executions a Service gets (design: one declaration, three executions): all in Envoy; assigned
 * by Envoy with one callout that is told the arm; or a full callout. Native first: the sidecar is asked only for
 * what Envoy cannot do, or what the declaration or the operator gives it.
 */
import type { Apart } from "../access/eligibility.js";
import { isOpen, judgesUsers, judgesVariants, nativeObstacle } from "../access/policy.js";
import {
	type Callout,
	type Experiment,
	type Gateway,
	qualifiedName,
	type Service,
	type TokenIssuer,
} from "../resources/resource.js";
import type { AccessTable, CalloutTable, ServiceTable } from "./plan.js";
import { untriedShadows } from "./shadow.js";

export { isOpen };

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
	/** That who may use each arm's Variant matters is why the sidecar assigns; null = it is not. */
	readonly eligibility: Eligibility | null;
	/** Envoy's rules could not decide it at all. */
	readonly beyondEnvoy: boolean;
	/** Shadow policies that nobody tries, as `NAME (WHY)`. */
	readonly untried: readonly string[];
}

/** What makes eligibility matter, and the Experiment where it does. */
export interface Eligibility extends Apart {
	/** Qualified name. */
	readonly experiment: string;
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
	/** null or left out = who may use each arm's Variant does not matter. */
	readonly eligibility?: Eligibility | null;
	readonly mode: Mode;
	/** Of all Gateways. */
	readonly issuers: readonly TokenIssuer[];
	/** Qualified name of a Gateway with trusted proxies; null or left out = none has any. */
	readonly proxied?: string | null;
}

/** Every Service is reachable through every Gateway, so that one with trusted proxies is enough. */
export function proxiedGateway(gateways: readonly Gateway[]): string | null {
	const found = gateways.find(({ spec }) => spec.trustedProxies.length > 0);
	return found === undefined ? null : qualifiedName(found.metadata);
}

export function executionOf(input: ExecutionInput): Execution {
	const { access, callout, experiments, mode, issuers, proxied = null } = input;
	// Whose unit is a cookie is the sidecar's to assign anyway.
	const eligibility = experiments.some(mints) ? null : (input.eligibility ?? null);
	const whyAssignment = assignmentReason(experiments, eligibility, mode);
	const whyVerdict = verdictReason({ access, callout, mode, issuers, proxied }, whyAssignment !== null);
	const beyond = callout.sign || beyondEnvoy(access, issuers, proxied) !== null;
	const verdict = whyVerdict !== null;
	const reach = { issuers, sidecarAssigns: whyAssignment !== null };
	const untried = verdict ? [] : untriedShadows(access, reach).map(({ policy, why }) => `${policy.name} (${why})`);
	if (whyAssignment === null && !verdict) {
		return { callout: null, whyAssignment, whyVerdict, eligibility, beyondEnvoy: beyond, untried };
	}
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
		eligibility,
		beyondEnvoy: beyond,
		untried,
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

type VerdictInput = Required<Pick<ExecutionInput, "access" | "callout" | "mode" | "issuers" | "proxied">>;

function verdictReason({ access, callout, mode, issuers, proxied }: VerdictInput, assigns: boolean): string | null {
	if (callout.sign) return "the Service wants each decision signed (callout.sign), and Envoy signs none";
	const beyond = beyondEnvoy(access, issuers, proxied);
	if (beyond !== null) return beyond;
	if (isOpen(access)) return null;
	if (callout.access === "sidecar") return "the Service asks for it (callout.access: sidecar)";
	if (assigns && judgesVariants(enforced(access))) return "a policy judges Variants, and the sidecar chooses them";
	// Where the declaration lets requests pass unanswered, the verdict stays in Envoy, which can give it.
	return mode === "callout" && callout.onFailure === "deny" ? "the mode is callout" : null;
}

/** Shadow policies change nothing of what is served, and so not the execution either. */
const enforced = (access: AccessTable): AccessTable => ({
	...access,
	policies: access.policies.filter(({ shadow }) => !shadow),
});

/** What Envoy's own rules cannot judge of an enforced policy; null = they can judge all. */
function beyondEnvoy(access: AccessTable, issuers: readonly TokenIssuer[], proxied: string | null): string | null {
	if (proxied !== null && !isOpen(access))
		return `Gateway ${proxied} has trusted proxies, and Envoy's rules see the proxy, not the client that it names`;
	for (const policy of enforced(access).policies) {
		const obstacle = nativeObstacle(policy);
		if (obstacle !== null) return `AccessPolicy ${policy.name} has ${obstacle}`;
	}
	const bound = issuers.find(({ binding }) => binding !== "none");
	return bound !== undefined && judgesUsers(access)
		? `tokens of ${bound.issuer} must come with a proof of possession (${bound.binding}), and Envoy checks none`
		: null;
}
