/**
 * An index of rules by their rarest condition: a caller, a group, a path … Its size is linear in the declaration: a rule
 * is in at most as many places as it has names, in a tree of few levels, and keys with the same rules share a node.
 */

import type { Steps } from "../../../limits/slices.js";
import { claimPath } from "../users/claim.js";
import { hashOf } from "./prefixHash.js";
import type { Rule } from "./rule.js";

/** Limits of the index. */
interface Fineness {
	/** A list of at most this many rules is tried one by one. */
	readonly atOnce: number;
	/** Maximum depth. */
	readonly levels: number;
}

const FINE: Fineness = { atOnce: 4, levels: 5 };

/** Matching a few dozen takes microseconds, but finely indexing a megabyte of names would block a sidecar for seconds. */
const COARSE: Fineness = { atOnce: 64, levels: 2 };

/** Names in all rules above which the index is coarse: 10,000 policies of ten names each. */
const FINE_NAMES_MAX = 100_000;

/** Segments of a path or SPIFFE id in a key: a longer one is indexed by its first ones. */
export const PARTS_MAX = 16;

/** Indexed claims of a rule: real ones have one or two. */
const CLAIMS_FILED = 8;

/** Places that a small rule may have: three callers and five groups are separate keys. */
const PLACES_MIN = 16;

/** Text, or the hash of a prefix. */
export type Key = string | number;
export type Files = ReadonlyMap<Key, RuleNode>;

export interface RuleNode {
	/** Rules to try for every request at this node, in order. */
	readonly rules: readonly Rule[];
	/** Indexed rules; null = none. */
	readonly below: Below | null;
}

export interface Below {
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
	/** By the literal segment of templates at a position. */
	readonly segments: readonly { readonly at: number; readonly files: Files }[];
	/** By the texts of each claim. */
	readonly claims: readonly { readonly claim: string; readonly path: readonly string[]; readonly files: Files }[];
}

/** A claim, or the index of a template segment. */
type Dimension = "principal" | "user" | "tenant" | "group" | "purpose" | "path" | `claim ${string}` | number;
const CLAIM = "claim ";

/** A rule's condition in a dimension: it matches no request without one of the keys. */
interface Facet {
	readonly dimension: Dimension;
	readonly keys: readonly Key[];
}

/** A rule during the division. */
interface Entry {
	readonly rule: Rule;
	/** Dimensions by which it can be indexed within its limit of places. */
	readonly facets: readonly Facet[];
	/** The first dimension to index it by. */
	readonly first: Facet | null;
	/** Current number of places, and the maximum. */
	readonly places: number;
	readonly placesMax: number;
}

type Counts = ReadonlyMap<Dimension, ReadonlyMap<Key, number>>;

/** @param rules in order */
export function* treeSteps(rules: readonly Rule[]): Steps<RuleNode> {
	const entries: Entry[] = [];
	for (const rule of rules) {
		entries.push(entryOf(rule));
		yield;
	}
	const names = entries.reduce((sum, { facets }) => sum + namesIn(facets), 0);
	return yield* nodeSteps(entries, names > FINE_NAMES_MAX ? COARSE : FINE);
}

const namesIn = (facets: readonly Facet[]): number => facets.reduce((sum, { keys }) => sum + keys.length, 0);

/** First by exact callers, if it has only those: requests of other callers must not reach it (RULE_STEPS_MAX). */
function entryOf(rule: Rule): Entry {
	const facets = facetsOf(rule);
	const first =
		rule.principalPrefixes.length > 0 ? undefined : facets.find(({ dimension }) => dimension === "principal");
	return { rule, facets, first: first ?? null, places: 1, placesMax: Math.max(PLACES_MIN, namesIn(facets)) };
}

