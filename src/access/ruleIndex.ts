/**
 * Finds the rules that could match a request without asking all of them: each rule is filed under what it says that
 * is rarest among its neighbours (a caller, a group, a path …), and only files that fit the request are opened.
 * Whatever is found is asked again in full, so that a file may hold too much and never too little.
 */
import { textsAt } from "./claim.js";
import { hashOf, prefixHashes } from "./prefixHash.js";
import type { Rule } from "./rule.js";
import type { AccessRequest } from "./verdict.js";

/** Where two are as rare, the first. */
const DIMENSIONS = ["principal", "user", "tenant", "group", "claim", "path", "purpose"] as const;
/** Or the place of a segment that templates name. */
type Dimension = (typeof DIMENSIONS)[number] | number;

/** So few rules are sooner asked than looked up. */
const ASKED_AT_ONCE = 4;

/** Parts of a path or SPIFFE id, split at slashes, that a key may have: what is deeper is filed under its first ones. */
const PARTS_MAX = 16;

/** Text, or the hash of a prefix. */
type Key = string | number;
type Files = ReadonlyMap<Key, Node>;

interface Node {
	/** Filed under nothing: asked of every request that comes here. In order. */
	readonly rules: readonly Rule[];
	/** Under exact ids and under prefixes. */
	readonly principal: Files | null;
	/** Bit n: there are prefixes of n + 1 parts; others need not be looked up. */
	readonly principalDepths: number;
	readonly user: Files | null;
	readonly tenant: Files | null;
	readonly group: Files | null;
	readonly purpose: Files | null;
	readonly path: Files | null;
	readonly pathDepths: number;
	/** By what templates say at a place. */
	readonly segments: readonly { readonly at: number; readonly files: Files }[];
	/** By the texts of each claim. */
	readonly claim: readonly { readonly path: readonly string[]; readonly values: Files }[];
}

const prefixKey = (prefix: string): number => {
	const parts = prefix.split("/");
	return hashOf(parts.length <= PARTS_MAX ? prefix : parts.slice(0, PARTS_MAX).join("/"));
};

/** Keys under which a rule must be filed in a dimension, so that no request it matches misses it; null = it cannot. */
function keysOf(rule: Rule, dimension: Dimension): readonly Key[] | null {
	if (typeof dimension === "number") return segmentsAt(rule, dimension);
	switch (dimension) {
		case "principal":
			if (rule.principals === null || rule.anyPrincipal) return null;
			return [...rule.principals, ...principalHeads(rule).map(prefixKey)];
		case "user":
			return rule.users?.every(({ subject }) => subject !== null)
				? rule.users.map(({ subject }) => subject ?? "")
				: null;
		case "tenant":
		case "group":
		case "purpose": {
			const texts = rule[`${dimension}s`];
			return texts === null ? null : [...texts];
		}
		case "claim": {
			const [first] = rule.claims;
			return first === undefined ? null : [...first.values].map((value) => JSON.stringify([first.claim, value]));
		}
		case "path": {
			const heads = pathHeads(rule);
			return heads.length === 0 || heads.includes("") ? null : heads.map(prefixKey);
		}
	}
}

const principalHeads = (rule: Rule): readonly string[] => rule.principalPrefixes.map((prefix) => prefix.slice(0, -1));

const pathHeads = ({ paths }: Rule): readonly string[] => [...paths.prefixes, ...paths.templates.map(literalHead)];

function segmentsAt({ paths: { prefixes, templates } }: Rule, at: number): readonly string[] | null {
	if (prefixes.length > 0 || templates.length === 0) return null;
	const found = templates.flatMap((segments) => segments[at] ?? []);
	return found.length === templates.length ? found : null;
}

/** Places at which all templates of a rule say a segment. */
const placesOf = (rules: readonly Rule[]): readonly number[] =>
	Array.from({ length: PARTS_MAX }, (_, at) => at).filter((at) => rules.some((rule) => segmentsAt(rule, at) !== null));

