/** Conditions in CEL, each with its hand-written meaning: true, false, or unknown if CEL has an error. */
import type { ReferenceRequest } from "./reference.js";

type Meaning = (request: ReferenceRequest, service: string) => boolean | null;

/** null = error. */
const and = (left: boolean | null, right: boolean | null): boolean | null =>
	left === false || right === false ? false : left === null || right === null ? null : true;
const or = (left: boolean | null, right: boolean | null): boolean | null =>
	left === true || right === true ? true : left === null || right === null ? null : false;

export const CONDITIONS: Readonly<Record<string, Meaning>> = {
	'request.method == "GET"': ({ method }) => method === "GET",
	'request.path.startsWith("/v2/models/")': ({ path }) => path.startsWith("/v2/models/"),
	'request.region == "eu"': ({ region }) => (region === null ? null : region === "eu"),
	"has(request.region)": ({ region }) => region !== null,
	'!has(request.region) || request.region != "us"': ({ region }) => region === null || region !== "us",
	'variant == "v1"': ({ variant }) => (variant === null ? null : variant === "v1"),
	'variant == "v1" || request.method == "GET"': ({ variant, method }) =>
		or(variant === null ? null : variant === "v1", method === "GET"),
	'!(variant == "v2") && principal != ""': ({ variant, principal }) =>
		and(variant === null ? null : variant !== "v2", principal !== null),
	'principal.startsWith("spiffe://a/ns/one/")': ({ principal }) => principal?.startsWith("spiffe://a/ns/one/") ?? false,
	'"admin" in user.groups': ({ token }) => (token === null ? null : token.groups.includes("admin")),
	'user.groups.exists(group, group.startsWith("team-"))': ({ token }) =>
		token === null ? null : token.groups.some((group) => group.startsWith("team-")),
	"user.tenants.size() == 1": ({ token }) => (token === null ? null : token.tenants.length === 1),
	"has(user.subject)": ({ token }) => token !== null && token.subject !== null,
	'user.subject == "alice" && user.issuer == "https://one"': ({ token }) =>
		token === null
			? null
			: and(token.subject === null ? null : token.subject === "alice", token.issuer === "https://one"),
	"user.claims.level >= 3": ({ token }) => {
		const level = token?.claims.level;
		return typeof level === "number" ? level >= 3 : null;
	},
	"has(user.claims.level) && user.claims.level > 1.5": ({ token }) => {
		if (token === null) return null;
		const { level } = token.claims;
		if (level === undefined) return false;
		return typeof level === "number" ? level > 1.5 : null;
	},
	'request.time >= timestamp("2026-06-01T00:00:00Z")': ({ nowMs }) => nowMs >= Date.UTC(2026, 5, 1),
	"request.time.getHours() < 12": ({ nowMs }) => new Date(nowMs).getUTCHours() < 12,
	'service == "guarded"': (_, service) => service === "guarded",
	// No bool after all: the claim is a text.
	"user.claims.role == true": ({ token }) => (token === null ? null : token.claims.role === undefined ? null : false),
};

export function holdsOf(text: string, request: ReferenceRequest, service: string): "yes" | "no" | "unknown" {
	const meaning = CONDITIONS[text];
	if (meaning === undefined) throw new Error(`no meaning for ${text}`);
	const found = meaning(request, service);
	return found === null ? "unknown" : found ? "yes" : "no";
}
