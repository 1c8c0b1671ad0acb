/**
 * The compiler: resources and status in, a Plan out. Pure. Everything that Envoy can express is native; what it
 * cannot is named in `rules` with its reason.
 */
import { contentHash } from "../assignment/hash.js";
import { experimentTable } from "../assignment/table.js";
import { type Experiment, type Problem, qualifiedName, type ResourceSet, type Service } from "../resources/resource.js";
import { initialStatus, type Status } from "../rollout/status.js";
import { isProtected } from "./accessControl.js";
import { variantCluster } from "./cluster.js";
import { explainRules } from "./explain.js";
import { listener, routesByDiscovery } from "./listener.js";
import {
	type Collectors,
	type EnvoyResource,
	type Plan,
	type PlanTable,
	routeConfigName,
	type ServiceTable,
} from "./plan.js";
import { virtualHost } from "./route.js";

export interface CompileOptions {
	readonly collectors: Collectors;
	/** Overrides every experiment's live allocation, e.g. `weir compile --allocation 20%`. */
	readonly allocationPpm?: number;
}

/** No access log, no traces: what `weir compile` prints runs by itself. */
export const NO_COLLECTORS: Collectors = { accessLogSocket: null, tracesSocket: null, traceSamplingPercent: 0 };

/**
 * Logged before any Experiment asks for it: a new header in the access log is a new listener configuration, and
 * connections opened before it would be served, but logged without their unit, until they are drained.
 */
const USUAL_UNIT_HEADER = "x-user-id";

/**
 * @param resources checked resources (resources/check.ts); the compiler does not check them again.
 * @param status what was learned; an Experiment without an entry runs at its first step.
 */
export function compile(resources: ResourceSet, status: Status, options: CompileOptions): Plan {
	const table = planTable(resources, status, options.allocationPpm);
	const version = contentHash(JSON.stringify(table));
	const tableOf = (service: Service): ServiceTable => {
		const found = table.services.find(({ name }) => name === qualifiedName(service.metadata));
		return found as ServiceTable; // planTable has one entry per Service
	};
	const variants = resources.services.flatMap((service) =>
		service.spec.variants.map((variant) => variantCluster(qualifiedName(service.metadata), service, variant)),
	);
	const protects = resources.services.some((service) => isProtected(service, resources.accessPolicies));
	const unitHeaders = [...new Set([USUAL_UNIT_HEADER, ...resources.experiments.map(({ spec }) => spec.unit.header)])];
	return {
		version,
		envoy: {
			clusters: variants.map(({ cluster }) => cluster),
			endpoints: variants.flatMap(({ endpoints }) => (endpoints === null ? [] : [endpoints])),
			listeners: resources.gateways.map((gateway) =>
				listener({
					gateway,
					collectors: options.collectors,
					protects,
					unitHeaders,
					routes: routesByDiscovery(gateway),
				}),
			),
			routes: resources.gateways.map(
				(gateway): EnvoyResource => ({
					"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
					name: routeConfigName(qualifiedName(gateway.metadata)),
					// `Host: name:port` is the same Service as `Host: name`.
					ignore_port_in_host_matching: true,
					virtual_hosts: resources.services.map((service) =>
						virtualHost({
							service,
							table: tableOf(service),
							planVersion: version,
							exposeArm: gateway.spec.exposeArm,
							accessPolicies: resources.accessPolicies,
						}),
					),
				}),
			),
		},
		table,
		problems: planProblems(resources),
		rules: explainRules(resources, table),
	};
}

function planTable(resources: ResourceSet, status: Status, allocationPpm: number | undefined): PlanTable {
	return {
		services: resources.services.map((service) => {
			const name = qualifiedName(service.metadata);
			return {
				name,
				defaultVariant: liveDefault(service, status),
				timeoutMs: service.spec.timeoutMs,
				experiments: resources.experiments
					.filter((experiment) => isOf(experiment, service))
					.flatMap((experiment) => experimentTable(experiment, layerOf(resources, experiment), live(experiment)) ?? []),
			};
		}),
	};

	function live(experiment: Experiment) {
		const learned =
			status.experiments[qualifiedName(experiment.metadata)] ?? initialStatus(experiment.spec.rollout.stepsPpm, 0);
		return allocationPpm === undefined ? learned : { ...learned, allocationPpm };
	}
}

/** The promoted Variant, as long as it is declared: one that was taken away since cannot serve. */
function liveDefault(service: Service, status: Status): string {
	const promoted = status.services[qualifiedName(service.metadata)]?.defaultVariant;
	const declared = service.spec.variants.some(({ name }) => name === promoted);
	return promoted !== undefined && declared ? promoted : service.spec.defaultVariant;
}

const isOf = (experiment: Experiment, service: Service): boolean =>
	experiment.spec.service === service.metadata.name && experiment.metadata.namespace === service.metadata.namespace;

const layerOf = (resources: ResourceSet, { metadata, spec }: Experiment) =>
	resources.layers.find(
		(layer) => layer.metadata.name === spec.layer.name && layer.metadata.namespace === metadata.namespace,
	) ?? null;

function planProblems(resources: ResourceSet): readonly Problem[] {
	if (resources.gateways.length > 0) return [];
	return [
		{
			position: null,
			message: "no Gateway is declared, so Envoy would listen nowhere",
			hint: "add one: kind: Gateway with spec.port",
		},
	];
}
