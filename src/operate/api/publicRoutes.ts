/**
 * The API for people, CI and the console: paths under /v1 and the two health checks. Rights are checked here and in
 * Operations. A resource that the caller may not read is answered as missing.
 */
import { z } from "zod";
import { experimentState } from "../../decide/rollout/experimentState.js";
import type { EvidenceSource } from "../../decide/rollout/ports.js";
import { fields, flag, oneOf, withHint } from "../../declare/resources/fields/strict.js";
import { resourcesOf } from "../../declare/resources/kinds.js";
import { qualifiedText } from "../../declare/resources/resource.js";
import { DECISIONS_PAGE_MAX, OPERATOR_AUDIT_PAGE_MAX } from "../../limits/index.js";
import type { Approvals } from "../approvals/approvals.js";
import { PERSON_VERBS } from "../approvals/personRequest.js";
import type { AuditedCall } from "../audit/actRecord.js";
import { AUDIT_CHAINS } from "../audit/auditLog.js";
import type { PromotionGates } from "../operations/promotionGates.js";
import { difference } from "../state/difference.js";
import { ALL_NAMESPACES } from "../state/rights/permissions.js";
import { visibleShadowGaps } from "../state/shadowGaps.js";
import { type DeclarationServices, declarationRoutes, pending } from "./declarationRoutes.js";
import { type Answer, auditedCall, auditedPath, type Call, isGone, ok } from "./http.js";
import { type ReadinessSources, readiness } from "./readiness.js";
import { type Route, route, wholeText } from "./route.js";
import { type StatusSources, statusAnswer } from "./statusAnswer.js";
import { visibleState } from "./visible.js";
import {
	type DiffAnswer,
	type HistoryAnswer,
	type RequestsAnswer,
	type ResourcesAnswer,
	requestAnswer,
	type ShadowGapsAnswer,
} from "./wire.js";

/** Longest name of a person and reason of an operation: they are stored with every decision. */
const PERSON_TEXT_CHARS_MAX = 1_000;

export interface ApiServices extends DeclarationServices, StatusSources, ReadinessSources {
	readonly approvals: Approvals;
	readonly gates: PromotionGates;
	/** null = no evidence source. */
	readonly evidence: EvidenceSource | null;
}

export function publicRoutes(api: ApiServices): readonly Route[] {
	const { store, operations, approvals, gates, evidence, now } = api;
	const { rights } = operations;
	const audited = (call: Call): AuditedCall => auditedCall(call, now());
	/** Requires the verb in all namespaces: for data that belongs to none of them. */
	const demandAll = (verb: "read" | "admin") => (call: Call) =>
		rights.demand(audited(call), [{ verb, namespace: ALL_NAMESPACES }], "read", [auditedPath(call.request)]);
	/** Requires the right to read some namespace: for answers that are filtered by namespace. */
	const demandSomeRead = (call: Call) => rights.demandSomeRead(audited(call), [auditedPath(call.request)]);
	const demandSeen = (call: Call): void => {
		demandSomeRead(call);
		operations.demandSeen(audited(call), experimentOf(call), "read");
	};
	return [
		route("GET", "/healthz", { query: ANY_QUERY, answer: () => ({ status: 200, text: "ok\n", contentType: TEXT }) }),
		route("GET", "/readyz", { query: ANY_QUERY, answer: () => readiness(api) }),
		route("GET", "/v1/resources", {
			query: fields({ format: oneOf("json", "yaml").default("json") }),
			rights: demandSomeRead,
			answer: (call, { format }) => resources(api, call, format),
		}),
		route("GET", "/v1/status", { rights: demandSomeRead, answer: async (call) => ok(await statusAnswer(api, call)) }),
		route("GET", "/v1/diff", {
			rights: demandSomeRead,
			answer: ({ caller }) =>
				ok({
					...rights.partly(caller),
					...difference(visibleState(store.current, rights.mayRead(caller))),
				} satisfies DiffAnswer),
		}),
		route("GET", "/v1/proxies", { rights: demandAll("read"), answer: () => ok(store.proxies) }),
		route("GET", "/v1/audit", {
			query: fields({ ...pageQuery(OPERATOR_AUDIT_PAGE_MAX), chain: oneOf(...AUDIT_CHAINS).default("operations") }),
			rights: demandAll("admin"),
			answer: (_, { after, limit, chain }) => ok(store.audit.page(after, limit, chain)),
		}),
		route("GET", "/v1/history", {
			query: fields({ namespace: z.string("write one name").optional() }),
			rights: demandSomeRead,
			answer: ({ caller }, { namespace = null }) =>
				ok({
					...rights.partly(caller),
					keptFrom: store.history.keptFrom,
					changes: operations.history(caller, namespace),
				} satisfies HistoryAnswer),
		}),
		// Gaps in the results of shadow policies.
		route("GET", "/v1/policies/shadow-gaps", {
			rights: demandSomeRead,
			answer: ({ caller }) =>
				ok({
					gaps: visibleShadowGaps(store.current, rights.mayRead(caller), null),
				} satisfies ShadowGapsAnswer),
		}),
		...declarationRoutes(api),
		route("GET", "/v1/approvals", {
			answer: (call) =>
				ok({
					...rights.partly(call.caller),
					requests: approvals.list(audited(call), [auditedPath(call.request)]).map(requestAnswer),
				} satisfies RequestsAnswer),
		}),
		route("GET", "/v1/approvals/:id", {
			answer: (call) => ok(requestAnswer(approvals.get(audited(call), idOf(call)))),
		}),
		route("POST", "/v1/approvals/:id/approve", {
			rights: (call) => void approvals.demandAnother(audited(call), idOf(call)),
			body: fields({}),
			answer: (call) => approve(api, call),
		}),
		route("POST", "/v1/approvals/:id/reject", {
			rights: (call) => void approvals.demandEnding(audited(call), idOf(call)),
			body: fields({ reason: PERSON_TEXT.default("") }),
			answer: (call, _, { reason }) => ok(requestAnswer(approvals.reject(audited(call), idOf(call), reason))),
		}),
		route("GET", "/v1/experiments/:name/decisions", {
			query: fields(pageQuery(DECISIONS_PAGE_MAX)),
			rights: demandSeen,
			answer: (call, { after, limit }) => ok(store.decisions(experimentOf(call), after, limit)),
		}),
		route("GET", "/v1/experiments/:name/standing", {
			rights: demandSeen,
			answer: async (call) => ok(await experimentState(store.live, experimentOf(call), evidence, now)),
		}),
		route("GET", "/v1/experiments/:name/moves", {
			query: fields({ before: wholeText(0, Number.MAX_SAFE_INTEGER).optional() }),
			rights: demandSeen,
			answer: (call, { before = now() }) => ok({ decisions: store.moves(experimentOf(call), before) }),
		}),
		...PERSON_VERBS.map((verb) =>
			route("POST", `/v1/experiments/:name/${verb}`, {
				rights: (call) => operations.demandVerb(audited(call), experimentOf(call), verb),
				body: verb === "promote" ? PROMOTE_BODY : PERSON_BODY,
				answer: async (call, _, body) => {
					const name = experimentOf(call);
					const as = audited(call);
					const asked = { arm: null, ...body, verb, by: call.caller.subject, nowMs: as.nowMs };
					const asking = gates.beforeAct({ call: as, isGone: () => isGone(call) }, name, asked);
					if (asking !== null) await asking;
					// Gates take minutes, so the time is read again.
					const nowMs = now();
					const made = operations.act(auditedCall(call, nowMs), name, { ...asked, nowMs });
					return "outcome" in made ? pending(made) : ok(made);
				},
			}),
		),
	];
}

