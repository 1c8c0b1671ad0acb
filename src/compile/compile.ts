/**
 * The compiler: resources and status in, a Plan out. Pure. Everything that Envoy can express is native; `rules` names the
 * rest with its reason.
 */

import { initialStatus, liveDefault, type Status } from "../decide/rollout/status.js";
import { USUAL_UNIT_HEADER } from "../declare/resources/experimentTypes.js";
import { experimentsOf, findNamed } from "../declare/resources/lookup.js";
import {
	demandsClientCertificates,
	type Experiment,
	type Gateway,
	type KeySource,
	qualifiedName,
	type ResourceSet,
	type Service,
} from "../declare/resources/resource.js";
import { GATEWAY_CONNECTION_MS, KEYS_URL_MS } from "../limits/index.js";
import { isOpen } from "./access/rules/accessTable.js";
import { armVariants, type Eligibility, policyThatDiffers } from "./access/rules/eligibility.js";
import { accessTable, readsUsers } from "./access/rules/policy.js";
import { type ShadowGap, shadowGapOf } from "./access/shadow.js";
import { proxiedGateway } from "./access/verdictReason.js";
import { experimentTable } from "./assignment/experimentTable.js";
import { contentHash } from "./assignment/hash.js";
import type { CalloutFilters } from "./envoy/calloutFilters.js";
import { variantCluster } from "./envoy/cluster.js";
import { type KeySets, keySetName } from "./envoy/keySet.js";
import { listener, routesByDiscovery } from "./envoy/listener.js";
import { loopMark } from "./envoy/loopDetection.js";
import { virtualHost } from "./envoy/route.js";
import { keysClusters } from "./envoy/tokenKeys.js";
import { type TokensContext, tokenExtensions } from "./envoy/tokens.js";
import type { CalloutProtocol } from "./plan/compiledPlan.js";
import {
	type AccessTable,
	type Collectors,
	type CompiledPlan,
	type EnvoyResource,
	type ExperimentTable,
	type GatewayTable,
	type PlanTable,
	type RuleExecution,
	routeConfigName,
} from "./plan/compiledPlan.js";
import { closedVirtualHost, formsOf, withoutClosed } from "./table/closedVirtualHost.js";
import { type CompiledService, executionOf, type Mode } from "./table/execution.js";
import { explainRules } from "./table/explain.js";
import { meshIdentitiesNamed, withoutMeshIdentities } from "./table/meshIdentities.js";
import { planProblems } from "./table/problems.js";
import { excludedEndpoints, withinRegions } from "./table/residency.js";

export interface CompileOptions {
	readonly collectors: Collectors;
	/** Overrides every experiment's live allocation, e.g. `weir compile --allocation 20%`. */
	readonly allocationPpm?: number;
	/** Default auto. */
	readonly mode?: Mode;
	/** Default ext_authz, the cheapest. */
	readonly protocol?: CalloutProtocol;
	/**
	 * always: callout and rate limit filters exist even if no Service needs them, with tokens and cookies. Control sets it,
	 * because filters come with the listener and their use with the routes: with newer routes an open connection, which keeps
	 * its listener for minutes, would skip a missing filter.
	 */
	readonly sidecar?: "always" | "when-needed";
	/** Key sets of token issuers, by keySetName. Without one Envoy reads the file once, or fetches the URL repeatedly. */
	readonly keySets?: KeySets;
	/**
	 * Distinguishes Gateways of this installation from those of another in a chain, for loop detection. Left out: the hash of
	 * the declaration, since two equal ones, endpoints included, lead to the same servers.
	 */
	readonly installation?: string;
	/** Current time: `rules` report policies that have ended or will begin. */
	readonly nowMs?: number;
	/** Maximum age of a connection with an SVID; default GATEWAY_CONNECTION_MS. */
	readonly connectionMs?: number;
	/** SPIFFE trust domain of the mesh; left out = unknown: a Gateway with `tls: {identity: mesh}` accepts no client. */
	readonly trustDomain?: string;
	/** Services that are closed at an Envoy, by qualified name: closedVirtualHost. */
	readonly closed?: ReadonlySet<string>;
}

