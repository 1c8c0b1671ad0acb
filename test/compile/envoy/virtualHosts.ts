/** Reads compiled virtual hosts: which HTTP filters are enabled, and with which configuration. */
import { ASSIGN_FILTER, PROCESS_FILTER, VERDICT_FILTER } from "../../../src/compile/envoy/calloutContext.js";
import type { CompiledPlan } from "../../../src/compile/plan/compiledPlan.js";

/** typed_per_filter_config: by filter name. */
export type PerFilter = Readonly<Record<string, { readonly "@type": string; readonly [field: string]: unknown }>>;

export interface HeaderToAdd {
	readonly header: { readonly key: string; readonly value: string };
}

export interface WeightedCluster {
	readonly name: string;
	readonly weight: number;
	readonly request_headers_to_add?: readonly HeaderToAdd[];
	readonly typed_per_filter_config?: PerFilter;
}

export interface Route {
	readonly name: string;
	readonly match: { readonly headers?: readonly { readonly name: string; readonly [field: string]: unknown }[] };
	readonly route?: {
		readonly cluster?: string;
		readonly weighted_clusters?: { readonly clusters: readonly WeightedCluster[] };
	};
	readonly direct_response?: { readonly status: number };
	readonly typed_per_filter_config?: PerFilter;
}

export interface VirtualHost {
	readonly name: string;
	readonly typed_per_filter_config: PerFilter;
	readonly request_headers_to_remove?: readonly string[];
	readonly routes?: readonly Route[];
	readonly matcher?: object;
}

/** Virtual hosts of the only Gateway, by Service. */
export function virtualHost(plan: CompiledPlan, service: string): VirtualHost {
	const hosts = plan.envoy.routes.flatMap(({ virtual_hosts }) => virtual_hosts as readonly VirtualHost[]);
	const found = hosts.filter(({ name }) => name === service);
	if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} virtual hosts of ${service}`);
	return found[0];
}

/** Every value under the key, outermost first. */
export function valuesUnder(value: unknown, key: string): readonly unknown[] {
	if (Array.isArray(value)) return value.flatMap((item) => valuesUnder(item, key));
	if (typeof value !== "object" || value === null) return [];
	const own = key in value ? [(value as Record<string, unknown>)[key]] : [];
	return [...own, ...Object.values(value).flatMap((inner) => valuesUnder(inner, key))];
}

/** Entries of all weighted clusters of the host. */
export function weightedClusters(host: VirtualHost): readonly WeightedCluster[] {
	return valuesUnder(host, "weighted_clusters").flatMap(
		(weighted) => (weighted as { readonly clusters: readonly WeightedCluster[] }).clusters,
	);
}

interface HttpFilter {
	readonly name: string;
	readonly disabled?: boolean;
	readonly typed_config: { readonly [field: string]: unknown };
}

/** HTTP filters of the only listener in order, each with its configuration. */
export function httpFilters({ envoy }: CompiledPlan): readonly HttpFilter[] {
	const filters = valuesUnder(envoy.listeners, "http_filters")[0] as readonly (HttpFilter & {
		config_discovery?: object;
	})[];
	return filters.map(({ config_discovery, ...filter }) => {
		if (config_discovery === undefined) return filter;
		const found = envoy.extensions.find(({ name }) => name === filter.name);
		return { ...filter, typed_config: found?.typed_config as HttpFilter["typed_config"] };
	});
}

const FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

/**
 * Enabled filters that ask the sidecar. As in Envoy, the most specific configuration counts, else the listener's.
 * @param levels typed_per_filter_config, the most specific first
 */
export function calloutsOn(plan: CompiledPlan, ...levels: readonly PerFilter[]): readonly string[] {
	const asking: readonly string[] = [VERDICT_FILTER, ASSIGN_FILTER, PROCESS_FILTER];
	return httpFilters(plan)
		.filter(({ name }) => asking.includes(name))
		.filter(({ name, disabled }) => {
			const own = configOf(name, ...levels);
			if (own === undefined) return disabled !== true;
			return own["@type"] !== FILTER_CONFIG || own.disabled !== true;
		})
		.map(({ name }) => name);
}

/** The effective configuration: Envoy uses only the most specific one. */
export function configOf(filter: string, ...levels: readonly PerFilter[]): PerFilter[string] | undefined {
	return levels.find((level) => level[filter] !== undefined)?.[filter];
}
