/**
 * Whether what is declared fits into what all share: the table that every sidecar reads, the resources that every apply
 * checks, the sockets of every Envoy. What did not fit would be stored and never published, and with it every later
 * change, of everybody. Pure.
 */
import { compileTable } from "../../compiler/compile.js";
import {
	CHECKED_ENDPOINTS_MAX,
	DECLARED_TABLE_BYTES_MAX,
	NAMESPACE_CHECKED_ENDPOINTS_MAX,
	NAMESPACE_DECLARED_BYTES_MAX,
	NAMESPACE_RESOURCES_MAX,
	NAMESPACE_TABLE_BYTES_MAX,
	RESOURCES_MAX,
} from "../../limits.js";
import { resourceSet } from "../../resources/kinds.js";
import { findNamed, inNamespace } from "../../resources/lookup.js";
import { namedIn } from "../../resources/reference.js";
import {
	type AccessPolicy,
	namespaceOf,
	type Problem,
	qualifiedName,
	type Resource,
	type ResourceSet,
	type Service,
} from "../../resources/resource.js";
import type { Status } from "../../rollout/status.js";
import type { StoredResource } from "../store/database.js";

/** By namespace. */
type Sizes = ReadonlyMap<string, number>;

/** What is counted before anything is compiled. */
interface Bound {
	/** As in `8001 resources`. */
	readonly unit: string;
	sizeOf(stored: StoredResource): number;
	readonly namespaceMax: number;
	/** null = as many namespaces as there are */
	readonly max: number | null;
	readonly hint: string;
}

const BOUNDS: readonly Bound[] = [
	{
		unit: "bytes",
		sizeOf: ({ source }) => Buffer.byteLength(source),
		...{ namespaceMax: NAMESPACE_DECLARED_BYTES_MAX, max: null },
		hint: "delete what is not needed any more, or spread the Services over more namespaces",
	},
	{
		unit: "resources",
		sizeOf: () => 1,
		...{ namespaceMax: NAMESPACE_RESOURCES_MAX, max: RESOURCES_MAX },
		hint: "delete what is not needed any more",
	},
	{
		unit: "endpoints with a healthCheck",
		sizeOf: ({ resource }) => checkedEndpoints(resource),
		...{ namespaceMax: NAMESPACE_CHECKED_ENDPOINTS_MAX, max: CHECKED_ENDPOINTS_MAX },
		hint: "leave out healthCheck, for outlierDetection sees failures too, or declare fewer endpoints",
	},
];

const FEWER = "name fewer principals and paths, or let AccessPolicies of many names select fewer Services";

/**
 * Problems of a change that makes more of what is too much already; one that makes less of it is none, so that a state
 * which came to be under other bounds can be made smaller step by step.
 * @param before,after all that is stored, checked
 */
export function roomProblems(
	before: readonly StoredResource[],
	after: readonly StoredResource[],
	status: Status,
): readonly Problem[] {
	for (const bound of BOUNDS) {
		const found = beyond(bound, before, after);
		if (found.length > 0) return found;
	}
	const used = tableBytes(after, status);
	const total = sum(used);
	const full = total > DECLARED_TABLE_BYTES_MAX;
	if (!full && [...used.values()].every((bytes) => bytes <= NAMESPACE_TABLE_BYTES_MAX)) return [];
	const known = tableBytes(before, status);
	return [
		...grown(known, used, NAMESPACE_TABLE_BYTES_MAX).map(([namespace, bytes]) =>
			problem(
				`the rules of namespace ${namespace} would take ${bytes} bytes of the table, more than ${NAMESPACE_TABLE_BYTES_MAX}`,
				FEWER,
			),
		),
		...(full && total > sum(known)
			? [
					problem(
						`the table of all Services and rules would have ${total} bytes, more than ${DECLARED_TABLE_BYTES_MAX}`,
						FEWER,
					),
				]
			: []),
	];
}

type Rules = Pick<ResourceSet, "accessPolicies" | "services">;

/** A rule takes at least so much in the rules of one Service. */
const RULE_BYTES_MIN = 100;

/**
 * Problems of a change that makes more of rules that are far too many for the table, before each is asked about each Service: that
 * takes seconds, which all others wait.
 * @param before,after all that is declared, unchecked
 */
export function ruleProblems(before: Rules, after: Rules): readonly Problem[] {
	const most = Math.floor(NAMESPACE_TABLE_BYTES_MAX / RULE_BYTES_MIN);
	return grown(timesSelecting(before), timesSelecting(after), most).map(([namespace, times]) =>
		problem(
			`the rules of namespace ${namespace} would be in the table ${times} times, once for each of its Services that they select; it holds fewer than ${most}`,
			FEWER,
		),
	);
}

