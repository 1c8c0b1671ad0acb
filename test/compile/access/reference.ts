/**
 * A naive implementation of AccessPolicy, one policy after the other, from the documentation in resource.ts. It shares no
 * code with src/compile/access, and knows only the CEL expressions of arbitrary.ts.
 */
import type { AccessPolicy, ClaimRule, Schedule, Service } from "../../../src/declare/resources/resource.js";
import { holdsOf } from "./conditions.js";

export interface ReferenceToken {
	readonly issuer: string;
	readonly subject: string | null;
	readonly claims: Readonly<Record<string, unknown>>;
	readonly groups: readonly string[];
	readonly tenants: readonly string[];
	readonly purposes: readonly string[];
}

export interface ReferenceRequest {
	readonly principal: string | null;
	readonly method: string;
	readonly path: string;
	readonly variant: string | null;
	readonly token: ReferenceToken | null;
	readonly region: string | null;
	readonly nowMs: number;
}

export interface ReferenceVerdict {
	readonly allowed: boolean;
	readonly reason: string;
	readonly policy: string | null;
}

/** yes, no, or unknown. */
type Holds = "yes" | "no" | "unknown";

const yes = (fact: boolean): Holds => (fact ? "yes" : "no");
const listed = (wanted: readonly string[], given: readonly string[]): boolean =>
	wanted.length === 0 || given.some((one) => wanted.indexOf(one) !== -1);

function isPrincipal(pattern: string, id: string): boolean {
	if (pattern === "*") return true;
	if (!pattern.endsWith("/*")) return pattern === id;
	const above = pattern.split("/").slice(0, -1);
	const parts = id.split("/");
	return parts.length > above.length && above.every((part, index) => parts[index] === part);
}

function isUnder(prefix: string, path: string): boolean {
	const wanted = prefix.split("/").filter((segment) => segment !== "");
	const given = path.split("/").slice(1);
	return wanted.every((segment, index) => given[index] === segment);
}

function fits(template: string, path: string): boolean {
	const wanted = template.split("/");
	const given = path.split("/");
	return (
		wanted.length === given.length &&
		wanted.every((segment, index) => (/^\{.*\}$/.test(segment) ? given[index] !== "" : segment === given[index]))
	);
}

function textsOf(claims: Readonly<Record<string, unknown>>, claim: string): readonly string[] {
	let at: unknown = claims;
	for (const name of claim.startsWith("https://") ? [claim] : claim.split(".")) {
		const entries: [string, unknown][] =
			at === null || typeof at !== "object" || Array.isArray(at) ? [] : Object.entries(at);
		at = entries.find(([key]) => key === name)?.[1];
	}
	if (typeof at === "string")
		return claim === "scope" || claim === "permission" ? at.split(/ +/).filter(Boolean) : [at];
	return Array.isArray(at) ? at.filter((one): one is string => typeof one === "string") : [];
}

const claimHolds = (token: ReferenceToken, { claim, values }: ClaimRule): boolean =>
	textsOf(token.claims, claim).some((text) => values.includes(text));

const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** Walks back minute by minute from now to the window's beginning. */
function inSchedule({ timezone, days, fromMinute, untilMinute }: Schedule, nowMs: number): boolean {
	const clock = new Intl.DateTimeFormat("en-GB", {
		timeZone: timezone,
		weekday: "short",
		hour: "2-digit",
		minute: "2-digit",
	}).format(nowMs);
	const match = /^(\w{3})\D+(\d{2}):(\d{2})$/.exec(clock);
	if (match === null) throw new Error(`cannot read ${clock}`);
	const today = WEEKDAYS.indexOf(match[1] ?? "");
	const minute = (Number(match[2]) % 24) * 60 + Number(match[3]);
	const overMidnight = untilMinute <= fromMinute;
	const windows = overMidnight
		? [
				{ day: today, from: fromMinute, until: 1_440 },
				{ day: (today + 6) % 7, from: 0, until: untilMinute },
			]
		: [{ day: today, from: fromMinute, until: untilMinute }];
	return windows.some(({ day, from, until }) => days.includes(day + 1) && minute >= from && minute < until);
}

