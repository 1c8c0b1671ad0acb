/** One compiled AccessPolicy of a Service. */
import type { PolicyTable } from "../../plan/compiledPlan.js";
import { type Condition, compileCondition } from "../conditions/condition.js";
import { ANYONE, principalPrefix } from "../requests/principal.js";
import { claimPath } from "../users/claim.js";
import { hasOne, tokenTexts } from "../users/tokenTexts.js";
import type { AccessRequest, Verdict } from "../verdict.js";
import { PathPatterns } from "./pathPatterns.js";
import { compileSchedule } from "./schedule.js";

/** `ISSUER#SUB`, split at the first `#`; null = any. */
interface User {
	readonly issuer: string | null;
	readonly subject: string | null;
}

/** A claim that must have one of the values. */
export interface ClaimValues {
	/** As declared. */
	readonly claim: string;
	readonly path: readonly string[];
	readonly values: ReadonlySet<string>;
}

/** A list that is null is no condition. */
export class Rule {
	readonly deny: boolean;
	readonly verdict: Verdict;
	readonly principals: ReadonlySet<string> | null;
	/** `PREFIX/` of principals that end with `/*`. */
	readonly principalPrefixes: readonly string[];
	readonly anyPrincipal: boolean;
	readonly users: readonly User[] | null;
	readonly groups: ReadonlySet<string> | null;
	readonly tenants: ReadonlySet<string> | null;
	readonly purposes: ReadonlySet<string> | null;
	readonly claims: readonly ClaimValues[];
	readonly methods: ReadonlySet<string> | null;
	readonly paths: PathPatterns;
	readonly variants: ReadonlySet<string> | null;
	readonly regions: ReadonlySet<string> | null;
	private readonly inSchedule: ((nowMs: number) => boolean) | null;
	private readonly validFromMs: number;
	private readonly validUntilMs: number;
	private readonly condition: Condition | null;

	constructor(
		{ name, action, principals, methods, pathPrefixes, variants, more }: PolicyTable,
		/** Place among the Service's policies: of several that match, the first is named. */
		readonly order: number,
		private readonly service: string,
	) {
		this.deny = action === "deny";
		this.verdict = this.deny
			? { allowed: false, reason: "forbidden", policy: name }
			: { allowed: true, reason: "allowed", policy: name };
		const prefixed = principals.map(principalPrefix);
		this.principals =
			principals.length === 0 || principals.includes(ANYONE)
				? null
				: new Set(principals.filter((id, at) => id !== "*" && prefixed[at] === null));
		this.principalPrefixes = prefixed.filter((prefix) => prefix !== null);
		this.anyPrincipal = principals.includes("*");
		this.users = orNull(more?.users)?.map(userOf) ?? null;
		this.groups = setOrNull(more?.groups);
		this.tenants = setOrNull(more?.tenants);
		this.purposes = setOrNull(more?.purposes);
		this.claims = (more?.claims ?? []).map(({ claim, values }) => ({
			claim,
			path: claimPath(claim),
			values: new Set(values),
		}));
		this.methods = setOrNull(methods);
		this.paths = new PathPatterns(pathPrefixes, more?.pathTemplates ?? []);
		this.variants = setOrNull(variants);
		this.regions = setOrNull(more?.regions);
		this.inSchedule = more === null || more.schedule === null ? null : compileSchedule(more.schedule);
		this.validFromMs = more?.validFromMs ?? Number.NEGATIVE_INFINITY;
		this.validUntilMs = more?.validUntilMs ?? Number.POSITIVE_INFINITY;
		this.condition = more === null || more.condition === null ? null : compileCondition(more.condition);
	}

	/** Whether all conditions hold. An undecidable condition holds only for a denial. */
	matches(request: AccessRequest): boolean {
		const { methods, variants, regions, inSchedule, condition } = this;
		const { variant, region, nowMs } = request;
		if (methods !== null && !methods.has(request.method)) return false;
		if (!this.paths.fits(request.path) || !this.matchesCaller(request)) return false;
		if (variants !== null && (variant === null ? !this.deny : !variants.has(variant))) return false;
		if (regions !== null && (region === null ? !this.deny : !regions.has(region))) return false;
		if (nowMs < this.validFromMs || nowMs >= this.validUntilMs) return false;
		if (inSchedule !== null && !inSchedule(nowMs)) return false;
		if (condition === null) return true;
		const held = condition.holds(request, this.service);
		return held === "error" ? this.deny : held;
	}

	private matchesCaller({ principal, token }: AccessRequest): boolean {
		if (this.principals !== null && (principal === null || !this.matchesPrincipal(principal))) return false;
		const { users, groups, tenants, purposes, claims } = this;
		if (users === null && groups === null && tenants === null && purposes === null && claims.length === 0) return true;
		if (token === null) return false;
		if (users !== null) {
			const { issuer, subject } = token;
			if (subject === null || subject === "" || !users.some((user) => isUser(user, issuer, subject))) return false;
		}
		if (groups === null && tenants === null && purposes === null && claims.length === 0) return true;
		const texts = tokenTexts(token);
		if (groups !== null && !hasOne(groups, texts.groups)) return false;
		if (tenants !== null && !hasOne(tenants, texts.tenants)) return false;
		if (purposes !== null && !hasOne(purposes, texts.purposes)) return false;
		for (const { claim, path, values } of claims) if (!hasOne(values, texts.claim(claim, path))) return false;
		return true;
	}

	private matchesPrincipal(principal: string): boolean {
		if (this.anyPrincipal || this.principals?.has(principal)) return true;
		for (const prefix of this.principalPrefixes) {
			if (isBelow(principal, prefix)) return true;
		}
		return false;
	}
}

/** V8 compares this in blocks, as in path.ts. */
const isBelow = (principal: string, prefix: string): boolean =>
	principal.length > prefix.length && principal.slice(0, prefix.length) === prefix;

function userOf(text: string): User {
	if (text === "*") return { issuer: null, subject: null };
	const cut = text.indexOf("#");
	// An empty subject matches no user.
	if (cut === -1) return { issuer: text, subject: "" };
	const subject = text.slice(cut + 1);
	return { issuer: text.slice(0, cut), subject: subject === "*" ? null : subject };
}

const isUser = (user: User, issuer: string, subject: string): boolean =>
	(user.subject === null || user.subject === subject) && (user.issuer === null || user.issuer === issuer);

const orNull = (list: readonly string[] | undefined): readonly string[] | null =>
	list === undefined || list.length === 0 ? null : list;

const setOrNull = (list: readonly string[] | undefined): ReadonlySet<string> | null =>
	list === undefined || list.length === 0 ? null : new Set(list);
