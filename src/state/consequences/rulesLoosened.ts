/**
 * AccessPolicies of a change that may let in more than before, told to who approves it in the words of `weir policy diff`: the
 * rules themselves are compared, and no requests are made up. Careful, not exact, as those words are. Pure.
 */
import { Room } from "../../access/review/comparisons.js";
import { type Enforced, enforced, loosenedBy } from "../../access/review/policyLoosened.js";
import { policiesNaming } from "../../access/rules/selection.js";
import { accessTable } from "../../access/rules/table.js";
import { findNamed } from "../../resources/lookup.js";
import { qualifiedName, type ResourceSet } from "../../resources/resource.js";
import type { ResourceChange } from "../acts/wishes.js";
import { changedNames } from "../changedNames.js";

/** The same of one policy, at Services of one namespace: what befalls another's is told there alone. */
export interface Loosened {
	/** Qualified name. */
	readonly policy: string;
	/** Of the Services. */
	readonly namespace: string;
	/** Their names in it. */
	readonly services: readonly string[];
	readonly words: readonly string[];
}

/** Those that do not are left out. */
export function rulesLoosened(
	before: ResourceSet,
	after: ResourceSet,
	changes: readonly ResourceChange[],
): readonly Loosened[] {
	const changed = changedNames(changes, "AccessPolicy");
	const touched = [...before.accessPolicies, ...after.accessPolicies].filter(({ metadata }) =>
		changed.has(qualifiedName(metadata)),
	);
	const found = new Map<string, Loosened & { readonly services: string[] }>();
	// A policy is the same at each Service that it is about: it is compared once for each way in which the tables differ.
	const compared = new Map<string, readonly string[]>();
	const room = new Room();
	for (const was of touched.length === 0 ? [] : before.services) {
		const is = findNamed(after.services, was.metadata);
		const names = new Set(policiesNaming(was, touched).map(({ metadata }) => qualifiedName(metadata)));
		if (is === undefined || names.size === 0) continue;
		const rules = [
			enforced(accessTable(was, before.accessPolicies, before.referenceGrants)),
			enforced(accessTable(is, after.accessPolicies, after.referenceGrants)),
		] as const;
		const whole = rules.map(wholeOf).join();
		for (const policy of names) {
			// Beside the policy itself these decide what is said of it.
			const shape = `${policy} ${rules.map(({ policies }) => policies.has(policy)).join()} ${whole}`;
			const words = compared.get(shape) ?? loosenedBy(policy, ...rules, room);
			compared.set(shape, words);
			if (words.length === 0) continue;
			const { name, namespace } = was.metadata;
			const said = JSON.stringify([policy, namespace, words]);
			const known = found.get(said) ?? { policy, namespace, services: [], words };
			known.services.push(name);
			found.set(said, known);
		}
	}
	return [...found.values()];
}

/** What of all rules of a Service together decides what is said of one. */
const wholeOf = ({ open, judgesPaths, judgesUsers }: Enforced): string => [open, judgesPaths, judgesUsers].join();