/**
 * How often the policies of a namespace select Services of it. Those of others are not counted: how many there are of a name or a
 * DataClass would tell what nobody there granted.
 */
function timesSelecting({ accessPolicies, services }: Rules): Sizes {
	const ofClass = new Map<string, number>();
	for (const service of services) add(ofClass, `${service.metadata.namespace} ${classOf(service)}`, 1);
	const times = ({ metadata: { namespace }, spec }: AccessPolicy): number => {
		const classes = new Set(spec.dataClasses.map((written) => qualifiedName(namedIn(namespace, written))));
		if (spec.services.includes("*")) {
			if (classes.size === 0) return inNamespace(services, namespace).length;
			return [...classes].reduce((all, name) => all + (ofClass.get(`${namespace} ${name}`) ?? 0), 0);
		}
		const own = spec.services
			.map((written) => namedIn(namespace, written))
			.filter((one) => one.namespace === namespace);
		// NAME and NAMESPACE/NAME are one Service.
		return [...new Set(own.map(({ name }) => name))].filter((name) => {
			const service = findNamed(services, { name, namespace });
			return service !== undefined && (classes.size === 0 || classes.has(classOf(service)));
		}).length;
	};
	const all = new Map<string, number>();
	for (const policy of accessPolicies) add(all, policy.metadata.namespace, times(policy));
	return all;
}

/** Qualified name of its DataClass; none has an empty one. */
const classOf = ({ metadata, spec }: Service): string =>
	spec.dataClass === null ? "" : qualifiedName(namedIn(metadata.namespace, spec.dataClass));

const problem = (message: string, hint: string): Problem => ({ position: null, message, hint });

const grown = (before: Sizes, after: Sizes, max: number): readonly (readonly [string, number])[] =>
	[...after].filter(([namespace, bytes]) => bytes > max && bytes > (before.get(namespace) ?? 0));

const sum = (sizes: Sizes): number => [...sizes.values()].reduce((all, one) => all + one, 0);

function beyond(bound: Bound, before: readonly StoredResource[], after: readonly StoredResource[]): readonly Problem[] {
	const [was, is] = [sizes(bound, before), sizes(bound, after)];
	const { unit, max, namespaceMax, hint } = bound;
	const problems = grown(was, is, namespaceMax).map(([namespace, size]) =>
		problem(`namespace ${namespace} would declare ${size} ${unit}, more than ${namespaceMax}`, hint),
	);
	const all = sum(is);
	if (problems.length > 0 || max === null || all <= max || all <= sum(was)) return problems;
	return [problem(`all namespaces would declare ${all} ${unit} together, more than ${max}`, hint)];
}

function sizes({ sizeOf }: Bound, stored: readonly StoredResource[]): Sizes {
	const all = new Map<string, number>();
	for (const one of stored) add(all, one.resource.metadata.namespace, sizeOf(one));
	return all;
}

const checkedEndpoints = (resource: Resource): number =>
	resource.kind === "Service" && resource.spec.healthCheck !== null
		? resource.spec.variants.reduce((all, { endpoints }) => all + endpoints.length, 0)
		: 0;

/** By who declared it: a rule that a grant lets into another namespace's Service is its own namespace's. */
function tableBytes(stored: readonly StoredResource[], status: Status): Sizes {
	const { gateways, services } = compileTable(resourceSet(stored.map(({ resource }) => resource)), status);
	const bytes = new Map<string, number>();
	for (const gateway of gateways) add(bytes, namespaceOf(gateway.name), sizeOf(gateway));
	// A rule that selects many Services is in each of them, always the same.
	const rules = new Map<string, number>();
	for (const service of services) {
		add(bytes, namespaceOf(service.name), sizeOf({ ...service, access: { ...service.access, policies: [] } }));
		for (const policy of service.access.policies) {
			const size = rules.get(policy.name) ?? sizeOf(policy);
			rules.set(policy.name, size);
			add(bytes, namespaceOf(policy.name), size);
		}
	}
	return bytes;
}

/** As JSON, with the comma behind it. */
const sizeOf = (part: object): number => Buffer.byteLength(JSON.stringify(part)) + 1;

const add = (bytes: Map<string, number>, namespace: string, size: number): void =>
	void bytes.set(namespace, (bytes.get(namespace) ?? 0) + size);
