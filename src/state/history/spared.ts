/**
 * What a rollback of access rules leaves in its place: Services are not rolled back. What came later and is about nothing
 * but Services that came later too stays as it is, for the older rules say nothing of those, a denial least of all. So do
 * the policies of a Service that was open then, and would be left without any rule, so that nobody could call it; and
 * DataClasses that Services name. The rest goes back. A policy that is also about a Service which has rules from then is
 * not kept, for it would change those: where the other Services cannot do without it the rollback is refused whole, with
 * what to do (here and in opened.ts). A policy from then all of whose Services are gone is left out: nothing is served
 * there that it could let in or keep out. One that would replace a policy of now is not, for that one would stay in its
 * place. Pure.
 */
import { policiesOf, servicesOf } from "../../access/rules/selection.js";
import { findNamed } from "../../resources/lookup.js";
import { once } from "../../resources/once.js";
import { parseResources } from "../../resources/parse.js";
import { resourceTitle } from "../../resources/position.js";
import { namedIn, referencesOf } from "../../resources/reference.js";
import {
	type AccessPolicy,
	type Problem,
	qualifiedName,
	type ResourceSet,
	type Service,
} from "../../resources/resource.js";
import type { Target } from "../acts/deletion.js";
import { keyOf, resourceKey } from "../store/resourceSet.js";
import type { Past } from "./arrivals.js";
import type { Restoration } from "./policyHistory.js";

export type Rules = Pick<ResourceSet, "services" | "accessPolicies" | "dataClasses" | "referenceGrants">;

/** Asked for some times of a rollback, and the dear part of it. */
export const readIn = once((document: Restoration["documents"][number]) => parseResources([document]));

const policiesIn = (document: Restoration["documents"][number]): readonly AccessPolicy[] =>
	readIn(document).resources.accessPolicies;

export function spared(whole: Restoration, now: Rules, { isLater }: Pick<Past, "isLater">): Restoration {
	const restoration = withoutOrphans(whole, now);
	const own = new Set([...leftBare(restoration, now), ...now.services.filter(isLater)]);
	const gone = new Set(restoration.deletions.map(({ kind, name }) => resourceKey(kind, name)));
	const about = (policy: AccessPolicy): readonly Service[] => servicesOf(policy, now.services, now.referenceGrants);
	const policies = now.accessPolicies.filter((policy) => {
		const services = about(policy);
		return gone.has(keyOf(policy)) && services.length > 0 && services.every((service) => own.has(service));
	});
	const kept = new Set([...policies, ...now.services].flatMap(referencesOf).map(({ to }) => resourceTitle(to)));
	const stays = new Set([
		...policies.map(keyOf),
		...now.dataClasses.map(keyOf).filter((key) => gone.has(key) && kept.has(key)),
	]);
	const isKept = ({ kind, name }: Restoration["deletions"][number]): boolean => stays.has(resourceKey(kind, name));
	return {
		...restoration,
		deletions: restoration.deletions.filter((one) => !isKept(one)),
		kept: restoration.deletions.filter(isKept),
	};
}

function withoutOrphans(restoration: Restoration, { services, accessPolicies }: Rules): Restoration {
	const isNamed = (policy: AccessPolicy, written: string): boolean =>
		written === "*" || findNamed(services, namedIn(policy.metadata.namespace, written)) !== undefined;
	const isOrphan = (policy: AccessPolicy): boolean =>
		!policy.spec.services.some((written) => isNamed(policy, written)) &&
		findNamed(accessPolicies, policy.metadata) === undefined;
	const leftOut: Target[] = [];
	const documents = restoration.documents.filter((document) => {
		const [policy] = policiesIn(document);
		if (policy === undefined || !isOrphan(policy)) return true;
		leftOut.push({ kind: policy.kind, name: qualifiedName(policy.metadata) });
		return false;
	});
	return leftOut.length === 0 ? restoration : { ...restoration, documents, leftOut };
}

/** What the checks say of a Service that would be left bare is told as a matter of the rollback. */
export function bareProblems(problems: readonly Problem[], restoration: Restoration, now: Rules): readonly Problem[] {
	const bare = new Map(leftBare(restoration, now).map((one) => [`stored ${keyOf(one)}`, one]));
	return problems.map((problem) => {
		const service = bare.get(problem.position?.file ?? "");
		if (service === undefined) return problem;
		const then = "and nobody could call it after the rollback";
		return {
			position: problem.position,
			message: `${resourceTitle(service)} had no rules at revision ${restoration.revision}, ${then}`,
			hint: "declare an AccessPolicy for it alone, which a rollback keeps, and roll back then",
		};
	});
}

/** The policies after the rollback. */
export function policiesAfter({ documents, deletions }: Restoration, now: Rules): readonly AccessPolicy[] {
	const back = documents.flatMap(policiesIn);
	const replaced = new Set([...deletions.map(({ kind, name }) => resourceKey(kind, name)), ...back.map(keyOf)]);
	return [...now.accessPolicies.filter((policy) => !replaced.has(keyOf(policy))), ...back];
}

/** Closed Services that a policy is about now, and none would be. */
function leftBare(restoration: Restoration, now: Rules): readonly Service[] {
	const then = policiesAfter(restoration, now);
	const has = (policies: readonly AccessPolicy[], service: Service): boolean =>
		policiesOf(service, policies, now.referenceGrants).some(({ spec }) => spec.mode === "enforce");
	return now.services.filter(
		(service) => service.spec.access === null && has(now.accessPolicies, service) && !has(then, service),
	);
}