/** The facets of a rule. The first one is used if several are equally rare. */
function facetsOf(rule: Rule): readonly Facet[] {
	const { principals, anyPrincipal, users, tenants, groups, purposes, claims } = rule;
	const facets: Facet[] = [];
	const add = (dimension: Dimension, keys: Iterable<Key>) => facets.push({ dimension, keys: [...new Set(keys)] });
	if (principals !== null && !anyPrincipal) add("principal", [...principals, ...principalHeads(rule).map(prefixKey)]);
	if (users?.every(({ subject }) => subject !== null))
		add(
			"user",
			users.map(({ subject }) => subject ?? ""),
		);
	if (tenants !== null) add("tenant", tenants);
	if (groups !== null) add("group", groups);
	for (const { claim, values } of claims.slice(0, CLAIMS_FILED)) add(`${CLAIM}${claim}`, values);
	const heads = pathHeads(rule);
	if (heads.length > 0 && !heads.includes("")) add("path", heads.map(prefixKey));
	if (purposes !== null) add("purpose", purposes);
	const { templates } = rule.paths;
	const deep =
		rule.paths.prefixes.length > 0 ? 0 : templates.reduce((least, { length }) => Math.min(least, length), PARTS_MAX);
	for (let at = 0; at < deep; at++) {
		const segments = segmentsAt(templates, at);
		if (segments !== null) add(at, segments);
	}
	return facets;
}

const prefixKey = (prefix: string): number => hashOf(partsOf(prefix) <= PARTS_MAX ? prefix : firstParts(prefix));

const firstParts = (prefix: string): string => prefix.split("/").slice(0, PARTS_MAX).join("/");

/** Counts without allocating texts: there may be a hundred thousand prefixes. */
function partsOf(prefix: string): number {
	let parts = 1;
	for (let at = prefix.indexOf("/"); at !== -1; at = prefix.indexOf("/", at + 1)) parts++;
	return parts;
}

export const principalHeads = (rule: Rule): readonly string[] =>
	rule.principalPrefixes.map((prefix) => prefix.slice(0, -1));

export const pathHeads = ({ paths }: Rule): readonly string[] => [
	...paths.prefixes,
	...paths.templates.map(literalHead),
];

/** Segments of a template before its first variable. */
function literalHead(segments: readonly (string | null)[]): string {
	const end = segments.indexOf(null);
	return (end === -1 ? segments : segments.slice(0, end)).map((segment) => `/${segment}`).join("");
}

/** null = not all templates have a literal segment there, or there are none. */
function segmentsAt(templates: Rule["paths"]["templates"], at: number): readonly string[] | null {
	const found: string[] = [];
	for (const segments of templates) {
		const segment = segments[at] ?? null;
		if (segment === null) return null;
		found.push(segment);
	}
	return found.length === 0 ? null : found;
}

function* depthSteps(rules: readonly Rule[], headsOf: (rule: Rule) => readonly string[]): Steps<number> {
	let bits = 0;
	for (const rule of rules) {
		for (const head of headsOf(rule)) bits |= 1 << (Math.min(partsOf(head), PARTS_MAX) - 1);
		yield;
	}
	return bits;
}

/** Number of rules per key, in each dimension. */
function* countSteps(entries: readonly Entry[]): Steps<Counts> {
	const counts = new Map<Dimension, Map<Key, number>>();
	for (const entry of entries) {
		for (const { dimension, keys } of entry.facets) {
			const of = counts.get(dimension) ?? new Map<Key, number>();
			counts.set(dimension, of);
			for (const key of keys) of.set(key, (of.get(key) ?? 0) + 1);
		}
		yield;
	}
	return counts;
}

/** Size of the largest set with one of its keys. */
function fullest({ dimension, keys }: Facet, counts: Counts): number {
	const of = counts.get(dimension);
	return keys.reduce<number>((most, key) => Math.max(most, of?.get(key) ?? 0), 0);
}

/** The dimension whose largest set is smallest; null where none helps. */
function rarest(entry: Entry, all: number, counts: Counts): Facet | null {
	if (entry.first !== null) return entry.first;
	let best: Facet | null = null;
	let least = all;
	for (const facet of entry.facets) {
		const size = fullest(facet, counts);
		if (size >= least) continue;
		least = size;
		best = facet;
	}
	return best;
}