const TEXT = "text/plain; charset=utf-8";
/** Load balancers may add their own. */
const ANY_QUERY = z.looseObject({});

/** One line. Control characters could forge lines of a log or a terminal. */
const PERSON_TEXT = z
	.string(`write one line of at most ${PERSON_TEXT_CHARS_MAX} characters`)
	.max(PERSON_TEXT_CHARS_MAX)
	.regex(/^\P{Cc}*$/u)
	.trim();
const PERSON_BODY = fields({ reason: PERSON_TEXT.default("") });
const withReason = (field: "overrideGates" | "shutOut") =>
	[
		(body: { reason: string; overrideGates: boolean; shutOut: boolean }) => !body[field] || body.reason !== "",
		withHint(`${field} needs a reason`, "add --reason"),
	] as const;
const PROMOTE_BODY = fields({
	...PERSON_BODY.shape,
	arm: PERSON_TEXT.nullable().default(null),
	overrideGates: flag.default(false),
	shutOut: flag.default(false),
})
	.refine(...withReason("overrideGates"))
	.refine(...withReason("shutOut"));

const pageQuery = (limitMax: number) => ({
	after: wholeText(0, Number.MAX_SAFE_INTEGER).default(0),
	limit: wholeText(1, limitMax).default(100),
});

const idOf = ({ params: { id = "" } }: Call): string => id;
const experimentOf = ({ params: { name = "" } }: Call): string => qualifiedText(name);

function resources({ store, operations }: ApiServices, { caller }: Call, format: "json" | "yaml"): Answer {
	const mayRead = operations.rights.mayRead(caller);
	if (format === "yaml") {
		const seen = store.sources.filter(({ resource }) => mayRead(resource.metadata.namespace));
		const text = seen.map(({ source }) => source).join("---\n");
		return { status: 200, text, contentType: "application/yaml" };
	}
	const { revision, resources: seen } = visibleState(store.current, mayRead);
	const { revision: declaredRevision, startRevision } = store.declarations;
	return ok({
		...operations.rights.partly(caller),
		...{ revision, declaredRevision, startRevision },
		resources: resourcesOf(seen),
	} satisfies ResourcesAnswer);
}

async function approve({ approvals, gates, now }: ApiServices, call: Call): Promise<Answer> {
	const as = auditedCall(call, now());
	const request = approvals.demandAnother(as, idOf(call));
	const asking = approvals.completes(as.caller, request)
		? gates.beforeApproval({ call: as, isGone: () => isGone(call) }, request, (find) =>
				approvals.whilePossible(as, request, find),
			)
		: null;
	// No pause without gates: another approval could come between.
	if (asking !== null) await asking;
	// Gates take minutes: the request may have expired by now.
	return ok(requestAnswer(approvals.approve(auditedCall(call, now()), idOf(call))));
}
