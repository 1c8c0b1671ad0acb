/** The decision for a request, independent of the protocol: unit, assignment, Variant, then authorization of the Variant. Pure. */
import { canonicalFault } from "../../compile/access/requests/canonical.js";
import { forwardedClient } from "../../compile/access/requests/forwardedClientCert.js";
import { judgeInOrder } from "../../compile/access/rules/judgmentOrder.js";
import type { AccessRequest } from "../../compile/access/rules/policy.js";
import type { SignDecision } from "../../compile/access/signedDecision.js";
import type { TokenAnswer, VerifyToken } from "../../compile/access/users/token.js";
import { parseUnit } from "../../compile/assignment/unit.js";
import { FORWARDED_CERT_HEADER } from "../../compile/plan/headers.js";
import { isWorkloadId } from "../../declare/resources/spiffe.js";
import { CALLOUT_STALENESS_MS } from "../../limits/index.js";
import type { CompiledService, CompiledTable, Place } from "./compiledTable.js";
import { cookieValue, setCookie } from "./cookie.js";
import type { Answer, Forwarded, Question, Reason, Ruling } from "./question.js";
import { whileDryRunWaits } from "./shadowWait.js";
import type { Freshness } from "./tables.js";
import { TokenAsked } from "./tokenAsked.js";
import { BY_ENVOY, GONE, INVALID_PROOF, NOT_CANONICAL, OPEN, VERIFICATION_LIMITED, type Verdict } from "./verdict.js";

export interface Knowledge {
	/** Tables by version; null = the newest. Returns null if there is none. */
	readonly tables: { get(version: string | null): CompiledTable | null };
	readonly freshness: Freshness;
	/** Makes a unit for a request without a cookie. */
	readonly mint: () => string;
	/** Epoch milliseconds. */
	readonly nowMs: () => number;
	/** null = unavailable: then every token is invalid. */
	readonly verifyToken: VerifyToken | null;
	/** null = unavailable: then a request that needs a signed decision gets no answer. */
	readonly sign: SignDecision | null;
}

/**
 * Decides a request by the plan that its route names, if it is held, else by the newest.
 * @param token the result of VerifyToken, if the Service's rules use users
 */
export function answer(knowledge: Knowledge, question: Question, token: TokenAnswer = null): Answer {
	return decide(knowledge, question, () => token) as Answer;
}

/** The same with token verification. @returns a promise if that is asynchronous; then call answer() with its result */
export function answerOrWait(knowledge: Knowledge, question: Question): Answer | Promise<TokenAnswer> {
	return decide(knowledge, question, knowledge.verifyToken ?? unverifiable);
}

const unverifiable: VerifyToken = () => ({ refused: "invalid-token", why: "token verification is unavailable" });

