/**
 * Where a rollback of access rules would let in who neither then nor now is: into a Service that came later, or has since
 * become another to rules (by its DataClass, or as it was closed or opened); into one whose grants were others, so that a
 * policy of another namespace reached it, or did not; into one about which rules of then stay away, for they are not in the
 * scope. So with data of such a Service, by a DataClass as it was then. A rollback brings back who was let in, and lets nobody
 * in anew: it is refused whole, naming the Service and the policy. A pure function of what is known of then.
 */
import { type Opening, OpeningsOfChange } from "../../access/review/policyLoosened.js";
import { policiesOf } from "../../access/rules/selection.js";
import { accessTable } from "../../access/rules/table.js";
import type { AccessTable } from "../../compiler/plan.js";
import { PROBLEMS_MAX } from "../../limits.js";
import { findNamed, inNamespace } from "../../resources/lookup.js";
import { resourceTitle } from "../../resources/position.js";
import { mayName, referencesOf } from "../../resources/reference.js";
import {
	type AccessPolicy,
	type Position,
	type Problem,
	qualifiedName,
	type Service,
} from "../../resources/resource.js";
import type { Past } from "./arrivals.js";
import type { Formerly, FormerRules } from "./formerRules.js";
import type { Restoration } from "./policyHistory.js";
import { policiesAfter, type Rules, readIn } from "./spared.js";

/** At most PROBLEMS_MAX. */
export function openedProblems(
	restoration: Restoration,
	now: Rules,
	past: Past,
	former: FormerRules,
): readonly Problem[] {
	const opened = openedServices(restoration, now, past, former);
	const data = opened.length < PROBLEMS_MAX ? openedData(restoration, now, past, former) : [];
	return [...opened, ...data].slice(0, PROBLEMS_MAX);
}

function openedServices(restoration: Restoration, now: Rules, past: Past, former: FormerRules): readonly Problem[] {
	const then = policiesAfter(restoration, now);
	const places = placesOf(restoration);
	const grants = now.referenceGrants;
	const [sinceThen, sinceNow] = [new OpeningsOfChange(), new OpeningsOfChange()];
	const openingsOf = (service: Service): readonly Problem[] => {
		const before = policiesOf(service, now.accessPolicies, grants);
		const after = policiesOf(service, then, grants);
		if (isSame(before, after)) return [];
		const formerly = past.isOther(service) ? null : former.of(service.metadata.namespace);
		if (formerly !== null && isSame(formerPolicies(service, formerly), after)) return [];
		const table = accessTable(service, then, grants);
		if (formerly !== null && sinceThen.of(service, formerTable(service, formerly), table).length === 0) return [];
		const since = sinceOf(service, restoration.revision, past, formerly, { after, now });
		return sinceNow
			.of(service, accessTable(service, now.accessPolicies, grants), table)
			.map((opening) => problemOf(opening, since, places));
	};
	const found: Problem[] = [];
	for (const service of now.services) {
		found.push(...openingsOf(service));
		if (found.length >= PROBLEMS_MAX) break;
	}
	return found;
}

const formerPolicies = (service: Service, { accessPolicies, referenceGrants }: Formerly): readonly AccessPolicy[] =>
	policiesOf(service, accessPolicies, referenceGrants);
const formerTable = (service: Service, { accessPolicies, referenceGrants }: Formerly): AccessTable =>
	accessTable(service, accessPolicies, referenceGrants);

/** In whatever order. */
function isSame<Item>(one: readonly Item[], other: readonly Item[]): boolean {
	if (one.length !== other.length) return false;
	if (one.every((item, at) => item === other[at])) return true;
	const items = new Set(one);
	return other.every((item) => items.has(item));
}

/** Why the rules of a revision are none for the Service now, and what to do. */
interface Since {
	readonly words: string;
	readonly hint: string;
}

function sinceOf(
	service: Service,
	revision: number,
	past: Past,
	formerly: Formerly | null,
	{ after, now }: { readonly after: readonly AccessPolicy[]; readonly now: Rules },
): Since {
	const title = resourceTitle(service);
	const own = `declare the denial by an AccessPolicy for ${title} alone, which a rollback keeps, and roll back then`;
	const byFile = "apply the older rules by a file, for the Services that they are meant for";
	if (past.isLater(service)) {
		return past.isKnown(service)
			? { words: `${title} came after revision ${revision}`, hint: `${own}; or ${byFile}` }
			: { words: `nobody knows whether ${title} was there at revision ${revision}`, hint: `${byFile}; or ${own}` };
	}
	const changed = { words: `${title} or its grant was changed after revision ${revision}`, hint: byFile };
	if (past.isOther(service)) return changed;
	if (formerly === null) return { words: `nobody knows all rules of ${title} at revision ${revision}`, hint: byFile };
	const granted = inNamespace(now.referenceGrants, service.metadata.namespace);
	if (!isSame(formerly.referenceGrants, granted)) return changed;
	const were = formerPolicies(service, formerly);
	const [other] = [...were.filter((one) => !after.includes(one)), ...after.filter((one) => !were.includes(one))];
	// With its namespace, also where that is `default`: so it can be hidden from who may not read there.
	const name = `AccessPolicy ${other?.metadata.namespace}/${other?.metadata.name}`;
	return {
		words: `${title} is also judged by ${name}, which would not be as at revision ${revision}`,
		hint: `${byFile}; or roll back ${name} too, without --namespace`,
	};
}

function problemOf(
	{ policy, what }: Opening,
	{ words, hint }: Since,
	places: ReadonlyMap<string, Position | null>,
): Problem {
	const named = policy === null ? "" : ` AccessPolicy ${policy.name}:`;
	return {
		position: policy?.action === "allow" ? (places.get(policy.name) ?? null) : null,
		message: `${words}, whose rules would open it:${named} ${what}`,
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
function openedData(
	{ revision, documents }: Restoration,
	now: Rules,
	past: Past,
	former: FormerRules,
): readonly Problem[] {
	return documents.flatMap((document) => {
		const { resources, positions } = readIn(document);
		return resources.dataClasses.flatMap((then) => {
			const regions = findNamed(now.dataClasses, then.metadata)?.spec.regions ?? [];
			const further = then.spec.regions.filter((region) => !regions.includes(region));
			if (further.length === 0) return [];
			const { namespace } = then.metadata;
			const grants = former.grants(namespace);
			const isStrange = (service: Service): boolean =>
				past.isOther(service) ||
				(service.metadata.namespace !== namespace && (grants === null || !mayName(service, then, grants)));
			const title = resourceTitle(then);
			const sinceWhen = (service: Service): string =>
				grants === null && !past.isOther(service)
					? `nobody knows whether ${resourceTitle(service)} might name ${title} at revision ${revision}`
					: `${resourceTitle(service)} came, or was put under ${title}, after revision ${revision}`;
			return now.services
				.filter((service) =>
					referencesOf(service).some(
						({ to }) => resourceTitle(to) === title && mayName(service, to, now.referenceGrants),
					),
				)
				.filter(isStrange)
				.map((service) => ({
					position: positions.at(then, ["spec", "regions"]),
					message: `${sinceWhen(service)}, which would let its data go to ${further.join(", ")}`,
					hint: `give ${resourceTitle(service)} a DataClass of its own; or apply the older rules by a file, without ${title}`,
				}));
		});
	});
}
