/**
 * Whether what is declared fits into what all share: the table that every sidecar reads, and the texts that every apply
 * reads. What did not fit would be stored and never published, and with it every later change, of everybody. Pure.
 */
import { compileTable } from "../compiler/compile.js";
import { DECLARED_TABLE_BYTES_MAX, NAMESPACE_DECLARED_BYTES_MAX, NAMESPACE_TABLE_BYTES_MAX } from "../limits.js";
import { resourceSet } from "../resources/kinds.js";
import { namespaceOf, type Problem } from "../resources/resource.js";
import type { Status } from "../rollout/status.js";
import type { StoredResource } from "./database.js";

type Bytes = ReadonlyMap<string, number>;

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
	const declared = grown(declaredBytes(before), declaredBytes(after), NAMESPACE_DECLARED_BYTES_MAX).map(
		([namespace, bytes]) =>
			problem(
				`namespace ${namespace} would declare ${bytes} bytes, more than ${NAMESPACE_DECLARED_BYTES_MAX}`,
				"delete what is not needed any more, or spread the Services over more namespaces",
			),
	);
	if (declared.length > 0) return declared;
	const used = tableBytes(after, status);
	const total = sum(used);
	const full = total > DECLARED_TABLE_BYTES_MAX;
	if (!full && [...used.values()].every((bytes) => bytes <= NAMESPACE_TABLE_BYTES_MAX)) return [];
	const known = tableBytes(before, status);
	const hint = "name fewer principals and paths, or let AccessPolicies of many names select fewer Services";
	return [
		...grown(known, used, NAMESPACE_TABLE_BYTES_MAX).map(([namespace, bytes]) =>
			problem(
				`the rules of namespace ${namespace} would take ${bytes} bytes of the table, more than ${NAMESPACE_TABLE_BYTES_MAX}`,
				hint,
			),
		),
		...(full && total > sum(known)
			? [
					problem(
						`the table of all Services and rules would have ${total} bytes, more than ${DECLARED_TABLE_BYTES_MAX}`,
						hint,
					),
				]
			: []),
	];
}

const problem = (message: string, hint: string): Problem => ({ position: null, message, hint });

const grown = (before: Bytes, after: Bytes, max: number): readonly (readonly [string, number])[] =>
	[...after].filter(([namespace, bytes]) => bytes > max && bytes > (before.get(namespace) ?? 0));

const sum = (bytes: Bytes): number => [...bytes.values()].reduce((all, one) => all + one, 0);

function declaredBytes(stored: readonly StoredResource[]): Bytes {
	const bytes = new Map<string, number>();
	for (const { resource, source } of stored) add(bytes, resource.metadata.namespace, Buffer.byteLength(source));
	return bytes;
}

/** By who declared it: a rule that a grant lets into another namespace's Service is its own namespace's. */
function tableBytes(stored: readonly StoredResource[], status: Status): Bytes {
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