const depthsOf = (heads: readonly string[]): number =>
	heads.reduce((bits, head) => bits | (1 << (Math.min(head.split("/").length, PARTS_MAX) - 1)), 0);

/** Segments of a template before its first variable. */
function literalHead(segments: readonly (string | null)[]): string {
	const end = segments.indexOf(null);
	return (end === -1 ? segments : segments.slice(0, end)).map((segment) => `/${segment}`).join("");
}

/** How many rules have each key, in each dimension. */
function countKeys(rules: readonly Rule[], dimensions: readonly Dimension[]): Map<Dimension, Map<Key, number>> {
	return new Map(
		dimensions.map((dimension) => {
			const counts = new Map<Key, number>();
			for (const rule of rules) {
				for (const key of keysOf(rule, dimension) ?? []) counts.set(key, (counts.get(key) ?? 0) + 1);
			}
			return [dimension, counts];
		}),
	);
}

/** The dimension in which the fullest of the rule's files is smallest; null where none helps. */
function rarest(rule: Rule, all: number, counts: ReadonlyMap<Dimension, ReadonlyMap<Key, number>>): Dimension | null {
	let best: Dimension | null = null;
	let least = all;
	for (const [dimension, of] of counts) {
		const keys = keysOf(rule, dimension);
		if (keys === null) continue;
		const size = keys.reduce<number>((most, key) => Math.max(most, of.get(key) ?? 0), 0);
		if (size < least) {
			least = size;
			best = dimension;
		}
	}
	return best;
}

function nodeOf(rules: readonly Rule[], dimensions: readonly Dimension[]): Node {
	const rest: Rule[] = [];
	const filed = new Map<Dimension, Map<Key, Rule[]>>();
	const counts = rules.length <= ASKED_AT_ONCE ? new Map() : countKeys(rules, dimensions);
	for (const rule of rules) {
		const dimension = rarest(rule, rules.length, counts);
		if (dimension === null) {
			rest.push(rule);
			continue;
		}
		const files = filed.get(dimension) ?? new Map<Key, Rule[]>();
		filed.set(dimension, files);
		for (const key of new Set(keysOf(rule, dimension))) {
			const file = files.get(key);
			if (file === undefined) files.set(key, [rule]);
			else file.push(rule);
		}
	}
	const filedIn = (dimension: Dimension): readonly Rule[] => [...(filed.get(dimension)?.values() ?? [])].flat();
	const places = dimensions.filter((dimension) => typeof dimension === "number" && filed.has(dimension)) as number[];
	const nodes = (dimension: Dimension): Map<Key, Node> | null => {
		const files = filed.get(dimension);
		if (files === undefined) return null;
		const others = dimensions.filter((one) => one !== dimension);
		return new Map([...files].map(([key, file]) => [key, nodeOf(file, others)]));
	};
	return {
		rules: rest,
		principal: nodes("principal"),
		principalDepths: depthsOf(filedIn("principal").flatMap(principalHeads)),
		user: nodes("user"),
		tenant: nodes("tenant"),
		group: nodes("group"),
		purpose: nodes("purpose"),
		path: nodes("path"),
		pathDepths: depthsOf(filedIn("path").flatMap(pathHeads)),
		segments: places.map((at) => ({ at, files: nodes(at) ?? new Map() })),
		claim: byClaim(nodes("claim"), rules),
	};
}

function byClaim(files: Files | null, rules: readonly Rule[]): Node["claim"] {
	if (files === null) return [];
	const found = new Map<string, { readonly path: readonly string[]; readonly values: Map<Key, Node> }>();
	for (const [key, node] of files) {
		const [claim, value] = JSON.parse(String(key)) as [string, string];
		const path = rules.find(({ claims }) => claims[0]?.claim === claim)?.claims[0]?.path ?? [];
		const one = found.get(claim) ?? { path, values: new Map() };
		found.set(claim, one);
		one.values.set(value, node);
	}
	return [...found.values()];
}

