/**
 * Checks across resources: missing references, overlaps, undeclared access. Pure; each Problem points at the field to
 * change. Resources that did not parse count as existing.
 */
import { PROBLEMS_MAX } from "../../../limits/index.js";
import { wildcardsOver } from "../fields/host.js";
import { type Named, Positions, resourceTitle } from "../position.js";
import type { Problem, ResourceSet, Service } from "../resource.js";
import { knownNames } from "../suggest.js";
import { accessProblems } from "./access.js";
import { calloutProblems } from "./callout.js";
import { dataClassProblems, regionProblems } from "./dataClass.js";
import { denominatorProblems, experimentProblems } from "./experiment.js";
import { layerProblems } from "./layer.js";
import { loopProblems } from "./loop.js";
import { previousOwners } from "./previousOwner.js";
import { referenceProblems } from "./reference.js";
import type { Check } from "./report.js";
import { rolloutProblems } from "./rollout.js";
import { sharedProblems } from "./serverOwner.js";

/** For problems beyond the reported ones. */
const LATER_HINT = "correct the other problems first";

/**
 * All cross-check problems of a set.
 * @param isStored whether it is unchanged: what another namespace revoked since then causes no problem
 * @param before the set before the change, for rules about deterioration
 * @param positions those of parseResources; without them (a set from JSON) problems have no position
 */
export function checkResources(
	set: ResourceSet,
	positions: Positions = new Positions(),
	isStored: (resource: Named) => boolean = () => false,
	before: ResourceSet | null = null,
): readonly Problem[] {
	const problems: Problem[] = [];
	const check: Check = {
		set,
		before,
		positions,
		isStored,
		report: (resource, path, message, hint) => {
			const text = typeof hint === "string" ? hint : problems.length < PROBLEMS_MAX ? hint() : LATER_HINT;
			problems.push({ position: positions.at(resource, path), message, hint: text });
		},
	};
	serviceProblems(check);
	wildcardProblems(check);
	sharedProblems(check);
	loopProblems(check);
	referenceProblems(check);
	accessProblems(check);
	dataClassProblems(check);
	regionProblems(check);
	calloutProblems(check);
	experimentProblems(check);
	rolloutProblems(check);
	denominatorProblems(check);
	layerProblems(check);
	return problems;
}

function serviceProblems(check: Check): void {
	const { set, report } = check;
	const owners = previousOwners(check, ({ spec }) => spec.hosts);
	for (const service of set.services) {
		const { defaultVariant, variants, hosts } = service.spec;
		const names = variants.map((variant) => variant.name);
		if (!names.includes(defaultVariant)) {
			const message = `spec.defaultVariant names ${JSON.stringify(defaultVariant)}, which is no variant of the Service`;
			report(service, ["spec", "defaultVariant"], message, () => knownNames(defaultVariant, names, "variants"));
		}
		const seen = new Set<string>();
		for (const [index, host] of hosts.entries()) {
			const owner = owners.get(host) ?? service;
			owners.set(host, owner);
			if (owner === service && !seen.has(host)) {
				seen.add(host);
				continue;
			}
			const taken = owner === service ? "listed twice" : `taken by ${resourceTitle(owner)}`;
			report(service, ["spec", "hosts", index], `host ${host} is ${taken}`, "give each host to one Service, once");
		}
	}
}

/** A more specific host takes requests from a wildcard: allowed within a namespace, refused across namespaces. */
function wildcardProblems({ set, report }: Check): void {
	const owners = new Map(
		set.services.flatMap((owner) =>
			owner.spec.hosts.filter((host) => host.startsWith("*.")).map((host) => [host, owner] as const),
		),
	);
	const isOther = (one: Service, wildcard: string): boolean => {
		const owner = owners.get(wildcard);
		return owner !== undefined && owner.metadata.namespace !== one.metadata.namespace;
	};
	for (const service of set.services) {
		for (const [index, host] of service.spec.hosts.entries()) {
			const over = [...wildcardsOver(host)].find((wildcard) => isOther(service, wildcard));
			if (over === undefined) continue;
			const message = `host ${host} lies under ${over} of ${resourceTitle(owners.get(over) ?? service)}`;
			report(service, ["spec", "hosts", index], message, "choose a host that no other namespace's wildcard covers");
		}
	}
}
