/**
 * One VirtualHost per Service. With native assignment VirtualHost.matcher selects a whole Route (the Experiment whose slot
 * contains the unit, or the default Variant) without control or sidecar. In a full callout (calloutRoute.ts) the routes match
 * the header that the sidecar sets.
 */
import { isOpen, judgesUsers, judgesVariants, readsUsers } from "../access/rules/policy.js";
import type { ArmTable, ExperimentTable } from "../plan/compiledPlan.js";
import { ARM_HEADER, armValue, FORWARDED_CERT_HEADER, VARIANT_HEADER } from "../plan/headers.js";
import { accessBySidecar, accessPerRoute, gatePerRoute } from "./accessControl.js";
import { calloutPerRoute, noCallout, type RouteFacts } from "./calloutFilters.js";
import { variantRoutes } from "./calloutRoute.js";
import { loopHeader } from "./loopDetection.js";
import { hasUnit, inSlot, onMatchRoute, unitHeader } from "./matcher.js";
import { limitsPerRoute } from "./rateLimits.js";
import {
	addedToRequest,
	modelHeaders,
	ownClaim,
	type RouteContext,
	removed,
	routeAction,
	routeIdentity,
	variantCluster,
} from "./routeAction.js";
import { tokensPerRoute } from "./tokens.js";
import { weightedEntries } from "./weights.js";

export function virtualHost(context: RouteContext): object {
	const { service, table } = context;
	const assigned = table.callout?.assignment ? "callout" : table.experiments.length > 0 ? "native" : "none";
	return {
		name: table.name,
		domains: service.spec.hosts,
		typed_per_filter_config: {
			...gatePerRoute(table.access, context),
			...limitsPerRoute(service.spec.rateLimits, {
				identifies: context.identifies,
				issuers: context.gateway.issuers,
				verifies: verifiesUsers(context),
				probed: !isOpen(table.access),
			}),
			...accessFor(context, table.defaultVariant),
			...calloutFor(context, assigned === "callout" ? {} : { variant: table.defaultVariant }),
			...tokensPerRoute(table.experiments[0]?.unit ?? null, context.gateway, {
				judged: !judgesUsers(table.access) ? "nowhere" : verifiesUsers(context) ? "here" : "by-sidecar",
				tried: !table.callout?.verdict && readsUsers(context.dryRun.rules),
			}),
		},
		request_headers_to_add: [loopHeader(context.mark)],
		// Internal part of the sidecar's answer. The upstream gets x-weir-arm.
		...removed([
			...(assigned === "callout" ? [VARIANT_HEADER] : []),
			...(context.gateway.trustedProxies.length === 0 ? [] : [FORWARDED_CERT_HEADER]),
		]),
		...(assigned === "callout"
			? { routes: variantRoutes(context, defaultRoute(context, false)) }
			: assigned === "native"
				? { matcher: experimentMatcher(context, table.experiments) }
				: { routes: [defaultRoute(context, false)] }),
	};
}

/** Access control of requests to a Variant: by Envoy, by the sidecar, or none. */
function accessFor(context: RouteContext, variant: string): Record<string, object> {
	const { table, dryRun } = context;
	return table.callout?.verdict ? accessBySidecar() : accessPerRoute(dryRun.rules, variant, context, dryRun.reported);
}

/** Envoy judges users. */
const verifiesUsers = ({ table }: RouteContext): boolean => !table.callout?.verdict && judgesUsers(table.access);

/** Whether the sidecar is called, and with which context. */
function calloutFor(context: RouteContext, facts: RouteFacts): Record<string, object> {
	const { table, planVersion, exposeArm, protocol, asksSidecar } = context;
	if (table.callout === null) return asksSidecar ? noCallout() : {};
	return calloutPerRoute(table.callout, protocol, {
		plan: planVersion,
		service: table.name,
		gateway: context.gateway.name,
		...(exposeArm ? { expose: "1" } : {}),
		...facts,
	});
}

/** Filter configuration of a weighted entry that differs from the virtual host's. */
function entryFilters(context: RouteContext, experiment: string, arm: string | null, variant: string): object {
	const { table } = context;
	const perFilter = {
		...(!table.callout?.verdict && judgesVariants(table.access) ? accessFor(context, variant) : {}),
		...(table.callout === null ? {} : calloutFor(context, { experiment, variant, ...(arm === null ? {} : { arm }) })),
	};
	return Object.keys(perFilter).length === 0 ? {} : { typed_per_filter_config: perFilter };
}

function experimentMatcher(context: RouteContext, experiments: readonly ExperimentTable[]): object {
	// All experiments of a Service share one layer and so one unit (resources/checks/layer.ts).
	const [first] = experiments;
	const header = first === undefined ? "" : unitHeader(first);
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
		on_no_match: onMatchRoute({ ...defaultRoute(context, false), ...removed([ownClaim(context.table)]) }),
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
					...armHeaders(context, experiment, entry.arm, entry.variant),
					...entryFilters(context, experiment.name, entry.arm, entry.variant),
				})),
			},
			// XXH64(salt + ":" + unit): the salting rewrite, then Envoy's header hash (design: Assignment).
			hash_policy: [
				{
					header: {
						header_name: unitHeader(experiment),
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

/** @param unit the request has a unit, which is in the rest of every Experiment */
function defaultRoute(context: RouteContext, unit: boolean) {
	const { table, planVersion, exposeArm } = context;
	const rest = table.experiments.map(({ name }) => armValue(name, null));
	return {
		...routeIdentity(context, null),
		route: { cluster: variantCluster(context, table.defaultVariant), ...routeAction(context) },
		metadata: { filter_metadata: { weir: { plan: planVersion } } },
		...addedToRequest(modelHeaders(context, table.defaultVariant)),
		...(unit && exposeArm ? { response_headers_to_add: rest.map(armHeader) } : {}),
		// An upstream's own header of that name would look like ours.
		...(!unit && exposeArm ? { response_headers_to_remove: [ARM_HEADER] } : {}),
	};
}

/** One response value per Experiment of the Service: the arm if the unit is in its slot, else `-`. */
function armHeaders(context: RouteContext, experiment: ExperimentTable, arm: string | null, variant: string): object {
	const { table, exposeArm } = context;
	const own = armValue(experiment.name, arm);
	const others = table.experiments
		.filter(({ name }) => name !== experiment.name)
		.map(({ name }) => armValue(name, null));
	const parameters = experiment.arms.find(({ name }) => name === arm)?.parameters ?? {};
	return {
		request_headers_to_add: [armHeader(own, 0), ...parameterHeaders(parameters), ...modelHeaders(context, variant)],
		...(exposeArm ? { response_headers_to_add: [own, ...others].map(armHeader) } : {}),
	};
}

/** In Envoy's header values a percent sign starts a command, and two are a literal one. */
const parameterHeaders = (parameters: ArmTable["parameters"]): readonly object[] =>
	Object.entries(parameters).map(([key, value]) => ({
		header: { key, value: value.replaceAll("%", "%%") },
		append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
	}));

const armHeader = (value: string, index: number): object => ({
	header: { key: ARM_HEADER, value },
	append_action: index === 0 ? "OVERWRITE_IF_EXISTS_OR_ADD" : "APPEND_IF_EXISTS_OR_ADD",
});