/** Class, because the hashes of the request that is asked about are kept in one place while its files are opened. */
export class RuleIndex {
	readonly #root: Node;
	readonly #longestPath: number;
	readonly #longestPrincipal: number;
	readonly #paths = new Int32Array(PARTS_MAX);
	readonly #principals = new Int32Array(PARTS_MAX);
	#pathCount = -1;
	#principalCount = -1;
	#segments: readonly string[] | null = null;

	constructor(rules: readonly Rule[]) {
		const lengths = (texts: readonly string[]): number => texts.reduce((most, { length }) => Math.max(most, length), 0);
		this.#longestPath = lengths(rules.flatMap(pathHeads));
		this.#longestPrincipal = lengths(rules.flatMap(({ principalPrefixes }) => principalPrefixes));
		this.#root = nodeOf(rules, [...DIMENSIONS, ...placesOf(rules)]);
	}

	/** The first rule by its order that matches; null = none does. */
	first(request: AccessRequest): Rule | null {
		this.#pathCount = -1;
		this.#principalCount = -1;
		this.#segments = null;
		return this.#first(this.#root, request, null);
	}

	#first(node: Node, request: AccessRequest, found: Rule | null): Rule | null {
		let best = found;
		for (const rule of node.rules) {
			if (best !== null && rule.order >= best.order) break;
			if (rule.matches(request)) {
				best = rule;
				break;
			}
		}
		const { principal, token } = request;
		if (node.principal !== null && principal !== null) {
			best = this.#open(node.principal, principal, request, best);
			if (node.principalDepths !== 0) {
				if (this.#principalCount < 0) {
					this.#principalCount = prefixHashes(principal, this.#longestPrincipal, this.#principals);
				}
				const { principal: files, principalDepths: depths } = node;
				best = this.#openHashes(files, depths, this.#principals, this.#principalCount, request, best);
			}
		}
		if (node.path !== null) {
			if (this.#pathCount < 0) this.#pathCount = prefixHashes(request.path, this.#longestPath, this.#paths);
			best = this.#openHashes(node.path, node.pathDepths, this.#paths, this.#pathCount, request, best);
		}
		if (node.segments.length > 0) {
			// Before the first slash is nothing.
			this.#segments ??= request.path.split("/", PARTS_MAX + 1);
			for (const { at, files } of node.segments) {
				const segment = this.#segments[at + 1];
				if (segment !== undefined) best = this.#open(files, segment, request, best);
			}
		}
		if (token === null) return best;
		if (node.user !== null && token.subject !== null) best = this.#open(node.user, token.subject, request, best);
		if (node.tenant !== null) best = this.#openAll(node.tenant, token.tenants, request, best);
		if (node.group !== null) best = this.#openAll(node.group, token.groups, request, best);
		if (node.purpose !== null) best = this.#openAll(node.purpose, token.purposes, request, best);
		for (const { path, values } of node.claim) {
			best = this.#openAll(values, textsAt(token.claims, path), request, best);
		}
		return best;
	}

	#open(files: Files, key: Key, request: AccessRequest, best: Rule | null): Rule | null {
		const node = files.get(key);
		return node === undefined ? best : this.#first(node, request, best);
	}

	#openAll(files: Files, keys: readonly string[], request: AccessRequest, found: Rule | null): Rule | null {
		let best = found;
		for (const key of keys) best = this.#open(files, key, request, best);
		return best;
	}

	#openHashes(
		files: Files,
		depths: number,
		hashes: Int32Array,
		count: number,
		request: AccessRequest,
		found: Rule | null,
	): Rule | null {
		let best = found;
		for (let at = 0; at < count; at++) {
			if ((depths & (1 << at)) !== 0) best = this.#open(files, hashes[at] ?? 0, request, best);
		}
		return best;
	}
}
