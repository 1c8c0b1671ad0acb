/**
 * The judge: the expected result of a request, from the declared resources and docs/access.md and docs/experiments.md. It shares
 * no code with src (types apart), to find faults that all executions share.
 */
import { type Expected, expected, unitOf } from "../envoy/oracle.js";
import { ANONYMOUS, type Generated, PLAIN_GATEWAY, type Subject } from "./declaration.js";
import { armVariants, running as runningOf, tellsArmsApart } from "./eligibility.js";
import type { Outcome } from "./outcome.js";
import type { GeneratedRequest } from "./requests.js";

const name = ({ name: own, namespace }: { name: string; namespace: string }): string =>
	namespace === "default" ? own : `${namespace}/${own}`;

/** One Experiment that assigns, and where it puts the unit. */
type Placed = Subject["experiments"][number] & { readonly result: Expected };

/**
 * @param path canonical, as Envoy hands it on, query included
 * @param minted unit that the response sets as a cookie; null where it sets none
 * @param spiffe id of a caller by its short name
 */
export function judge(
	{ resources }: Pick<Generated, "resources">,
	request: GeneratedRequest,
	path: string,
	minted: string | null,
	spiffe: (who: string) => string,
): Outcome {
	const { subject } = request;
	const running = runningOf(subject);
	const mints = running.length > 0 && mintsFor(request);
	const text = mints ? (minted ?? "") : unitText(request);
	const unit = text === null ? null : unitOf([Buffer.from(text, "latin1")]);
	const placed = running.flatMap((own): readonly Placed[] =>
		unit === null ? [] : [{ ...own, result: expected(unit, own.experiment, subject.layer, own.status) }],
	);
	const inSlot = placed.find(({ result }) => result.inSlot);
	const own = inSlot !== undefined && takesPart(request, inSlot, withoutQuery(path), spiffe) ? inSlot : undefined;
	const variant = own?.result.variant ?? subject.defaultVariant;
	const { allowed, reason, policy } = verdict(request, withoutQuery(path), variant, spiffe);
	if (!allowed) {
		return { verdict: "deny", reason, policy, arms: null, variant: null, sent: null, cookie: null };
	}
	const shows = resources.gateways.find(({ metadata }) => metadata.name === request.gateway)?.spec.exposeArm ?? false;
	return {
		verdict: "allow",
		reason,
		policy: null,
		arms: shows
			? placed
					.map(
						(one) => `${name(one.experiment.metadata)}/${one === inSlot && own === undefined ? "-" : one.result.arm}`,
					)
					.sort()
			: [],
		variant: served(subject, variant),
		sent: own === undefined ? [] : sentFor(own),
		cookie: mints ? cookieText(minted, request.gateway !== PLAIN_GATEWAY) : null,
	};
}

/** Eligibility comes before assignment: who may not use every arm's Variant is outside of the Experiment. */
export function takesPart(
	request: GeneratedRequest,
	taking: Subject["experiments"][number],
	path: string,
	spiffe: (who: string) => string,
): boolean {
	const { subject } = request;
	if (!tellsArmsApart(subject, taking)) return true;
	return armVariants(taking).every((variant) => verdict(request, path, variant, spiffe).allowed);
}

/** The Variant that serves: the default one for one without endpoints (all generated Services say so). */
export function served({ service, defaultVariant }: Subject, variant: string): string {
	return service.spec.variants.some((own) => own.name === variant && own.endpoints.length > 0)
		? variant
		: defaultVariant;
}

function sentFor({ experiment, result }: Placed): readonly string[] {
	const parameters = experiment.spec.arms.find((arm) => arm.name === result.arm)?.parameters ?? {};
	return [
		`x-weir-arm: ${name(experiment.metadata)}/${result.arm}`,
		...Object.entries(parameters).map(([key, value]) => `x-weir-param-${key}: ${value}`),
	].sort();
}

const cookieText = (unit: string | null, secure: boolean): string =>
	unit !== null && /^[A-Za-z0-9_-]{22}$/.test(unit)
		? `weir_id=${unit}; Max-Age=86400; Path=/; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`
		: `a new unit of 22 characters, not ${unit}`;

/** The values of the unit's cookie, in order. */
function cookies({ subject: { unit }, values }: GeneratedRequest): readonly string[] {
	if (unit.from !== "cookie") return [];
	return values
		.flatMap((header) => header.split(";"))
		.map((pair) => pair.replace(/^[ \t]+|[ \t]+$/g, ""))
		.filter((pair) => pair.startsWith(`${unit.cookie}=`))
		.map((pair) => pair.slice(unit.cookie.length + 1));
}