function decide(knowledge: Knowledge, question: Question, verify: VerifyToken): Answer | Promise<TokenAnswer> {
	const { tables, freshness, mint } = knowledge;
	const table = (question.plan === null ? null : tables.get(question.plan)) ?? tables.get(null);
	if (table === null) return NO_TABLE;
	const service = question.service === null ? table.byHost(question.host) : table.service(question.service);
	if (service === null) return unknownService(table);
	const { callout } = service;
	const judge = judgeOf(tables, table, service);
	const ours = !(judge === service && envoyJudges(question, table, service));
	const judges = ours && !isOpen(judge);
	// A closed Service denies at any age: without an answer Envoy might forward to the default Variant.
	const closed = judge?.closed === true;
	if (!closed && freshness.ageMs() > (callout === null ? CALLOUT_STALENESS_MS : callout.maxStalenessMs)) {
		if (judges || callout === null || callout.verdict || callout.onStale === "deny") return staleTable(table, service);
	}
	const forwarded = forwardedBy(tables.get(null), question);
	const principal = forwarded === null ? question.principal : forwarded.principal;
	const tried = ours ? (judge?.shadow ?? null) : null;
	const early = judges || tried !== null ? refusal(judge, question, forwarded) : null;
	let verdict = judges ? early : null;
	let token: TokenAnswer = null;
	let refused: Verdict | null = null;
	if (ours && early === null && judge?.readsUsers === true) {
		const authorization = question.headerValues("authorization");
		const neverAllowed = (): boolean => !judge.couldAllow(principal);
		const verified =
			authorization.length === 0 ? null : verify(new TokenAsked(question, authorization, forwarded, neverAllowed));
		if (verified instanceof Promise) return judge.judgesUsers ? verified : whileDryRunWaits(verified);
		token = verified;
		if (token !== null && "refused" in token) {
			refused =
				token.refused === "verification-limited"
					? VERIFICATION_LIMITED
					: token.proof
						? INVALID_PROOF
						: (tables.get(null) ?? table).invalidToken(question.gateway)[token.keyless ? "keyless" : "verdict"];
		}
	}
	let unit: string | null = null;
	let cookie: string | null = null;
	let place: Place;
	if (question.assigned === null) {
		const found = service.unit === null ? null : unitOf(service.unit, question, mint);
		unit = found === null ? null : found.unit;
		cookie = found === null ? null : found.setCookie;
		place = service.place(unit);
	} else {
		place = service.placed(question.assigned);
	}
	let shadow: Verdict | null = null;
	if (verdict !== null || judge === null) {
		// A caller that is denied for every Variant is not eligible.
		if (judges && place.eligible !== null) place = service.outside;
	} else if (judges || tried !== null) {
		let request = accessRequest(knowledge, question, principal, token, place.variant);
		// If only shadow policies use users, an invalid token counts as none: they must not change the answer.
		const inForce = judge.judgesUsers ? refused : null;
		const peer = question.principal;
		const eligible = (variant: string): boolean =>
			judgeInOrder(judge.authorise, { ...request, variant }, peer, inForce).allowed;
		if (judges && place.eligible !== null && (inForce !== null || !place.eligible.every(eligible))) {
			place = service.outside;
			request = { ...request, variant: place.variant };
		}
		verdict = judges ? judgeInOrder(judge.authorise, request, peer, inForce) : OPEN;
		if (tried !== null) shadow = early ?? judgeInOrder(tried, request, peer, refused);
	}
	verdict ??= service.open ? OPEN : BY_ENVOY;
	let decision: string | null = null;
	if (ours && verdict.allowed && (callout?.sign === true || judge?.callout?.sign === true)) {
		decision = knowledge.sign?.(decisionFacts(question, principal, service, place)) ?? null;
		if (decision === null) return noSigner(table, service);
	}
	// Only routes of this plan have its default Variant.
	const names = question.plan !== table.version;
	return {
		ruling: place.ruling(verdict, question.exposeArm, names, shadow),
		unit,
		setCookie: cookie,
		decision,
		forwarded,
	};
}

/**
 * The client that a trusted proxy of the Gateway names; null if the peer is no such proxy. Its principal is null unless
 * the proxy names exactly one, well-formed.
 */
function forwardedBy(newest: CompiledTable | null, question: Question): Forwarded | null {
	const { principal: via, gateway } = question;
	const proxies = newest?.trustedProxies(gateway);
	if (via === null || !proxies?.has(via)) return null;
	const client = forwardedClient(question.headerValues(FORWARDED_CERT_HEADER), via, proxies);
	if (client === null || !isWorkloadId(client.spiffeId)) return { principal: null, certificateThumbprint: null, via };
	return { principal: client.spiffeId, certificateThumbprint: client.certificateThumbprint, via };
}

/** The refusal before any rule or token is read (access/requests/canonical.ts); null = none. */
function refusal(judge: CompiledService | null, question: Question, forwarded: Forwarded | null): Verdict | null {
	if (judge === null) return GONE;
	// Clients do not get the rights of their proxy.
	if (forwarded !== null && forwarded.principal === null) return NOT_CANONICAL;
	return canonicalFault(question) === null ? null : NOT_CANONICAL;
}

