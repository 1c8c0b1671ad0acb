/**
 * The requests at which the verdicts of rules can change: for every condition of every rule a value inside and one
 * outside, and for lists in tokens and for paths what an allow and a deny match together. Of conditions in CEL only their
 * literal texts are known. All of it are examples: three rules that overlap at one point only are not met.
 */
import type { MoreConditions, PolicyTable } from "../../compiler/plan.js";
import { workloadFault } from "../../resources/spiffe.js";
import { encodedPath } from "../requests/path.js";
import { ANYONE, domainOfId } from "../requests/principal.js";
import { claimPath } from "../users/claim.js";
import { pathsAtBounds } from "./policyPaths.js";
import { type Turns, timesAtBounds } from "./policyTimes.js";

/** What one request is put together from; each list holds at least one value. */
export interface Bounds {
	readonly principals: readonly (string | null)[];
	readonly methods: readonly string[];
	readonly paths: readonly string[];
	/** invalid: one that does not hold, where tokens are judged. */
	readonly tokens: readonly (Readonly<Record<string, unknown>> | "invalid" | null)[];
	readonly timesMs: readonly number[];
	/** Named by rules. */
	readonly regions: readonly string[];
	readonly variants: readonly string[];
	/** The tokens are too many to be all there. */
	readonly cut: boolean;
}

export interface IssuerClaims {
	readonly issuer: string;
	readonly groupsClaim: string;
	readonly tenantClaim: string;
	readonly purposeClaim: string;
}

const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
const OUTSIDE = "weir-outside";
/** Of a Gateway that names no trust domain: its own, which no declaration says. */
const UNSAID_DOMAIN = "outsider.invalid";
/** Tokens of one Service: the product of their claims' values is cut here. */
const TOKENS_MAX = 400;

/** Stands for whoever of a trust domain no rule names. */
const stranger = (domain: string): string => `spiffe://${domain}/${OUTSIDE}-nobody`;

/** What is told of such a one; null = the principal is none. */
export function strangerWords(principal: string): string | null {
	const domain = domainOfId(principal) ?? "";
	if (principal !== stranger(domain)) return null;
	return `a principal ${domain === UNSAID_DOMAIN ? "" : `of ${domain} `}that no rule names`;
}

/**
 * @param domains trust domains that Gateways name
 * @param nowMs a time to look for schedules from, where no rule names one
 */
export function boundsOf(
	policies: readonly PolicyTable[],
	domains: readonly string[],
	issuers: readonly IssuerClaims[],
	nowMs: number,
	turnsOf: Turns,
): Bounds {
	const literals = policies.flatMap(({ more }) => literalsOf(more?.condition ?? ""));
	const { tokens, cut } = tokensOf(policies, issuers, literals);
	const methods = new Set(policies.flatMap((policy) => policy.methods));
	for (const literal of literals) if (/^[A-Z]{3,10}$/.test(literal)) methods.add(literal);
	methods.add(METHODS.find((method) => !methods.has(method)) ?? OUTSIDE.toUpperCase());
	return {
		principals: principalsOf(policies, domains, literals),
		methods: [...methods],
		paths: pathsAtBounds(policies, literals.filter((text) => text.startsWith("/")).map(encodedPath)),
		tokens,
		timesMs: timesAtBounds(policies, nowMs, turnsOf),
		regions: unique(policies.flatMap(({ more }) => more?.regions ?? [])),
		variants: unique(policies.flatMap(({ variants }) => variants)),
		cut,
	};
}

/** Refused of every protected Service before its rules are asked (canonical.ts), and by nobody of an open one. */
export const NEVER_ALLOWED = [{ method: "TRACE" }, { path: `/${OUTSIDE};x=y` }] as const;

const unique = <Value>(values: Iterable<Value>): readonly Value[] => [...new Set(values)];

function principalsOf(
	policies: readonly PolicyTable[],
	domains: readonly string[],
	literals: readonly string[],
): readonly (string | null)[] {
	const named = policies
		.flatMap(({ principals }) => principals)
		.concat(literals.filter((text) => text.startsWith("spiffe://")));
	return unique([
		null,
		stranger(UNSAID_DOMAIN),
		// Of a domain that a rule names whole, somebody is among those below.
		...domains.filter((domain) => !named.includes(`spiffe://${domain}/*`)).map(stranger),
		...named.flatMap((id) => {
			if (id === "*" || id === ANYONE) return [];
			if (!id.endsWith("/*")) return [id, `${id}/${OUTSIDE}`];
			const above = id.slice(0, -2);
			// A trust domain alone is nobody's id.
			const own = workloadFault(above) === null ? [above] : [];
			return [...own, `${above}/${OUTSIDE}`, `${above}-${OUTSIDE}/x`];
		}),
	]);
}

/** A way to write into a token's claims. */
type Write = (claims: Record<string, unknown>) => void;

