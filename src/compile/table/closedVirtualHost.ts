/**
 * Replaces Services whose newest configuration an Envoy has rejected: each answers 503 to all callers under its newest hosts,
 * and has nothing else. So the rejected part is gone, and no request is judged by outdated rules. The plan's table and
 * version stay, because a closed Service never uses the sidecar.
 */
import { qualifiedName, type ResourceSet } from "../../declare/resources/resource.js";
import { accessBySidecar } from "../envoy/accessControl.js";
import { noCallout } from "../envoy/calloutFilters.js";
import type { ServiceTable } from "../plan/compiledPlan.js";
import type { CompiledService } from "./execution.js";

/** The response body. Any client can read it, so it gives no details. */
const BODY = "closed: configuration-refused\n";

/** The route has no Weir name, so its responses count neither as exposures nor as outcomes. */
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

/** Removes resources that only closed Services need. */
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

/** A text per Service, by qualified name. It changes whenever Envoy's configuration of the Service does. */
export const formsOf = (services: readonly CompiledService[]): ReadonlyMap<string, string> =>
	new Map(services.map(({ service, table }) => [table.name, JSON.stringify([service, table])]));
