/**
 * Where a rollback of access rules would open what they were never about: a Service that came later, or has since become
 * another to rules (by its DataClass, or as it was closed or opened); a Service of another namespace whose grant came later;
 * data of such a Service, by a DataClass as it was then. A rollback brings back who was let in, and lets nobody in anew: it
 * is refused whole, naming the Service and the policy. Pure.
 */
import { type Opening, openings } from "../access/policyLoosened.js";
import { policiesOf } from "../access/selection.js";
import { accessTable } from "../access/table.js";
import { PROBLEMS_MAX } from "../limits.js";
import { findNamed } from "../resources/lookup.js";
import { resourceTitle } from "../resources/position.js";
import { mayName, referencesOf } from "../resources/reference.js";
import {
	type AccessPolicy,
	namespaceOf,
	type Position,
	type Problem,
	qualifiedName,
	type Service,
} from "../resources/resource.js";
import type { Past } from "./arrivals.js";
import type { Restoration } from "./policyHistory.js";
import { policiesAfter, type Rules, readIn } from "./spared.js";

/** At most PROBLEMS_MAX. */
export function openedProblems(restoration: Restoration, now: Rules, past: Past): readonly Problem[] {
	return [...openedServices(restoration, now, past), ...openedData(restoration, now, past)].slice(0, PROBLEMS_MAX);
}

function openedServices(restoration: Restoration, now: Rules, past: Past): readonly Problem[] {
	const then = policiesAfter(restoration, now);
	const places = placesOf(restoration);
	const grants = now.referenceGrants;
	return now.services.flatMap((service) => {
		const before = policiesOf(service, now.accessPolicies, grants);
		const after = policiesOf(service, then, grants);
		if (before.length === after.length && before.every((one, at) => one === after[at])) return [];
		const { namespace } = service.metadata;
		const isOther = past.isOther(service);
		if (!isOther && !past.isGrantedOtherwise(namespace)) return [];
		return openings(accessTable(service, now.accessPolicies, grants), accessTable(service, then, grants))
			.filter(({ policy }) => isOther || (policy?.action === "allow" && namespaceOf(policy.name) !== namespace))
			.map((opening) => problemOf(service, opening, restoration.revision, past, places));
	});
}

function problemOf(
	service: Service,
	{ policy, what }: Opening,
	revision: number,
	past: Past,
	places: ReadonlyMap<string, Position | null>,
): Problem {
	const title = resourceTitle(service);
	const named = policy === null ? "" : ` AccessPolicy ${policy.name}:`;
	const own = `declare the denial by an AccessPolicy for ${title} alone, which a rollback keeps, and roll back then`;
	const byFile = "apply the older rules by a file, for the Services that they are meant for";
	const [since, hint] = !past.isLater(service)
		? [`${title} or its grant was changed after revision ${revision}`, byFile]
		: past.isKnown(service)
			? [`${title} came after revision ${revision}`, `${own}; or ${byFile}`]
			: [`nobody knows whether ${title} was there at revision ${revision}`, `${byFile}; or ${own}`];
	return {
		position: policy?.action === "allow" ? (places.get(policy.name) ?? null) : null,
		message: `${since}, whose rules would open it:${named} ${what}`,
		hint,
	};
}

/** Where the policies that come back name their Services. */
function placesOf({ documents }: Restoration): ReadonlyMap<string, Position | null> {
	const at = (policy: AccessPolicy, document: Restoration["documents"][number]): Position | null =>
		readIn(document).positions.at(policy, ["spec", "services"]);
	return new Map(
		documents.flatMap((document) =>
			readIn(document).resources.accessPolicies.map((policy) => [qualifiedName(policy.metadata), at(policy, document)]),
		),
	);
}

/** Data that might go where it may not go now. */
function openedData({ revision, documents }: Restoration, now: Rules, past: Past): readonly Problem[] {
	return documents.flatMap((document) => {
		const { resources, positions } = readIn(document);
		return resources.dataClasses.flatMap((then) => {
			const regions = findNamed(now.dataClasses, then.metadata)?.spec.regions ?? [];
			const further = then.spec.regions.filter((region) => !regions.includes(region));
			if (further.length === 0) return [];
			const { namespace } = then.metadata;
			const isStrange = (service: Service): boolean =>
				past.isOther(service) || (service.metadata.namespace !== namespace && past.isGrantedOtherwise(namespace));
			const title = resourceTitle(then);
			return now.services
				.filter((service) =>
					referencesOf(service).some(
						({ to }) => resourceTitle(to) === title && mayName(service, to, now.referenceGrants),
					),
				)
				.filter(isStrange)
				.map((service) => ({
					position: positions.at(then, ["spec", "regions"]),
					message: `${resourceTitle(service)} came, or was put under ${title}, after revision ${revision}, which would let its data go to ${further.join(", ")}`,
					hint: `give ${resourceTitle(service)} a DataClass of its own; or apply the older rules by a file, without ${title}`,
				}));
		});
	});
}