const NONE: ReadonlySet<string> = new Set();

/** No access log and no traces: the output of `weir compile` runs by itself. */
export const NO_COLLECTORS: Collectors = { accessLogSocket: null, tracesSocket: null, traceSamplingPercent: 0 };

/**
 * @param declared checked resources (resources/checks/check.ts); the compiler does not check them again
 * @param status learned state; an Experiment without an entry runs at its first step
 */
export function compile(declared: ResourceSet, status: Status, options: CompileOptions): CompiledPlan {
	const { collectors, protocol = "ext_authz", sidecar = "when-needed", keySets = {} } = options;
	const {
		installation = contentHash(JSON.stringify(declared)),
		closed = NONE,
		connectionMs = GATEWAY_CONNECTION_MS,
	} = options;
	const { resources, services, table } = compileAll(declared, status, options);
	const version = contentHash(JSON.stringify(table));
	const given = withoutClosed(resources, closed);
	const open = services.filter((compiled) => !closed.has(compiled.table.name));
	const variants = given.services.flatMap((service) =>
		service.spec.variants.map((variant) => variantCluster(qualifiedName(service.metadata), service, variant)),
	);
	const experiments = open.flatMap((compiled) => compiled.table.experiments);
	const units = experiments.map(({ unit }) => unit);
	const headers = given.experiments.flatMap(({ spec }) => (spec.unit.from === "header" ? [spec.unit.header] : []));
	const claims = units.flatMap((unit) => (unit.from === "claim" ? [unit.header] : []));
	const unitHeaders = [...new Set([USUAL_UNIT_HEADER, ...headers, ...claims])];
	const segments = experiments.flatMap((one) => one.segments ?? []);
	const loggedHeaders = [...new Set([...unitHeaders, ...segments.map(({ header }) => header)])];
	const called = open.filter((compiled) => compiled.table.callout !== null);
	// An open connection keeps its listener and gets newer routes, so filters that these may need are present in advance.
	const always = sidecar === "always";
	const asksSidecar = always || called.length > 0;
	const cookies = always || units.some(({ from }) => from === "cookie");
	const tokens = (gateway: Gateway): TokensContext => ({ gateway: gatewayTable(gateway), units, keySets, always });
	const protects = table.services.some(({ access }) => !isOpen(access));
	// If a filter makes the unit or may refuse its request, long requests are logged while open
	// (events/receive/requests/entryReader.ts). With a protected Service the listener is not drained when an Experiment begins or
	// ends.
	const lateUnits = protects || claims.length > 0 || called.some((compiled) => compiled.table.callout?.assignment);
	return {
		version,
		bound: new Map(declared.services.map(({ metadata, spec }) => [qualifiedName(metadata), spec.dataClass !== null])),
		envoy: {
			clusters: [...variants.map(({ cluster }) => cluster), ...keysClusters(resources.gateways, keySets)],
			endpoints: variants.flatMap(({ endpoints }) => (endpoints === null ? [] : [endpoints])),
			listeners: resources.gateways.map((gateway) =>
				listener({
					gateway,
					collectors,
					protects,
					loggedHeaders,
					tokens: tokens(gateway),
					callout: asksSidecar
						? {
								timeoutMs: longestTimeout(always ? services.filter(mayUseSidecar) : called),
								unitHeaders: [...unitHeaders, ...(cookies ? ["cookie"] : [])],
								tokens: always || judgesUsers(open) ? tokensOf(gateway) : "none",
								proxied: gateway.spec.trustedProxies.length > 0,
							}
						: null,
					lateUnits,
					limits:
						always ||
						resources.services.some(({ spec }) => Object.values(spec.rateLimits).some((rate) => rate !== null)),
					connectionMs,
					trustDomain: options.trustDomain ?? null,
					routes: routesByDiscovery(gateway),
				}),
			),
			extensions: resources.gateways.flatMap((gateway) => tokenExtensions(tokens(gateway))),
			routes: resources.gateways.map(
				(gateway): EnvoyResource => ({
					"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
					name: routeConfigName(qualifiedName(gateway.metadata)),
					// `Host: name:port` is the same Service as `Host: name`.
					ignore_port_in_host_matching: true,
					virtual_hosts: services.map((compiled) =>
						closed.has(compiled.table.name)
							? closedVirtualHost(compiled.table, asksSidecar)
							: virtualHost({
									service: compiled.service,
									table: compiled.table,
									dryRun: compiled.execution.dryRun,
									planVersion: version,
									gateway: gatewayTable(gateway),
									exposeArm: gateway.spec.exposeArm,
									idleTimeoutMs: gateway.spec.idleTimeoutMs,
									protocol,
									asksSidecar,
									identifies: demandsClientCertificates(gateway),
									mark: loopMark(installation, qualifiedName(gateway.metadata), compiled.table.name),
								}),
					),
				}),
			),
		},
		table,
		problems: planProblems(resources, services, options.mode ?? "auto"),
		rules: [
			...explainRules(services, protocol, resources.gateways, options.nowMs ?? null, leftOut(declared)),
			...keyRules(resources, keySets),
		],
		asksSidecar,
	};
}