/** Each condition by itself. */
function conditionsOf({ spec }: AccessPolicy, request: ReferenceRequest, service: string): readonly Holds[] {
	const { principal, method, path, variant, token, region, nowMs } = request;
	const ofToken = (wanted: readonly string[], given: (token: ReferenceToken) => readonly string[]): Holds =>
		yes(wanted.length === 0 || (token !== null && listed(wanted, given(token))));
	return [
		yes(
			spec.principals.length === 0 ||
				spec.principals.includes("anyone") ||
				(principal !== null && spec.principals.some((one) => isPrincipal(one, principal))),
		),
		yes(
			spec.users.length === 0 ||
				(token !== null &&
					spec.users.some((user) => {
						if (user === "*") return Boolean(token.subject);
						const [issuer, ...rest] = user.split("#");
						if (rest.join("#") === "*") return issuer === token.issuer && Boolean(token.subject);
						return issuer === token.issuer && rest.join("#") === token.subject;
					})),
		),
		ofToken(spec.groups, ({ groups }) => groups),
		ofToken(spec.tenants, ({ tenants }) => tenants),
		ofToken(spec.purposes, ({ purposes }) => purposes),
		yes(spec.claims.every((claim) => token !== null && claimHolds(token, claim))),
		yes(listed(spec.methods, [method])),
		yes(
			spec.pathPrefixes.length + spec.pathTemplates.length === 0 ||
				spec.pathPrefixes.some((prefix) => isUnder(prefix, path)) ||
				spec.pathTemplates.some((template) => fits(template, path)),
		),
		spec.variants.length === 0 ? "yes" : variant === null ? "unknown" : yes(spec.variants.includes(variant)),
		spec.regions.length === 0 ? "yes" : region === null ? "unknown" : yes(spec.regions.includes(region)),
		yes(spec.validFromMs === null || nowMs >= spec.validFromMs),
		yes(spec.validUntilMs === null || nowMs < spec.validUntilMs),
		yes(spec.schedule === null || inSchedule(spec.schedule, nowMs)),
		spec.condition === null ? "yes" : holdsOf(spec.condition, request, service),
	];
}

function matches(policy: AccessPolicy, request: ReferenceRequest, service: string): boolean {
	const { action, principals, users, groups, tenants, purposes, claims } = policy.spec;
	const names = [principals, users, groups, tenants, purposes, claims].some((list) => list.length > 0);
	if (action === "allow" && !names) return false;
	const found = conditionsOf(policy, request, service);
	if (found.includes("no")) return false;
	return action === "deny" || !found.includes("unknown");
}

const looksAtPath = ({ spec }: AccessPolicy): boolean =>
	spec.pathPrefixes.length > 0 || spec.pathTemplates.length > 0 || (spec.condition ?? "").includes("request.path");

/** @param ambiguous whether servers could read the path in different ways: not this evaluator's business */
export function referenceVerdict(
	service: Service,
	policies: readonly AccessPolicy[],
	request: ReferenceRequest,
	{ ambiguous, shadows }: { readonly ambiguous: boolean; readonly shadows: boolean },
): ReferenceVerdict {
	const { name, namespace } = service.metadata;
	const qualified = (of: { name: string; namespace: string }): string =>
		of.namespace === "default" ? of.name : `${of.namespace}/${of.name}`;
	const own = policies
		.filter(
			({ metadata, spec }) =>
				(spec.mode === "enforce" || shadows) &&
				metadata.namespace === namespace &&
				(spec.services.includes("*") || spec.services.includes(name)) &&
				(spec.dataClasses.length === 0 || spec.dataClasses.some((one) => one === service.spec.dataClass)),
		)
		// The first match by name is reported.
		.sort((one, other) => (one.metadata.name < other.metadata.name ? -1 : 1));
	if (own.length === 0 && service.spec.access === "open") return { allowed: true, reason: "open", policy: null };
	if (ambiguous && own.some(looksAtPath)) return { allowed: false, reason: "not-canonical", policy: null };
	const hit = (action: string) =>
		own.find((policy) => policy.spec.action === action && matches(policy, request, qualified(service.metadata)));
	const denied = hit("deny");
	if (denied !== undefined) return { allowed: false, reason: "forbidden", policy: qualified(denied.metadata) };
	const allowed = hit("allow");
	return allowed === undefined
		? { allowed: false, reason: "no-policy-allows", policy: null }
		: { allowed: true, reason: "allowed", policy: qualified(allowed.metadata) };
}
