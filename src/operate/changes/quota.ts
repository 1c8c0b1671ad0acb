/**
 * Limits on the whole declaration: the size of the table for sidecars, the number of resources that each apply checks, and
 * the sockets of each Envoy. A declaration beyond them could be stored but never published, like every later change. Pure.
 */
import { compileTable } from "../../compile/compile.js";
import type { Status } from "../../decide/rollout/status.js";
import { resourceSet } from "../../declare/resources/kinds.js";
import { namedIn } from "../../declare/resources/reference.js";
import { type Problem, qualifiedName, type Resource, type ResourceSet } from "../../declare/resources/resource.js";
import { RESOURCES_MAX, TABLE_BYTES_MAX } from "../../limits/index.js";
import type { StoredResource } from "./stored.js";

/**
 * The table of an applied declaration. The rest of TABLE_BYTES_MAX is for later additions: a Service's callout and an
 * Experiment's takeover, some 100 bytes each.
 */
export const DECLARED_TABLE_BYTES_MAX = TABLE_BYTES_MAX - 1024 * 1024;

/** All declared documents: each apply reads them all. */
export const DECLARED_BYTES_MAX = 32 * 1024 * 1024;

/** Rules times the Services that they select; each takes at least 100 bytes in the table. */
export const SELECTED_RULES_MAX = Math.floor(DECLARED_TABLE_BYTES_MAX / 100);

/**
 * Endpoints with health checks, of all namespaces: one socket each in every Envoy, and two during a replacement. An
 * Envoy without free descriptors crashes (SIGSEGV at 20,000, Envoy 1.40).
 */
export const CHECKED_ENDPOINTS_MAX = 8_000;

const DELETE = "delete what is not needed any more";
const FEWER = "name fewer principals and paths, or let AccessPolicies of many names select fewer Services";

/** A total that a change raises above its limit. A total above the limit may be lowered step by step. */
function exceeded(before: number, after: number, max: number, unit: string, hint: string): readonly Problem[] {
	if (after <= max || after <= before) return [];
	return [{ position: null, message: `${after} ${unit} would be declared, more than ${max}`, hint }];
}

const sum = <Item>(all: readonly Item[], sizeOf: (one: Item) => number): number =>
	all.reduce((total, one) => total + sizeOf(one), 0);

/**
 * Problems of a change that exceeds a quota.
 * @param before,after all stored resources, checked
 */
export function quotaProblems(
	before: readonly StoredResource[],
	after: readonly StoredResource[],
	status: Status,
): readonly Problem[] {
	const total = (sizeOf: (stored: StoredResource) => number) => [sum(before, sizeOf), sum(after, sizeOf)] as const;
	const endpoints = total(({ resource }) => checkedEndpoints(resource));
	const found = [
		...exceeded(...total(({ source }) => Buffer.byteLength(source)), DECLARED_BYTES_MAX, "bytes", DELETE),
		...exceeded(before.length, after.length, RESOURCES_MAX, "resources", DELETE),
		...exceeded(
			...endpoints,
			CHECKED_ENDPOINTS_MAX,
			"endpoints with a healthCheck",
			"leave out healthCheck, for outlierDetection sees failures too, or declare fewer endpoints",
		),
	];
	if (found.length > 0) return found;
	const bytes = tableBytes(after, status);
	if (bytes <= DECLARED_TABLE_BYTES_MAX) return [];
	const max = DECLARED_TABLE_BYTES_MAX;
	return exceeded(tableBytes(before, status), bytes, max, "bytes of the table of all Services and rules", FEWER);
}

const checkedEndpoints = (resource: Resource): number =>
	resource.kind === "Service" && resource.spec.healthCheck !== null
		? sum(resource.spec.variants, ({ endpoints }) => endpoints.length)
		: 0;

/** As JSON. A rule that selects many Services is the same in each of them. */
function tableBytes(stored: readonly StoredResource[], status: Status): number {
	const { gateways, services } = compileTable(resourceSet(stored.map(({ resource }) => resource)), status);
	const sizeOf = (part: object): number => Buffer.byteLength(JSON.stringify(part)) + 1;
	const rules = new Map<string, number>();
	const ofRule = (rule: { readonly name: string }): number => {
		const size = rules.get(rule.name) ?? sizeOf(rule);
		rules.set(rule.name, size);
		return size;
	};
	return (
		sum(gateways, sizeOf) +
		sum(
			services,
			(service) =>
				sizeOf({ ...service, access: { ...service.access, policies: [] } }) + sum(service.access.policies, ofRule),
		)
	);
}

type Rules = Pick<ResourceSet, "accessPolicies" | "services">;

/**
 * Problems of a change with far too many rules, found before the slow check of each rule with each Service.
 * @param before,after all declared resources, unchecked
 */
export const ruleProblems = (before: Rules, after: Rules): readonly Problem[] =>
	exceeded(timesSelecting(before), timesSelecting(after), SELECTED_RULES_MAX, "rules of Services", FEWER);

/** How often policies select Services of their own namespace; a Service named twice counts twice. */
function timesSelecting({ accessPolicies, services }: Rules): number {
	/** Number of Services by namespace, by namespace and DataClass, and by name (0 or 1). */
	const counts = new Map<string, number>();
	const count = (key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1);
	for (const { metadata, spec } of services) {
		count(metadata.namespace);
		count(`Service ${qualifiedName(metadata)}`);
		if (spec.dataClass !== null)
			count(`${metadata.namespace} ${qualifiedName(namedIn(metadata.namespace, spec.dataClass))}`);
	}
	return sum(accessPolicies, ({ metadata: { namespace }, spec }) => {
		if (!spec.services.includes("*"))
			return sum(spec.services, (written) => counts.get(`Service ${qualifiedName(namedIn(namespace, written))}`) ?? 0);
		if (spec.dataClasses.length === 0) return counts.get(namespace) ?? 0;
		return sum(
			spec.dataClasses,
			(written) => counts.get(`${namespace} ${qualifiedName(namedIn(namespace, written))}`) ?? 0,
		);
	});
}
