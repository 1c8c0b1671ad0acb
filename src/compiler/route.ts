/**
 * One VirtualHost per Service. With experiments, VirtualHost.matcher picks a whole Route: the experiment whose
 * slot the unit is in, or the default Variant. Everything is native: no callout, and control may be dead.
 */
import { type AccessPolicy, qualifiedName, type Service } from "../resources/resource.js";
import { accessPerRoute } from "./accessControl.js";
import { protoDuration } from "./duration.js";
import { hasUnit, inSlot, onMatchRoute } from "./matcher.js";
import { clusterName, type ExperimentTable, routeName, type ServiceTable } from "./plan.js";
import { weightedEntries } from "./weights.js";

/** Names the arm to the upstream (request) and, where the Gateway says so, to the client (response). */
export const ARM_HEADER = "x-weir-arm";

export interface RouteContext {
	readonly service: Service;
	readonly table: ServiceTable;
	readonly planVersion: string;
	readonly exposeArm: boolean;
	/** Policies of the whole set. */
	readonly accessPolicies: readonly AccessPolicy[];
}

export function virtualHost(context: RouteContext): object {
	const { service, table, accessPolicies } = context;
	return {
		name: qualifiedName(service.metadata),
		domains: service.spec.hosts,
		typed_per_filter_config: accessPerRoute(service, accessPolicies),
		...(table.experiments.length === 0
			? { routes: [defaultRoute(context, false)] }
			: { matcher: experimentMatcher(context, table.experiments) }),
	};
}

function experimentMatcher(context: RouteContext, experiments: readonly ExperimentTable[]): object {
	// All experiments of a Service share one layer and so one unit header (resources/check.ts).
	const header = experiments[0]?.unitHeader ?? "";
	const slots = experiments.map((experiment) => ({ experiment, predicate: inSlot(experiment) }));
	const whole = slots.find(({ predicate }) => predicate === null);
	const onUnit =
		whole !== undefined
			? onMatchRoute(experimentRoute(context, whole.experiment))
			: {
					matcher: {
						matcher_list: {
							matchers: slots.map(({ experiment, predicate }) => ({
								predicate,
								on_match: onMatchRoute(experimentRoute(context, experiment)),
							})),
						},
						on_no_match: onMatchRoute(defaultRoute(context, true)),
					},
				};
	return {
		matcher_list: { matchers: [{ predicate: hasUnit(header), on_match: onUnit }] },
		on_no_match: onMatchRoute(defaultRoute(context, false)),
	};
}

function experimentRoute(context: RouteContext, experiment: ExperimentTable): object {
	const { table, planVersion } = context;
	return {
		...routeIdentity(context, experiment.name),
		route: {
			weighted_clusters: {
				use_hash_policy: true,
				clusters: weightedEntries(experiment, table.defaultVariant).map((entry) => ({
					name: variantCluster(context, entry.variant),
					weight: entry.points,
					...armHeaders(context, experiment.name, entry.arm),
				})),
			},
			// XXH64(salt + ":" + unit): the salting rewrite, then Envoy's header hash (design: Assignment).
			hash_policy: [
				{
					header: {
						header_name: experiment.unitHeader,
						regex_rewrite: {
							pattern: { regex: "^(.*)$" },
							substitution: `${experiment.salt}:\\1`,
						},
					},
				},
			],
			...routeAction(context),
		},
		metadata: { filter_metadata: { weir: { plan: planVersion } } },
	};
}

/** @param unit whether the request has a unit, which then is in the rest of every experiment. */
function defaultRoute(context: RouteContext, unit: boolean): object {
	const { table, planVersion, exposeArm } = context;
	const rest = table.experiments.map((experiment) => `${experiment.name}/-`);
	return {
		...routeIdentity(context, null),
		route: { cluster: variantCluster(context, table.defaultVariant), ...routeAction(context) },
		metadata: { filter_metadata: { weir: { plan: planVersion } } },
		...(unit && exposeArm ? { response_headers_to_add: rest.map(armHeader) } : {}),
		// An upstream's own header of that name would be taken for ours.
		...(!unit && exposeArm && rest.length > 0 ? { response_headers_to_remove: [ARM_HEADER] } : {}),
	};
}

const routeIdentity = ({ planVersion, table }: RouteContext, experiment: string | null): object => ({
	name: routeName(planVersion, table.name, experiment),
	match: { prefix: "/" },
});

/** Timeout and retries; a retry stays in the chosen cluster, and so in the Variant. */
function routeAction({ service: { spec } }: RouteContext): object {
	return {
		timeout: protoDuration(spec.timeoutMs),
		...(spec.retries === null
			? {}
			: {
					retry_policy: {
						retry_on: spec.retries.on.join(","),
						num_retries: spec.retries.attempts,
						...(spec.retries.perTryTimeoutMs === 0
							? {}
							: { per_try_timeout: protoDuration(spec.retries.perTryTimeoutMs) }),
					},
				}),
	};
}

/** One response value per experiment of the Service: the arm where the unit is in its slot, `-` elsewhere. */
function armHeaders({ table, exposeArm }: RouteContext, experiment: string, arm: string | null): object {
	const own = `${experiment}/${arm ?? "-"}`;
	const others = table.experiments.filter(({ name }) => name !== experiment).map(({ name }) => `${name}/-`);
	return {
		request_headers_to_add: [armHeader(own, 0)],
		...(exposeArm ? { response_headers_to_add: [own, ...others].map(armHeader) } : {}),
	};
}

const armHeader = (value: string, index: number): object => ({
	header: { key: ARM_HEADER, value },
	append_action: index === 0 ? "OVERWRITE_IF_EXISTS_OR_ADD" : "APPEND_IF_EXISTS_OR_ADD",
});

/** The Variant's cluster, or the default one's where it has no endpoint and the Service says `default-variant`. */
function variantCluster({ service, table }: RouteContext, variant: string): string {
	const declared = service.spec.variants.find(({ name }) => name === variant);
	const empty = declared === undefined || declared.endpoints.length === 0;
	const served = empty && service.spec.noEndpoint === "default-variant" ? table.defaultVariant : variant;
	return clusterName(table.name, served);
}