function under({ rule, facets, places, placesMax }: Entry, by: Facet): Entry {
	const taken = places * Math.max(1, by.keys.length);
	const left = facets.filter((facet) => facet !== by && taken * facet.keys.length <= placesMax);
	return { rule, facets: left, first: null, places: taken, placesMax };
}

/** Entries in order, with shared beginnings; null = empty. */
type Row = { readonly before: Row; readonly last: Entry } | null;

/** Rules of one dimension by key. */
class Filing {
	readonly rules: Rule[] = [];
	readonly #rows = new Map<Key, Row>();

	add(entry: Entry, { keys }: Facet, left: Entry): void {
		this.rules.push(entry.rule);
		// Keys with the same entries still have the same ones after this one.
		const grown = new Map<Row, Row>();
		for (const key of keys) {
			const before = this.#rows.get(key) ?? null;
			let row = grown.get(before);
			if (row === undefined) {
				row = { before, last: left };
				grown.set(before, row);
			}
			this.#rows.set(key, row);
		}
	}

	*steps(fineness: Fineness): Steps<Files> {
		const nodes = new Map<Row, RuleNode>();
		const files = new Map<Key, RuleNode>();
		for (const [key, row] of this.#rows) {
			const node = nodes.get(row) ?? (yield* nodeSteps(entriesOf(row), fineness));
			nodes.set(row, node);
			files.set(key, node);
			yield;
		}
		return files;
	}
}

function entriesOf(row: Row): readonly Entry[] {
	const entries: Entry[] = [];
	for (let at = row; at !== null; at = at.before) entries.push(at.last);
	return entries.reverse();
}

function* nodeSteps(entries: readonly Entry[], { atOnce, levels }: Fineness): Steps<RuleNode> {
	if (entries.length <= atOnce || levels === 0) return { rules: entries.map(({ rule }) => rule), below: null };
	const counts = yield* countSteps(entries);
	const rules: Rule[] = [];
	const filed = new Map<Dimension, Filing>();
	for (const entry of entries) {
		yield;
		const facet = rarest(entry, entries.length, counts);
		if (facet === null) {
			rules.push(entry.rule);
			continue;
		}
		const of = filed.get(facet.dimension) ?? new Filing();
		filed.set(facet.dimension, of);
		of.add(entry, facet, under(entry, facet));
	}
	return { rules, below: filed.size === 0 ? null : yield* belowSteps(filed, { atOnce, levels: levels - 1 }) };
}

function* belowSteps(filed: ReadonlyMap<Dimension, Filing>, fineness: Fineness): Steps<Below> {
	const nodes = new Map<Dimension, Files>();
	for (const [dimension, filing] of filed) nodes.set(dimension, yield* filing.steps(fineness));
	const of = (dimension: Dimension): Files | null => nodes.get(dimension) ?? null;
	const depths = (dimension: Dimension, headsOf: (rule: Rule) => readonly string[]): Steps<number> =>
		depthSteps(filed.get(dimension)?.rules ?? [], headsOf);
	const segments: { at: number; files: Files }[] = [];
	const claims: { claim: string; path: readonly string[]; files: Files }[] = [];
	for (const [dimension, files] of nodes) {
		if (typeof dimension === "number") segments.push({ at: dimension, files });
		else if (dimension.startsWith(CLAIM)) {
			const claim = dimension.slice(CLAIM.length);
			claims.push({ claim, path: claimPath(claim), files });
		}
	}
	return {
		principal: of("principal"),
		principalDepths: yield* depths("principal", principalHeads),
		user: of("user"),
		tenant: of("tenant"),
		group: of("group"),
		purpose: of("purpose"),
		path: of("path"),
		pathDepths: yield* depths("path", pathHeads),
		segments,
		claims,
	};
}
