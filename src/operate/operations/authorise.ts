/** The rights and approvals that an operation needs, and what an approver approves. Pure. */
import { isDeepStrictEqual } from "node:util";
import type { State } from "../../decide/rollout/ports.js";
import { serviceOf } from "../../declare/resources/lookup.js";
import { resourceTitle } from "../../declare/resources/position.js";
import { referencesOf } from "../../declare/resources/reference.js";
import { namespaceOf, qualifiedName, type Resource } from "../../declare/resources/resource.js";
import type { PersonRequest } from "../approvals/personRequest.js";
import { type Authorisation, approvalsOf, combined, fingerprint, NO_APPROVALS } from "../approvals/required.js";
import { changedFields } from "../audit/changedFields.js";
import type { MayRead } from "../callers/hiddenNames.js";
import { type ChangeSet, changeOf, type ResourceDiff } from "../changes/changeSet.js";
import { keyOf } from "../changes/resourceKey.js";
import { ALL_NAMESPACES, type Need, needsOf } from "../state/rights/permissions.js";
import { promoteNeeds } from "../state/rights/runningExperiment.js";

/** The current state and the caller. */
export interface Asker {
	readonly state: Pick<State, "resources" | "status">;
	readonly mayRead: MayRead;
	/** Admin in `*`. */
	readonly isPlatformAdmin: boolean;
}

/**
 * An unchanged resource needs no right if the caller may read it. So a complete file can be applied with the rights for
 * its changes alone.
 */
export function authoriseChange({ state, mayRead, isPlatformAdmin }: Asker, changeSet: ChangeSet): Authorisation {
	const written = new Set(changeSet.upserts.map(({ resource }) => resource));
	const diffs = changeSet.diffs.filter(
		({ before, after }) =>
			!isDeepStrictEqual(before, after) ||
			(after !== null && written.has(after)) ||
			!mayRead((after ?? before).metadata.namespace),
	);
	const promote = promoteNeeds(state, diffs);
	const needs = unique([...diffs.flatMap(needsOf), ...promote]);
	const { approvalPolicies } = state.resources;
	const [rules, others] = [diffs.filter(isRule), diffs.filter((one) => !isRule(one))];
	const approvals = combined([
		approvalsOf(approvalPolicies, "apply", [...namespacesIn(others.flatMap(needsOf)), ...servicesNamed(others)]),
		// Otherwise one person could remove the policy, or bind a second subject, and then act alone. Only `*` counts for its admin,
		// so that a namespace cannot block the platform with a policy that no one can satisfy.
		approvalsOf(
			approvalPolicies,
			"any",
			rules.length > 0 && isPlatformAdmin ? [ALL_NAMESPACES] : namespacesIn(rules.flatMap(needsOf)),
		),
		approvalsOf(approvalPolicies, "promote", namespacesIn(promote)),
	]);
	return {
		needs,
		namespaces: [...new Set([...namespacesIn(needs), ...Object.keys(approvals.needsIn)])],
		approvals,
		effects: [...diffs.map(effectOf), ...promote.map(({ verb, to }) => `needs ${verb} to ${to}`)],
		fingerprints: Object.fromEntries(
			diffs.map(({ before, after }) => [keyOf(after ?? before), fingerprint(before ?? undefined)]),
		),
	};
}

/** @param experimentName of an Experiment that exists */
export function authorisePerson(
	{ resources, status }: Asker["state"],
	experimentName: string,
	{
		verb,
		arm,
		overrideGates = false,
		shutOut = false,
	}: Pick<PersonRequest, "verb" | "arm" | "overrideGates" | "shutOut">,
): Authorisation {
	const namespace = namespaceOf(experimentName);
	const experiment = resources.experiments.find((one) => qualifiedName(one.metadata) === experimentName);
	const service = experiment === undefined ? null : serviceOf(experiment);
	const live = status.experiments[experimentName];
	const right = verb === "abort" ? "abort" : "promote";
	const effect = [
		`${verb} Experiment ${experimentName}`,
		...(arm === null ? [] : [`arm ${arm}`]),
		...(overrideGates ? ["overriding its gates"] : []),
		...(shutOut ? ["though callers lose access"] : []),
	];
	return {
		needs: [{ verb: right, namespace }, ...(overrideGates ? [{ verb: "admin" as const, namespace }] : [])],
		namespaces: [namespace],
		// Stopping a ramp can be urgent, and is harmless.
		approvals: verb === "pause" ? NO_APPROVALS : approvalsOf(resources.approvalPolicies, right, [namespace]),
		effects: [effect.join(", ")],
		fingerprints: {
			[`Experiment ${experimentName}`]: fingerprint(experiment?.spec),
			// Without the allocation, which grows while the request is pending.
			[`the status of Experiment ${experimentName}`]: fingerprint([
				live?.phase,
				live?.closedArms,
				live?.promotion,
				live?.hold,
			]),
			[`the default Variant of Service ${service}`]: fingerprint([
				resources.services.find((one) => qualifiedName(one.metadata) === service)?.spec.defaultVariant,
				status.services[service ?? ""]?.defaultVariant,
			]),
		},
	};
}

const isRule = ({ before, after }: ResourceDiff): boolean => {
	const { kind } = after ?? before;
	return kind === "RoleBinding" || kind === "ApprovalPolicy";
};

/** Namespaces of the Services that these AccessPolicies name: a ReferenceGrant does not bypass the owners' ApprovalPolicy. */
function servicesNamed(diffs: readonly ResourceDiff[]): readonly string[] {
	return diffs
		.flatMap(({ before, after }) => [before, after])
		.filter((one): one is Resource => one?.kind === "AccessPolicy")
		.flatMap(referencesOf)
		.flatMap(({ to }) => (to.kind === "Service" ? [to.metadata.namespace] : []));
}

function effectOf(diff: ResourceDiff): string {
	const { before, after } = diff;
	const change = changeOf(diff);
	const fields = before === null || after === null ? "" : changedFields(before, after);
	return `${change.change} ${resourceTitle(after ?? before)}${fields === "" ? "" : `: ${fields}`}`;
}

function unique(needs: readonly Need[]): readonly Need[] {
	return [...new Map(needs.map((need) => [`${need.verb} ${need.namespace}`, need])).values()];
}

const namespacesIn = (needs: readonly Need[]): readonly string[] => [
	...new Set(needs.map(({ namespace }) => namespace)),
];