function accessRequest(
	{ tables, nowMs }: Knowledge,
	{ method, path, gateway }: Question,
	principal: string | null,
	token: TokenAnswer,
	variant: string,
): AccessRequest {
	return {
		principal,
		method,
		path: withoutQuery(path),
		variant,
		token: token !== null && "token" in token ? token.token : null,
		region: tables.get(null)?.region(gateway) ?? null,
		nowMs: nowMs(),
	};
}

const decisionFacts = (
	{ method, path, host }: Question,
	principal: string | null,
	{ name }: CompiledService,
	{ variant }: Place,
) => ({
	method,
	path,
	host,
	service: name,
	variant,
	principal,
});

/**
 * The Service whose rules decide: always of the newest plan, so that revocations apply at once, even to routes of an older
 * plan. A Service that is missing in the newest plan is closed.
 */
function judgeOf(tables: Knowledge["tables"], table: CompiledTable, service: CompiledService): CompiledService | null {
	const newest = tables.get(null);
	return newest === null || newest === table ? service : newest.service(service.name);
}

const isOpen = (judge: CompiledService | null): boolean => judge?.open === true;

/** Whether Envoy has already enforced the rules of this plan. Known only for routes of the same plan. */
function envoyJudges({ plan }: Question, table: CompiledTable, { callout }: CompiledService): boolean {
	return plan === table.version && callout !== null && !callout.verdict;
}

/** The path as in Envoy's url_path matcher: up to the query or the fragment. */
function withoutQuery(path: string): string {
	for (let index = 0; index < path.length; index++) {
		const code = path.charCodeAt(index);
		if (code === 0x3f || code === 0x23) return path.slice(0, index);
	}
	return path;
}

/** The unit of a request; null = none, and none is minted. */
function unitOf(
	source: NonNullable<CompiledService["unit"]>,
	question: Question,
	mint: () => string,
): { readonly unit: string | null; readonly setCookie: string | null } | null {
	if (source.from === "cookie") {
		const sent = cookieValue(question.headerValues("cookie"), source.cookie);
		if (sent !== null && typeof sent !== "string") return null;
		const own = sent === null ? null : parseUnit(sent);
		if (own !== null) return { unit: own, setCookie: null };
		const unit = mint();
		return { unit, setCookie: setCookie(source.cookie, unit, source.maxAgeMs, question.secure) };
	}
	const value = question.header(source.header);
	if (value === null) return null;
	// Not trimmed: Envoy trims HTTP/1.1 headers only, and its native guard refuses blanks.
	return { unit: parseUnit(value), setCookie: null };
}

const NOTHING = {
	policy: null,
	challenge: null,
	fault: null,
	shadow: null,
	shadowReason: null,
	shadowPolicy: null,
	experiment: null,
	arm: null,
	variant: null,
	variantHeader: null,
	armHeader: null,
	exposedArms: null,
	parameters: {},
} as const;

const bare = (verdict: Ruling["verdict"], reason: Reason, plan: string | null, service: string | null): Answer => ({
	ruling: { ...NOTHING, verdict, reason, plan, service },
	unit: null,
	setCookie: null,
	decision: null,
	forwarded: null,
});

const NO_TABLE = bare("none", "no-table", null, null);

// Cached, so that equal rulings are one object.
const unknown = new WeakMap<CompiledTable, Answer>();
const stale = new WeakMap<CompiledService, Answer>();
const unsigned = new WeakMap<CompiledService, Answer>();

function unknownService(table: CompiledTable): Answer {
	let found = unknown.get(table);
	if (found === undefined) {
		found = bare("deny", "unknown-service", table.version, null);
		unknown.set(table, found);
	}
	return found;
}

function staleTable(table: CompiledTable, service: CompiledService): Answer {
	let found = stale.get(service);
	if (found === undefined) {
		found = bare("none", "stale-table", table.version, service.name);
		stale.set(service, found);
	}
	return found;
}

function noSigner(table: CompiledTable, service: CompiledService): Answer {
	let found = unsigned.get(service);
	if (found === undefined) {
		found = bare("none", "no-signer", table.version, service.name);
		unsigned.set(service, found);
	}
	return found;
}
