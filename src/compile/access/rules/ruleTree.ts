/**
 * Rules filed by what they say, rarest first: a caller, a group, a path … What is made is linear in what is declared,
 * whatever that is: a rule lies in no more places than it names things, in a tree of few levels, and things that lead to
 * the same rules lead to one node.
 */
import { claimPath } from "../users/claim.js";
import { hashOf } from "./prefixHash.js";
import type { Rule } from "./rule.js";
import type { Steps } from "./steps.js";

/** How far rules are divided. */
interface Fineness {
	/** So few rules are asked, not looked up. */
	readonly atOnce: number;
	/** Filed by so many things at most, one below the other. */
	readonly levels: number;
}

const FINE: Fineness = { atOnce: 4, levels: 5 };

/** To ask some dozens costs microseconds, and to file a megabyte of names again and again would stop a sidecar for seconds. */
const COARSE: Fineness = { atOnce: 64, levels: 2 };

/** Names in all rules, above which they are filed coarsely: 10,000 policies of ten names each. */
const FINE_NAMES_MAX = 100_000;

/** Parts of a path or SPIFFE id, split at slashes, that a key may have: what is deeper is filed under its first ones. */
export const PARTS_MAX = 16;

/** Of a rule's claims: real ones have one or two. */
const CLAIMS_FILED = 8;

/** Places that a rule of few names may have: three callers and five groups are told apart, a rule a file. */
const PLACES_MIN = 16;

/** Text, or the hash of a prefix. */
export type Key = string | number;
export type Files = ReadonlyMap<Key, RuleNode>;

export interface RuleNode {
	/** Asked of every request that comes here. In order. */
	readonly rules: readonly Rule[];
	/** What else is here, filed; null = nothing. */
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
	/** By what templates say at a place. */
	readonly segments: readonly { readonly at: number; readonly files: Files }[];
	/** By the texts of each claim. */
	readonly claims: readonly { readonly claim: string; readonly path: readonly string[]; readonly files: Files }[];
}

/** A claim, or the place of a segment that templates name. */
type Dimension = "principal" | "user" | "tenant" | "group" | "purpose" | "path" | `claim ${string}` | number;
const CLAIM = "claim ";

/** What a rule says in a dimension: it matches no request that has none of the keys. */
interface Facet {
	readonly dimension: Dimension;
	readonly keys: readonly Key[];
}

/** A rule on its way down. */
interface Entry {
	readonly rule: Rule;
	/** What it can be filed by without having more places than it may. */
	readonly facets: readonly Facet[];
	/** What it must be filed by first. */
	readonly first: Facet | null;
	/** How many it has there, and may have. */
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

/** By exact callers first where there are no others, however rare they are: nobody else's requests may meet it (RULE_STEPS_MAX). */
function entryOf(rule: Rule): Entry {
	const facets = facetsOf(rule);
	const first =
		rule.principalPrefixes.length > 0 ? undefined : facets.find(({ dimension }) => dimension === "principal");
	return { rule, facets, first: first ?? null, places: 1, placesMax: Math.max(PLACES_MIN, namesIn(facets)) };
}

/** Where two are as rare, the first. */
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

/** Without a text for each: there may be a hundred thousand prefixes. */
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

/** null = not all templates say a segment there, or there are none. */
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

/** How many rules have each key, in each dimension. */
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

/** Rules in the fullest of its files. */
function fullest({ dimension, keys }: Facet, counts: Counts): number {
	const of = counts.get(dimension);
	return keys.reduce<number>((most, key) => Math.max(most, of?.get(key) ?? 0), 0);
}

/** The dimension in which the fullest of the rule's files is smallest; null where none helps. */
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

/** Entries in order, of which many may begin alike; null = none. */
type Row = { readonly before: Row; readonly last: Entry } | null;

/** Rules of one dimension: where each key leads, and which rules lie there. */
class Filing {
	readonly rules: Rule[] = [];
	readonly #rows = new Map<Key, Row>();

	add(entry: Entry, { keys }: Facet, left: Entry): void {
		this.rules.push(entry.rule);
		// Keys that led to the same entries lead to the same ones with this one.
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
