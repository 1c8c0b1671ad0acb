/**
 * Services whose newest configuration an Envoy has refused, as that Envoy is given them instead: each answers 503 to
 * everybody, under its newest hosts. Nothing else of them is there, so that whatever was refused is gone, and no request
 * is judged by rules that are older than the declared ones. The plan's table and version stay: nobody is asked about them.
 */
import { qualifiedName, type ResourceSet } from "../../declare/resources/resource.js";
import { accessBySidecar } from "../envoy/accessControl.js";
import { noCallout } from "../envoy/calloutFilters.js";
import type { CompiledService } from "./execution.js";
import type { ServiceTable } from "./plan.js";

/** What clients read; they may be anybody, so nothing more is said. */
const BODY = "closed: configuration-refused\n";

/** Its route has no name of ours: what is answered here is neither exposure nor outcome. */
export function closedVirtualHost({ name, hosts }: ServiceTable, asksSidecar: boolean): object {
	return {
		name,
		domains: hosts,
		typed_per_filter_config: { ...accessBySidecar(), ...(asksSidecar ? noCallout() : {}) },
		routes: [
			{
				match: { prefix: "/" },
				direct_response: { status: 503, body: { inline_string: BODY } },
			},
		],
	};
}

/** Resources without what only closed Services need. */
export function withoutClosed(resources: ResourceSet, closed: ReadonlySet<string>): ResourceSet {
	if (closed.size === 0) return resources;
	return {
		...resources,
		services: resources.services.filter(({ metadata }) => !closed.has(qualifiedName(metadata))),
		experiments: resources.experiments.filter(
			({ metadata, spec }) => !closed.has(qualifiedName({ ...metadata, name: spec.service })),
		),
	};
}

/** Each Service as it is declared and learned, by qualified name: what Envoy is given of it changes only where its text does. */
export const formsOf = (services: readonly CompiledService[]): ReadonlyMap<string, string> =>
	new Map(services.map(({ service, table }) => [table.name, JSON.stringify([service, table])]));
