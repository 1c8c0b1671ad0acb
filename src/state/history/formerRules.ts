/**
 * The rules that Services had at an earlier revision, whoever has changed them since: what a rollback of a part, or under
 * other grants, makes of them is something else. Read as they are asked for, and as far as they are kept.
 */
import { isDeepStrictEqual } from "node:util";
import { inNamespace } from "../../resources/lookup.js";
import { once, oncePerName } from "../../resources/once.js";
import { namedIn } from "../../resources/reference.js";
import type { AccessPolicy, ReferenceGrant, Service } from "../../resources/resource.js";
import type { StoredResource } from "../store/database.js";
import { keyOf } from "../store/resourceSet.js";
import { documentOf, type Restoration } from "./policyHistory.js";
import type { PolicyShelf } from "./policyShelf.js";
import { type Rules, readIn } from "./spared.js";

/** All that could be about the Services of a namespace. */
export type Formerly = Pick<Rules, "accessPolicies" | "referenceGrants">;

export class FormerRules {
	readonly #shelf: PolicyShelf;
	readonly #revision: number;
	/** What comes back is the same object here as there. */
	readonly #documents: ReadonlyMap<string, Restoration["documents"][number]>;
	readonly #now: Rules;
	readonly #own = oncePerName((namespace: string) => this.#ownRules(namespace));

	/** Of a Service; null = not all of it is known. */
	readonly of = oncePerName((namespace: string) => this.#rules(namespace));

	constructor(shelf: PolicyShelf, { revision, documents }: Pick<Restoration, "revision" | "documents">, now: Rules) {
		this.#shelf = shelf;
		this.#revision = revision;
		this.#documents = new Map(documents.map((one) => [one.name, one]));
		this.#now = now;
	}

	/** That the namespace gave; null = that is not known. */
	grants(namespace: string): readonly ReferenceGrant[] | null {
		return this.#areGrantsKept ? (this.#own(namespace)?.referenceGrants ?? null) : null;
	}

	/**
	 * Whether a policy of its own namespace named the Service, which was there then: none is taken that names one which is
	 * not. Of another namespace a name may stand without it, and `*` names nobody.
	 */
	hasNamed({ metadata: { name, namespace } }: Service): boolean {
		const own = this.#own(namespace);
		return own !== null && namesOf(own.accessPolicies).has(`${namespace}/${name}`);
	}

	get #areGrantsKept(): boolean {
		return this.#revision >= this.#shelf.grantsKeptFrom;
	}

	#rules(namespace: string): Formerly | null {
		const own = this.#own(namespace);
		if (own === null) return null;
		if (!this.#areGrantsKept) return this.#isNamedFromOutside(namespace) ? null : { ...own, referenceGrants: [] };
		const granted = own.referenceGrants.flatMap(({ spec }) =>
			spec.from.flatMap((one) => (one.kind === "AccessPolicy" && one.namespace !== namespace ? [one.namespace] : [])),
		);
		const others = [...new Set(granted)].map(this.#own);
		if (others.some((one) => one === null)) return null;
		return {
			accessPolicies: [own, ...others].flatMap((one) => one?.accessPolicies ?? []),
			referenceGrants: own.referenceGrants,
		};
	}

	/** Where grants are not known: whether it may matter. */
	#isNamedFromOutside(namespace: string): boolean {
		const declaring = this.#now.accessPolicies.map(({ metadata }) => metadata.namespace);
		return [...new Set([...this.#shelf.namespaces, ...declaring])].some((one) => {
			if (one === namespace) return false;
			const rules = this.#own(one);
			return rules === null || [...namesOf(rules.accessPolicies)].some((name) => name.startsWith(`${namespace}/`));
		});
	}

	/** What the namespace itself declared; null = not all of it is kept, or an earlier Weir took what this one does not. */
	#ownRules(namespace: string): Formerly | null {
		const then = this.#shelf.replacedSince(namespace, this.#revision);
		if (then === null) return null;
		const stays = (one: AccessPolicy | ReferenceGrant): boolean => !then.has(keyOf(one));
		const { accessPolicies, referenceGrants } = this.#now;
		const [policies, grants] = [inNamespace(accessPolicies, namespace), inNamespace(referenceGrants, namespace)];
		const as = new Map([...policies, ...grants].map((one) => [keyOf(one), one]));
		const replaced = [...then].flatMap(([key, { before }]) => {
			const current = as.get(key);
			if (before === null) return [];
			return current !== undefined && isDeepStrictEqual(current, before.resource) ? [current] : this.#read(before);
		});
		if (replaced.includes(null)) return null;
		const of = <Of extends AccessPolicy | ReferenceGrant>(kind: Of["kind"]): readonly Of[] =>
			replaced.filter((one): one is Of => one?.kind === kind);
		return {
			accessPolicies: [...policies.filter(stays), ...of<AccessPolicy>("AccessPolicy")],
			referenceGrants: [...grants.filter(stays), ...of<ReferenceGrant>("ReferenceGrant")],
		};
	}

	/** Read anew: an earlier Weir may have stored it in another form. */
	#read(before: StoredResource): readonly (AccessPolicy | ReferenceGrant | null)[] {
		const { kind } = before.resource;
		if (kind !== "AccessPolicy" && kind !== "ReferenceGrant") return [];
		const document = documentOf(this.#revision, before);
		const same = this.#documents.get(document.name);
		const { resources } = readIn(same?.text === document.text ? same : document);
		return [(kind === "AccessPolicy" ? resources.accessPolicies : resources.referenceGrants)[0] ?? null];
	}
}

/** Services that they name, by namespace and name. */
const namesOf = once(
	(policies: readonly AccessPolicy[]): ReadonlySet<string> =>
		new Set(
			policies.flatMap(({ metadata, spec }) =>
				spec.services.map((written) => {
					const { namespace, name } = namedIn(metadata.namespace, written);
					return `${namespace}/${name}`;
				}),
			),
		),
);