/** The table that compile makes in mode auto. */
export const compileTable = (declared: ResourceSet, status: Status): PlanTable =>
	compileAll(declared, status, {}).table;

/** Unreported results of shadow policies in mode auto, by Service. */
export function compileShadowGaps(declared: ResourceSet, status: Status): readonly ShadowGap[] {
	if (declared.accessPolicies.every(({ spec }) => spec.mode !== "shadow")) return [];
	return compileAll(declared, status, {}).services.flatMap(({ table, execution }) =>
		execution.whyVerdict === null ? (shadowGapOf(table.name, execution.dryRun) ?? []) : [],
	);
}

/** Texts by Service: formsOf. */
export const compileForms = (declared: ResourceSet, status: Status): ReadonlyMap<string, string> =>
	formsOf(compileAll(declared, status, {}).services);

type TableOptions = Pick<CompileOptions, "allocationPpm" | "mode">;

function compileAll(declared: ResourceSet, status: Status, options: TableOptions) {
	// Removed before anything is compiled, so nothing of it can leak.
	const resources = withoutMeshIdentities(withinRegions(declared));
	const services = resources.services.map((service) => compileService(resources, status, service, options));
	const table: PlanTable = {
		gateways: resources.gateways.map(gatewayTable),
		services: services.map((compiled) => compiled.table),
	};
	return { resources, services, table };
}

function compileService(
	resources: ResourceSet,
	status: Status,
	service: Service,
	{ allocationPpm, mode = "auto" }: TableOptions,
): CompiledService {
	const assigning = experimentsOf(resources.experiments, service).flatMap((experiment) => {
		const table = experimentTable(experiment, layerOf(resources, experiment), live(experiment));
		return table === null ? [] : [{ experiment, table }];
	});
	const access = accessTable(service, resources.accessPolicies, resources.referenceGrants);
	const experiments = assigning.map(({ experiment }) => experiment);
	const issuers = resources.gateways.flatMap(({ spec }) => spec.tokens);
	const proxied = proxiedGateway(resources.gateways);
	const defaultVariant = liveDefault(service, status);
	const eligibility =
		assigning.map(({ table }) => eligibilityOf(access, table, defaultVariant)).find((one) => one !== null) ?? null;
	const { callout } = service.spec;
	const execution = executionOf({ access, callout, experiments, eligibility, mode, issuers, proxied });
	return {
		service,
		execution,
		table: {
			name: qualifiedName(service.metadata),
			hosts: service.spec.hosts,
			defaultVariant,
			timeoutMs: service.spec.timeoutMs,
			access,
			callout: execution.callout,
			experiments: assigning.map(({ table }) => table),
			...modelsOf(service),
		},
	};

	function live(experiment: Experiment) {
		const learned =
			status.experiments[qualifiedName(experiment.metadata)] ?? initialStatus(experiment.spec.rollout.stepsPpm, 0);
		return allocationPpm === undefined ? learned : { ...learned, allocationPpm };
	}
}

