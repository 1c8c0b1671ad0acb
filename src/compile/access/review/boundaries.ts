/**
 * Requests at which verdicts can change: for every condition of every rule, matching values and one other. The
 * combinations are examples. For CEL only the literal texts are used.
 */

import type { Schedule, TokenIssuer } from "../../../declare/resources/resource.js";
import { workloadFault } from "../../../declare/resources/spiffe.js";
import type { PolicyTable } from "../../plan/compiledPlan.js";
import { encodedPath, templateSegments, trimPrefix } from "../requests/path.js";
import { domainOfId } from "../requests/principal.js";
import { judgesUser } from "../rules/accessTable.js";
import { compileSchedule } from "../rules/schedule.js";
import { claimPath } from "../users/claim.js";
import type { PolicyRequest } from "./policyRequest.js";

/** Values to combine; each list has at least one. */
export interface Boundaries {
	readonly principals: readonly (string | null)[];
	readonly tokens: readonly PolicyRequest["token"][];
	readonly methods: readonly string[];
	readonly paths: readonly string[];
	readonly timesMs: readonly number[];
	/** Only those that rules name. */
	readonly regions: readonly string[];
	readonly variants: readonly string[];
	/** Not every combination of claims is among the tokens. */
	readonly isCut: boolean;
}

const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
const OTHER = "weir-other";
const TOKENS_MAX = 400;
/** A prime, so that no combination is repeated. */
const STEP = 2_654_435_761;
const MINUTE_MS = 60_000;
const WEEK_MINUTES = 7 * 24 * 60;

/**
 * @param domains trust domains that Gateways accept
 * @param nowMs start of a week of schedules, if the rule has no start
 */
export function boundariesOf(
	policies: readonly PolicyTable[],
	domains: readonly string[],
	issuers: readonly TokenIssuer[],
	nowMs: number,
): Boundaries {
	const literals = policies.flatMap(({ more }) => literalsOf(more?.condition ?? ""));
	const { tokens, isCut } = tokensOf(policies, issuers, literals);
	const methods = [...policies.flatMap((one) => one.methods), ...literals.filter((text) => /^[A-Z]{3,10}$/.test(text))];
	return {
		principals: principalsOf(policies, domains, literals),
		tokens,
		methods: unique([...methods, METHODS.find((method) => !methods.includes(method)) ?? OTHER.toUpperCase()]),
		paths: pathsOf(policies, literals),
		timesMs: timesOf(policies, nowMs),
		regions: unique(policies.flatMap(({ more }) => more?.regions ?? [])),
		variants: unique(policies.flatMap(({ variants }) => variants)),
		isCut,
	};
}

const unique = <Value>(values: readonly Value[]): readonly Value[] => [...new Set(values)];

/** Quoted texts in a CEL expression. */
function literalsOf(condition: string): readonly string[] {
	return [...condition.matchAll(/"([^"\\]*)"|'([^'\\]*)'/g)].flatMap(([, double, single]) => double ?? single ?? []);
}

function principalsOf(
	policies: readonly PolicyTable[],
	domains: readonly string[],
	literals: readonly string[],
): readonly (string | null)[] {
	const named = [...policies.flatMap(({ principals }) => principals), ...literals].filter((id) =>
		id.startsWith("spiffe://"),
	);
	const others = named.flatMap((id) => {
		const above = id.endsWith("/*") ? id.slice(0, -2) : id;
		return id === above ? [id, `${id}/${OTHER}`] : [above, `${above}/${OTHER}`, `${above}-${OTHER}/x`];
	});
	const all = ["outsider.invalid", ...domains].map((domain) => `spiffe://${domain}/${OTHER}`);
	return [null, ...unique([...all, ...others].filter((id) => workloadFault(id) === null))];
}

/** What to display for a principal that represents all others; null = it is an ordinary one. */
export function otherPrincipal(principal: string): string | null {
	const domain = domainOfId(principal) ?? "";
	if (principal !== `spiffe://${domain}/${OTHER}`) return null;
	return domain === "outsider.invalid" ? "another principal" : `another principal of ${domain}`;
}

function pathsOf(policies: readonly PolicyTable[], literals: readonly string[]): readonly string[] {
	const prefixes = [
		...policies.flatMap(({ pathPrefixes }) => pathPrefixes),
		...literals.filter((text) => text.startsWith("/")).map(encodedPath),
	].map(trimPrefix);
	const templates = policies
		.flatMap(({ more }) => more?.pathTemplates ?? [])
		.map(
			(template) =>
				`/${templateSegments(template)
					.map((segment) => segment ?? OTHER)
					.join("/")}`,
		);
	return unique([
		"/",
		`/${OTHER}`,
		...prefixes.flatMap((path) => [path || "/", `${path}/${OTHER}`, `${path}-${OTHER}`]),
		...templates.flatMap((path) => [path, `${path}/${OTHER}`, path.slice(0, path.lastIndexOf("/")) || "/"]),
	]);
}