function tokensOf(
	policies: readonly PolicyTable[],
	issuers: readonly IssuerClaims[],
	literals: readonly string[],
): Pick<Bounds, "tokens" | "cut"> {
	const more = policies.flatMap((policy) => policy.more ?? []);
	const ofAction = (action: PolicyTable["action"]) =>
		policies.flatMap((policy) => (policy.action === action && policy.more !== null ? [policy.more] : []));
	const [allows, denies] = [ofAction("allow"), ofAction("deny")];
	const free = literals.filter((text) => !text.startsWith("/") && !text.startsWith("spiffe://"));
	const anyUser = (user: string): boolean => user === "*" || user.slice(user.indexOf("#")) === "#*";
	const users = unique(more.flatMap(({ users }) => users).filter((user) => !anyUser(user))).map((user) => {
		const at = user.indexOf("#");
		return { issuer: user.slice(0, at), subject: user.slice(at + 1) };
	});
	const groups = unique([...more.flatMap(({ groups }) => groups), ...free]);
	const tenants = unique([...more.flatMap(({ tenants }) => tenants), ...free]);
	const purposes = unique([...more.flatMap(({ purposes }) => purposes), ...free]);
	const rules = new Map<string, Set<string>>();
	for (const { claim, values } of more.flatMap(({ claims }) => claims)) {
		const known = rules.get(claim) ?? new Set();
		rules.set(claim, new Set([...known, ...values]));
	}
	const judged = more.some(
		({ users, groups, tenants, purposes, claims, condition }) =>
			[users, groups, tenants, purposes, claims].some((list) => list.length > 0) || condition !== null,
	);
	if (!judged) return { tokens: [null], cut: false };
	const found = new Map<string, Readonly<Record<string, unknown>>>();
	let cut = false;
	// An issuer that nobody trusts any more, or yet, is one more case.
	const named = users.filter(({ issuer }) => issuers.every((one) => one.issuer !== issuer));
	const all = [
		...issuers,
		...unique(named.map(({ issuer }) => issuer)).map((issuer) => ({
			issuer,
			groupsClaim: "groups",
			tenantClaim: "tenant",
			purposeClaim: "purpose",
		})),
	];
	for (const { issuer, groupsClaim, tenantClaim, purposeClaim } of all) {
		const subjects: readonly string[] = [
			OUTSIDE,
			...users.filter((user) => user.issuer === issuer).map(({ subject }) => subject),
		];
		const one =
			(claim: string) =>
			(value: string): Write =>
				put(claim, value);
		/** All together, and each that an allow asks for with each that a deny does. */
		const several = (
			claim: string,
			values: readonly string[],
			listed: (one: MoreConditions) => readonly string[],
		): readonly Write[] => {
			if (values.length < 2) return [];
			const denied = unique([...denies.flatMap(listed), ...free]);
			const pairs = unique([...allows.flatMap(listed), ...free]).flatMap((one) =>
				denied.filter((other) => other !== one).map((other) => [one, other]),
			);
			return [put(claim, values), ...(values.length === 2 ? [] : pairs.map((pair) => put(claim, pair)))];
		};
		const valuesOf =
			(name: string) =>
			({ claims }: MoreConditions): readonly string[] =>
				claims.flatMap(({ claim, values }) => (claim === name ? values : []));
		const dimensions: readonly (readonly Write[])[] = [
			subjects.map(one("sub")),
			[nothing, ...groups.map(one(groupsClaim)), ...several(groupsClaim, groups, (one) => one.groups)],
			[nothing, ...tenants.map(one(tenantClaim)), ...several(tenantClaim, tenants, (one) => one.tenants)],
			[nothing, ...purposes.map(one(purposeClaim)), ...several(purposeClaim, purposes, (one) => one.purposes)],
			...[...rules].map(([claim, values]) => [
				nothing,
				...[...values].map(one(claim)),
				...several(claim, [...values], valuesOf(claim)),
			]),
		];
		const size = dimensions.reduce((product, values) => product * values.length, 1);
		if (size > TOKENS_MAX) cut = true;
		for (const choice of choices(dimensions, TOKENS_MAX)) {
			const claims: Record<string, unknown> = { iss: issuer };
			for (const write of choice) write(claims);
			found.set(JSON.stringify(claims), claims);
		}
	}
	return { tokens: [null, "invalid", ...found.values()], cut };
}

const nothing: Write = () => undefined;

/** Texts of one claim that are written twice come together in a list. */
function put(claim: string, value: string | readonly string[]): Write {
	return (claims) => {
		const path = claimPath(claim);
		let at = claims;
		for (const name of path.slice(0, -1)) {
			const inner = at[name];
			const next: Record<string, unknown> =
				typeof inner === "object" && inner !== null && !Array.isArray(inner) ? { ...inner } : {};
			at[name] = next;
			at = next;
		}
		const last = path.at(-1) ?? "";
		const known = at[last];
		if (known === undefined || last === "sub") at[last] = value;
		else at[last] = unique([known, value].flat());
	};
}

/**
 * Every combination, or where they are more than `max` those that differ from the first in one place, and from then on
 * a fixed draw from them all: the same input gives the same combinations.
 */
export function* choices<Value>(dimensions: readonly (readonly Value[])[], max: number): Generator<readonly Value[]> {
	const size = dimensions.reduce((product, values) => product * values.length, 1);
	const at = (index: number): readonly Value[] => {
		let rest = index;
		return dimensions.map((values) => {
			const value = values[rest % values.length] as Value;
			rest = Math.floor(rest / values.length);
			return value;
		});
	};
	if (size <= max) {
		for (let index = 0; index < size; index++) yield at(index);
		return;
	}
	let given = 0;
	const first = dimensions.map(([value]) => value as Value);
	for (const [place, values] of dimensions.entries()) {
		for (const value of values) {
			if (given++ >= max) return;
			yield first.with(place, value);
		}
	}
	const draw = randomNumbers();
	while (given++ < max) yield dimensions.map((values) => values[Math.floor(draw() * values.length)] as Value);
}

/** mulberry32 from a fixed seed: numbers in [0, 1). */
function randomNumbers(): () => number {
	let state = 0x5eed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
	};
}

/** Texts in quotes of a CEL expression. */
export function literalsOf(condition: string): readonly string[] {
	return [...condition.matchAll(/"([^"\\]*)"|'([^'\\]*)'/g)].flatMap(([, double, single]) => double ?? single ?? []);
}