/** An alias that control has not replaced is no model in force. */
function modelsOf({ spec }: Service): Pick<PlanTable["services"][number], "models"> {
	const models = spec.variants.flatMap(({ name, model }): readonly [string, string][] =>
		model?.includes("@sha256:") ? [[name, model]] : [],
	);
	return models.length === 0 ? {} : { models: Object.fromEntries(models) };
}

function eligibilityOf(access: AccessTable, table: ExperimentTable, defaultVariant: string): Eligibility | null {
	const apart = policyThatDiffers(access, armVariants(table), defaultVariant);
	return apart === null ? null : { ...apart, experiment: table.name };
}

const gatewayTable = ({ metadata, spec }: Gateway): GatewayTable => ({
	name: qualifiedName(metadata),
	region: spec.region,
	issuers: spec.tokens,
	trustedProxies: spec.trustedProxies,
});

/**
 * False for an open Service without an Experiment, which never uses the sidecar. So its callout timeout does not affect
 * others.
 */
const mayUseSidecar = ({ table }: CompiledService): boolean =>
	table.callout !== null || !isOpen(table.access) || table.experiments.length > 0;

/** null = no Services. */
const longestTimeout = (services: readonly CompiledService[]): number | null =>
	services.length === 0 ? null : Math.max(...services.map(({ service }) => service.spec.callout.timeoutMs));

/** Whether the sidecar judges users for some Service. */
const judgesUsers = (services: readonly CompiledService[]): boolean =>
	services.some(({ table }) => table.callout?.verdict && readsUsers(table.access));

/**
 * What the sidecar needs to verify a Gateway's tokens; without issuers it refuses them. A token that is bound to a key may
 * also be bound to a certificate (RFC 7800: all of its cnf must hold).
 */
function tokensOf({ spec }: Gateway): CalloutFilters["tokens"] {
	return spec.tokens.some(({ binding }) => binding !== "none") ? "bound" : "shown";
}

/** Excluded endpoints by Service. */
function leftOut(declared: ResourceSet): ReadonlyMap<string, readonly RuleExecution[]> {
	const byService = new Map<string, RuleExecution[]>();
	const add = (service: string, what: string, why: string): void => {
		const rule = `Service ${service}: ${what}`;
		const rules = byService.get(service) ?? [];
		rules.push({ rule, execution: null, because: `left out: ${why}`, cost: null });
		byService.set(service, rules);
	};
	for (const { service, variant, endpoint, why } of excludedEndpoints(declared))
		add(service, `endpoint ${endpoint.address}:${endpoint.port} of Variant ${variant}`, why);
	for (const { service, id } of meshIdentitiesNamed(declared))
		add(
			service,
			"endpoints",
			`spec.identities names ${id}, a part of the mesh itself, which would accept a client as Envoy`,
		);
	return byService;
}

/** Who reads an issuer's keys and how often: a removed key must stop working. */
const keyRules = ({ gateways }: ResourceSet, keySets: KeySets): readonly RuleExecution[] =>
	gateways.flatMap(({ metadata, spec }) =>
		spec.tokens.map(({ issuer, keys }) => ({
			rule: `Gateway ${qualifiedName(metadata)}: keys of ${issuer}`,
			execution: null,
			because: keyReader(keys, keySets),
			cost: null,
		})),
	);

function keyReader(keys: KeySource, keySets: KeySets): string {
	if (Object.hasOwn(keySets, keySetName(keys)))
		return `${keySetName(keys)}, as it was read here; control watches it and publishes changes; a bootstrap of weir compile must be compiled again`;
	return keys.from === "file"
		? `control watches ${keys.file} and publishes changes; an Envoy with the bootstrap of weir compile reads it once, at startup`
		: `control fetches ${keys.url} every ${KEYS_URL_MS.fresh / 60_000} minutes for all its Envoys, sooner for an unknown key, and publishes none that is older than ${KEYS_URL_MS.stale / 60_000} minutes; an Envoy with the bootstrap of weir compile fetches it as often, asks for no unknown key before, and keeps the last good set while it is unavailable`;
}

const layerOf = (resources: ResourceSet, { metadata, spec }: Experiment) =>
	findNamed(resources.layers, { name: spec.layer.name, namespace: metadata.namespace }) ?? null;