const isUnit = (text: string | undefined): boolean => text !== undefined && /^[!-+\--~]+$/.test(text);

/** An invalid unit cookie is replaced; two cookies are ambiguous. */
function mintsFor(request: GeneratedRequest): boolean {
	const own = cookies(request);
	return request.subject.unit.from === "cookie" && own.length < 2 && !isUnit(own[0]);
}

/** The unit's text as sent; null = none. Blanks around a claim make it none. */
function unitText(request: GeneratedRequest): string | null {
	const { subject, values } = request;
	const [value, more] = values;
	if (subject.unit.from === "header") return more === undefined ? (value ?? null) : null;
	if (subject.unit.from === "claim") return value === undefined || value.trim() !== value ? null : value;
	const [own, second] = cookies(request);
	return second === undefined && own !== undefined && isUnit(own) ? own : null;
}

interface Judged {
	readonly allowed: boolean;
	readonly reason: string;
	readonly policy: string | null;
}

function verdict(
	{ subject, who, method }: GeneratedRequest,
	path: string,
	variant: string,
	spiffe: (who: string) => string,
): Judged {
	const { service, policies } = subject;
	if (service.spec.access === "open" && policies.length === 0) return { allowed: true, reason: "open", policy: null };
	const judgesPaths = policies.some(({ spec }) => spec.pathPrefixes.length > 0);
	if (isStrange(path) || (judgesPaths && isAmbiguous(path))) {
		return { allowed: false, reason: "not-canonical", policy: null };
	}
	const caller = who === ANONYMOUS ? null : spiffe(who);
	const byName = [...policies].sort((one, other) => (name(one.metadata) < name(other.metadata) ? -1 : 1));
	const [denial, allowance] = (["deny", "allow"] as const).map((action) =>
		byName.find(({ spec }) => {
			if (spec.action !== action) return false;
			const everyone = action === "deny" && spec.principals.length === 0;
			if (!everyone && !spec.principals.some((id) => id === caller)) return false;
			if (spec.methods.length > 0 && !spec.methods.includes(method)) return false;
			if (spec.pathPrefixes.length > 0 && !spec.pathPrefixes.some((prefix) => isUnder(path, prefix))) return false;
			return spec.variants.length === 0 || spec.variants.includes(variant);
		}),
	);
	if (denial !== undefined) return { allowed: false, reason: "forbidden", policy: name(denial.metadata) };
	if (allowance !== undefined) return { allowed: true, reason: "allowed", policy: name(allowance.metadata) };
	return { allowed: false, reason: "no-policy-allows", policy: null };
}

/** A fragment, which no request has (RFC 9112 3.2), is no query and stays. */
const withoutQuery = (path: string): string => path.split("?", 1)[0] ?? "";

/** By segments: `/v2` holds `/v2` and `/v2/x`. */
function isUnder(path: string, prefix: string): boolean {
	const wanted = prefix.split("/").filter((part, index) => index === 0 || part !== "");
	const segments = path.split("/");
	return wanted.every((part, index) => segments[index] === part) && (wanted.length > 1 || segments.length > 1);
}

/** Whether servers may read it in different ways: path parameters, doubled slashes, dots, backslashes, and escapes of controls, of `;` and of `\\`. */
function isStrange(path: string): boolean {
	if (!path.startsWith("/") || path.includes(";") || path.includes("\\") || /\/\/|#/.test(path)) return true;
	if (path.split("/").some((segment) => segment === "." || segment === "..")) return true;
	return /%(?:[01][0-9a-f]|2f|3b|5c|7f)/i.test(path);
}

/**
 * Whether servers may read the path in different ways: path parameters, doubled slashes, dot segments, backslashes,
 * and escapes of NUL, of slashes, of unreserved characters and of what a prefix may hold (RFC 3986 2.3, 3.3).
 */
function isAmbiguous(path: string): boolean {
	if (!path.startsWith("/") || path.includes(";") || path.includes("\\") || /\/\/|#/.test(path)) return true;
	if (path.split("/").some((segment) => segment === "." || segment === "..")) return true;
	const escapes = path.match(/%[0-9a-f]{2}/gi) ?? [];
	return escapes.some((code) =>
		/[\0/\\A-Za-z0-9\-._~!$&'()*+,:;=@]/.test(String.fromCharCode(Number(`0x${code.slice(1)}`))),
	);
}