/**
 * The ends of validity, and the changes of schedules within a week, each with the moment before; every hour of a day if
 * a condition reads the time.
 */
export function timesOf(policies: readonly PolicyTable[], nowMs: number): readonly number[] {
	const edges = policies.flatMap(({ more }) => [more?.validFromMs ?? [], more?.validUntilMs ?? []].flat());
	const schedules = new Map(
		policies.flatMap(({ more }) => {
			if (more === null || more.schedule === null) return [];
			const { schedule } = more;
			const fromMs = more.validFromMs ?? nowMs;
			return [[JSON.stringify([schedule, fromMs]), { schedule, fromMs }] as const];
		}),
	);
	const turns = [...schedules.values()].flatMap(({ schedule, fromMs }) => turnsOf(schedule, fromMs));
	const isRead = policies.some(({ more }) => /\btime\b/.test(more?.condition ?? ""));
	const hours = Array.from({ length: isRead ? 24 : 0 }, (_, hour) => nowMs + hour * 60 * MINUTE_MS);
	return unique([nowMs, ...hours, ...[...edges, ...turns].flatMap((edge) => [edge - 1, edge])]);
}

function turnsOf(schedule: Schedule, fromMs: number): readonly number[] {
	const isWithin = compileSchedule(schedule);
	const startMs = Math.floor(fromMs / MINUTE_MS) * MINUTE_MS;
	const minutes = Array.from({ length: WEEK_MINUTES }, (_, index) => startMs + (index + 1) * MINUTE_MS);
	return minutes.filter((atMs) => isWithin(atMs) !== isWithin(atMs - MINUTE_MS));
}

type Claims = Readonly<Record<string, unknown>>;

/** For each claim in rules: none, each value, and all values together. */
function tokensOf(
	policies: readonly PolicyTable[],
	issuers: readonly TokenIssuer[],
	literals: readonly string[],
): Pick<Boundaries, "tokens" | "isCut"> {
	if (!policies.some(judgesUser)) return { tokens: [null], isCut: false };
	const more = policies.flatMap((policy) => policy.more ?? []);
	const quoted = literals.filter((text) => !/^(\/|spiffe:)/.test(text));
	const users = more.flatMap((one) => one.users.map((user) => user.split(/#(.*)/s)));
	const rules = more.flatMap(({ claims }) => claims);
	const claims = unique(rules.map(({ claim }) => claim));
	let isCut = false;
	const tokens = issuers.flatMap(({ issuer, groupsClaim, tenantClaim, purposeClaim }) => {
		const subjects = users.flatMap(([name, subject = "*"]) => (name === issuer && subject !== "*" ? [subject] : []));
		const listed: readonly (readonly [string, readonly string[]])[] = [
			[groupsClaim, [...more.flatMap(({ groups }) => groups), ...quoted]],
			[tenantClaim, [...more.flatMap(({ tenants }) => tenants), ...quoted]],
			[purposeClaim, [...more.flatMap(({ purposes }) => purposes), ...quoted]],
			...claims.map((name) => [name, rules.flatMap((one) => (one.claim === name ? one.values : []))] as const),
		];
		const dimensions: readonly (readonly Claims[])[] = [
			unique([OTHER, ...subjects]).map((sub) => ({ iss: issuer, sub })),
			...listed.map(([claim, values]) => {
				const texts = unique(values);
				const held = texts.length < 2 ? texts : [...texts, texts];
				return [{}, ...held.map((value) => nested(claim, value))];
			}),
		];
		isCut ||= sizeOf(dimensions) > TOKENS_MAX;
		return [...combinations(dimensions, TOKENS_MAX)].map((parts) => parts.reduce(merged));
	});
	return { tokens: [null, "invalid", ...tokens], isCut };
}

const nested = (claim: string, value: unknown): Claims =>
	claimPath(claim).reduceRight((inner, name) => ({ [name]: inner }), value) as Claims;

/** Claims may share a parent mapping. */
function merged(one: Claims, other: Claims): Claims {
	const both = { ...one };
	for (const [name, value] of Object.entries(other)) {
		const had = both[name];
		both[name] = isMapping(had) && isMapping(value) ? merged(had, value) : value;
	}
	return both;
}

const isMapping = (value: unknown): value is Claims =>
	typeof value === "object" && value !== null && !Array.isArray(value);

export const sizeOf = (dimensions: readonly (readonly unknown[])[]): number =>
	dimensions.reduce((product, values) => product * values.length, 1);

/** All combinations, or `max` of them spread evenly: deterministic. */
export function* combinations<Value>(dimensions: readonly (readonly Value[])[], max: number): Generator<Value[]> {
	const size = sizeOf(dimensions);
	const step = size <= max ? 1 : STEP;
	for (let given = 0, index = 0; given < Math.min(size, max); given++, index = (index + step) % size) {
		let rest = index;
		yield dimensions.map((values) => {
			const value = values[rest % values.length] as Value;
			rest = Math.floor(rest / values.length);
			return value;
		});
	}
}
