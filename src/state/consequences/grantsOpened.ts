/**
 * Services that a change of grants opens to somebody: a denial of another namespace rests on its grant, and ends with it; an
 * allow that had lost its grant comes back with it; and with a policy that looks at users or at paths goes what it judged
 * them by. The documents say none of it, so that it is told to who declares the change, and is part of what others approve:
 * who adds a policy by a grant needs their approval too, so that nobody else can hold such a change up. Pure.
 */
import { OpeningsOfChange } from "../../access/review/policyLoosened.js";
import { policiesNaming } from "../../access/rules/selection.js";
import { accessTable } from "../../access/rules/table.js";
import type { PolicyTable } from "../../compiler/plan.js";
import { PROBLEMS_MAX } from "../../limits.js";
import { findNamed } from "../../resources/lookup.js";
import { resourceTitle } from "../../resources/position.js";
import { mayName } from "../../resources/reference.js";
import {
	type AccessPolicy,
	namespaceOf,
	qualifiedName,
	type ResourceSet,
	type Service,
} from "../../resources/resource.js";
import type { ResourceChange } from "../acts/wishes.js";
import { fingerprint } from "../approvals/approval.js";
import type { StandingFault } from "../standingFaults.js";

/** Named of one Service; of the others, how many. */
const NAMED = 5;

/** A Service that is opened, and all of it, more than the words name. */
export interface Opening extends StandingFault {
	readonly openings: readonly string[];
	/** What is enforced about it, before or after. */
	readonly rules: readonly PolicyTable[];
}

export function openedByGrants(
	before: ResourceSet,
	after: ResourceSet,
	changes: readonly ResourceChange[],
): readonly Opening[] {
	const places = new Set(
		changes
			.filter(({ kind, change }) => kind === "ReferenceGrant" && change !== "unchanged")
			.map(({ name }) => namespaceOf(name)),
	);
	if (places.size === 0) return [];
	const compared = new OpeningsOfChange();
	return after.services
		.filter(({ metadata }) => places.has(metadata.namespace))
		.flatMap((service): readonly Opening[] => {
			const { openings, rules } = openingsOf(service, before, after, compared);
			if (openings.length === 0) return [];
			const more = openings.length > NAMED ? [`and ${openings.length - NAMED} more`] : [];
			return [{ resource: service, words: [...openings.slice(0, NAMED), ...more].join("; "), openings, rules }];
		});
}

const NOTHING: Pick<Opening, "openings" | "rules"> = { openings: [], rules: [] };

function openingsOf(
	service: Service,
	before: ResourceSet,
	after: ResourceSet,
	compared: OpeningsOfChange,
): typeof NOTHING {
	const was = findNamed(before.services, service.metadata);
	if (was === undefined) return NOTHING;
	const may = (policy: AccessPolicy, { referenceGrants }: ResourceSet): boolean =>
		mayName(policy, service, referenceGrants);
	// What comes or goes with a document of its own is said by that.
	const turned = new Set(
		policiesNaming(service, after.accessPolicies)
			.filter((policy) => may(policy, before) !== may(policy, after))
			.filter(({ metadata }) => findNamed(before.accessPolicies, metadata) !== undefined)
			.map(({ metadata }) => qualifiedName(metadata)),
	);
	if (turned.size === 0) return NOTHING;
	const [old, now] = [
		accessTable(was, before.accessPolicies, before.referenceGrants),
		accessTable(service, after.accessPolicies, after.referenceGrants),
	];
	const found = compared.of(service, old, now).flatMap(({ policy, what }) => {
		if (policy === null) return [what];
		if (!turned.has(policy.name)) return [];
		// With its namespace, which is another one.
		return policy.action === "deny"
			? [`AccessPolicy ${policy.name} denies nothing there any more, for no ReferenceGrant lets it`]
			: [`AccessPolicy ${policy.name} lets callers in there again, by a ReferenceGrant`];
	});
	return { openings: found, rules: [...old.policies, ...now.policies].filter(({ shadow }) => !shadow) };
}

/** As others are told of it who approve the change: they may read the Service, and so what judges it. */
export function openedEffects(
	all: readonly StandingFault[],
): readonly { readonly effect: string; readonly namespace: string }[] {
	const named = all.slice(0, PROBLEMS_MAX).map(({ resource, words }) => ({
		effect: `opens ${resourceTitle(resource)}: ${words}`,
		namespace: resource.metadata.namespace,
	}));
	const more = all.length - named.length;
	const last = all.at(-1);
	if (more === 0 || last === undefined) return named;
	return [
		...named,
		{
			effect: `opens ${more} more ${more === 1 ? "Service" : "Services"}`,
			namespace: last.resource.metadata.namespace,
		},
	];
}

/**
 * Of all, also of those that the effects only count, and of what the rules about them say, of which the words have but names:
 * how much a denial kept out that ends, and whom the rules let in that are left. Others approve these and no others.
 */
export function openedBasis(all: readonly Opening[]): Readonly<Record<string, string>> {
	if (all.length === 0) return {};
	const opened = all.map(({ resource, openings, rules }) => [
		resourceTitle(resource),
		openings,
		rules.map(({ name }) => name),
	]);
	// One policy may be about all of them, and name thousands of callers.
	const rules = new Map(all.flatMap((one) => one.rules.map((rule) => [rule.name, rule])));
	return { openings: fingerprint([opened, [...rules.values()]]) };
}
