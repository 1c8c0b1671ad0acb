/** A Service must be either open or selected by a policy. */

import { ANYONE } from "../../../compile/access/requests/principal.js";
import { policiesNaming, policiesOf } from "../../../compile/access/rules/selection.js";
import { resourceTitle } from "../position.js";
import { mayName } from "../reference.js";
import { type AccessPolicy, demandsClientCertificates, type Service } from "../resource.js";
import { conditionProblems } from "./conditions.js";
import { policyProblems } from "./policy.js";
import type { Check } from "./report.js";
import { ruleProblems } from "./rules.js";

/** The enforced and the shadow policies of a Service. */
interface Selection {
	readonly service: Service;
	readonly enforced: readonly AccessPolicy[];
	readonly shadow: readonly AccessPolicy[];
}

export function accessProblems(check: Check): void {
	const { set } = check;
	const judged = new Set<Service>();
	for (const policy of set.accessPolicies) policyProblems(check, policy, judged);
	const selections = set.services.map((service): Selection => {
		const own = policiesOf(service, set.accessPolicies, set.referenceGrants);
		conditionProblems(check, service, own);
		ruleProblems(check, service, own);
		const of = (mode: string) => own.filter(({ spec }) => spec.mode === mode);
		return { service, enforced: of("enforce"), shadow: of("shadow") };
	});
	for (const selection of selections) accessFieldProblem(check, selection);
	identityProblems(check, selections);
}

function accessFieldProblem(
	{ set, positions, report, isStored }: Check,
	{ service, enforced, shadow }: Selection,
): void {
	const open = service.spec.access === "open";
	if (open && enforced.length > 0) {
		const message = `${resourceTitle(service)} is open and selected by an AccessPolicy`;
		report(service, ["spec", "access"], message, "remove access: open, or take it out of the policy's services");
	} else if (!open && enforced.length === 0 && !positions.hasBroken("AccessPolicy")) {
		// A revoked grant may leave a Service without policies: it then denies all callers.
		const severed = policiesNaming(service, set.accessPolicies).some(
			(policy) => isStored(policy) && policy.spec.mode === "enforce" && !mayName(policy, service, set.referenceGrants),
		);
		if (severed) return;
		// A policy of another namespace is not named in the message.
		const own = shadow.find(({ metadata }) => metadata.namespace === service.metadata.namespace);
		const message =
			shadow.length === 0
				? `${resourceTitle(service)} does not say who may call it`
				: `${resourceTitle(service)} is selected by shadow policies alone${own === undefined ? "" : ` (${own.metadata.name})`}, so no one may call it`;
		const hint =
			shadow.length === 0
				? "write access: open for everyone, or add an AccessPolicy whose services list it"
				: "write access: open until the policies are enforced, or mode: enforce in one of them";
		report(service, ["spec"], message, hint);
	}
}

/** The simplest way first. */
const ASK = "write tls: {identity: mesh} in a Gateway, or clientCaFile beside its certificate's files";

/** Without a client certificate a caller has no SPIFFE id, so rules about ids never match. */
function identityProblems({ set, positions, report }: Check, selections: readonly Selection[]): void {
	const [gateway] = set.gateways;
	if (gateway === undefined || set.gateways.some(demandsClientCertificates) || positions.hasBroken("Gateway")) return;
	const guarded = selections.find(
		({ service, enforced }) =>
			service.spec.access === null && enforced.length > 0 && enforced.every((policy) => !allowsByToken(policy)),
	);
	if (guarded !== undefined) {
		const message = `no Gateway asks for client certificates, so no caller could be identified at ${resourceTitle(guarded.service)}`;
		const hint = `${ASK}, or write access: open in the Service`;
		report(gateway, gateway.spec.tls === null ? ["spec"] : ["spec", "tls"], message, hint);
		return;
	}
	const guards = new Set(selections.flatMap(({ service, enforced }) => (service.spec.access === null ? enforced : [])));
	for (const policy of set.accessPolicies) {
		const { principals } = policy.spec;
		if (principals.length === 0 || principals.includes(ANYONE) || !guards.has(policy)) continue;
		const message =
			"spec.principals names callers, but no Gateway asks for client certificates: the policy never matches";
		const hint = `${ASK}, or name users, groups, tenants or claims instead`;
		report(policy, ["spec", "principals"], message, hint);
	}
}

/** Whether it can allow callers by a token only, or all callers. */
const allowsByToken = ({ spec }: AccessPolicy): boolean =>
	spec.action === "allow" && (spec.principals.length === 0 || spec.principals.includes(ANYONE));
