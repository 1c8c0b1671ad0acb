/**
 * The API for people, CI and the console: paths under /v1 and the two health checks. Rights are checked here and in
 * Operations. A resource that the caller may not read is answered as missing.
 */
import { shownPath } from "../../compile/access/requests/shownPath.js";
import { experimentState } from "../../decide/rollout/experimentState.js";
import type { EvidenceSource } from "../../decide/rollout/ports.js";
import { resourcesOf } from "../../declare/resources/kinds.js";
import { WeirError } from "../../error.js";
import { DECISIONS_PAGE_MAX, OPERATOR_AUDIT_PAGE_MAX } from "../../limits/index.js";
import type { Approvals } from "../approvals/approvals.js";
import { isPersonVerb, PERSON_VERBS, parsePersonRequest, personText } from "../approvals/personRequest.js";
import { AUDIT_CHAINS } from "../audit/auditLog.js";
import type { PromotionGates } from "../operations/promotionGates.js";
import { difference } from "../state/difference.js";
import { ALL_NAMESPACES } from "../state/rights/permissions.js";
import { visibleShadowGaps } from "../state/shadowGaps.js";
import {
	apply,
	type DeclarationServices,
	onlyChangeQuery,
	pending,
	remove,
	removeAll,
	withShadowGaps,
} from "./declarationRoutes.js";
import { type Answer, auditedCall, type Call, flag, isGone, ok, onlyQuery, readObject, wholeNumber } from "./http.js";
import { type ReadinessSources, readiness } from "./readiness.js";
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

/** Body of an operation on an Experiment, an approval or the access rules: names, and a reason of PERSON_TEXT_CHARS_MAX. */
export const API_OPERATION_BODY_BYTES_MAX = 64 * 1024;

export interface ApiServices extends DeclarationServices, StatusSources, ReadinessSources {
	readonly approvals: Approvals;
	readonly gates: PromotionGates;
	/** null = no evidence source. */
	readonly evidence: EvidenceSource | null;
}

/** @throws WeirError `not-found` for an unknown path or method. */
export async function answerPublic(api: ApiServices, call: Call): Promise<Answer> {
	const { store } = api;
	const { method, path, query } = call;
	const [version, noun, ...rest] = path;
	if (method === "GET" && path.length === 1) {
		if (version === "healthz") return { status: 200, text: "ok\n", contentType: "text/plain; charset=utf-8" };
		if (version === "readyz") return readiness(api);
	}
	if (version === "v1" && rest.length === 0) {
		switch (`${method} ${noun}`) {
			case "POST resources":
				return apply(api, call);
			case "GET resources":
				return resources(api, call);
			case "POST deletions":
				return removeAll(api, call);
			case "GET status":
				onlyQuery(query, []);
				demandSomeRead(api, call);
				return ok(await statusAnswer(api, call));
			case "GET diff":
				onlyQuery(query, []);
				demandSomeRead(api, call);
				return ok({
					...api.operations.rights.partly(call.caller),
					...difference(visibleState(store.current, api.operations.rights.mayRead(call.caller))),
				} satisfies DiffAnswer);
			case "GET proxies":
				onlyQuery(query, []);
				demandAll(api, call, "read");
				return ok(store.proxies);
			case "GET audit": {
				onlyQuery(query, ["after", "limit", "chain"]);
				demandAll(api, call, "admin");
				const chain = AUDIT_CHAINS.find((one) => one === (query.get("chain") ?? "operations"));
				if (chain === undefined) throw new WeirError("invalid-argument", `chain is none of ${AUDIT_CHAINS.join(", ")}`);
				const after = wholeNumber(query, "after", 0, 0, Number.MAX_SAFE_INTEGER);
				return ok(store.audit.page(after, wholeNumber(query, "limit", 100, 1, OPERATOR_AUDIT_PAGE_MAX), chain));
			}
			case "GET history":
				return history(api, call);
			case "POST rollback":
				return rollback(api, call);
			case "GET approvals":
				onlyQuery(query, []);
				return ok({
					...api.operations.rights.partly(call.caller),
					requests: api.approvals.list(auditedCall(call, api.now()), [pathOf(call)]).map(requestAnswer),
				} satisfies RequestsAnswer);
		}
	}
	if (version === "v1" && noun === "policies" && rest.length === 1) return policies(api, call, String(rest[0]));
	if (version === "v1" && noun === "resources" && method === "DELETE") return remove(api, call, rest);
	if (version === "v1" && noun === "approvals" && rest.length <= 2) return approval(api, call, rest);
	if (version === "v1" && noun === "experiments" && rest.length === 2) return experiment(api, call, rest);
	throw new WeirError("not-found", `no ${method} /${path.join("/").slice(0, 200)} here`);
}

/** Requires the verb in all namespaces: for data that belongs to none of them. */
function demandAll({ operations, now }: ApiServices, call: Call, verb: "read" | "admin"): void {
	operations.rights.demand(auditedCall(call, now()), [{ verb, namespace: ALL_NAMESPACES }], "read", [pathOf(call)]);
}

/** Requires the right to read some namespace: for answers that are filtered by namespace. */
function demandSomeRead({ operations, now }: ApiServices, call: Call): void {
	operations.rights.demandSomeRead(auditedCall(call, now()), [pathOf(call)]);
}

const pathOf = ({ path }: Call): string => shownPath(`/${path.join("/")}`).slice(0, 200);

/** Gaps in the results of shadow policies. */
function policies(api: ApiServices, call: Call, noun: string): Answer {
	if (call.method !== "GET" || noun !== "shadow-gaps")
		throw new WeirError("not-found", "no such path under policies", "GET shadow-gaps");
	onlyQuery(call.query, []);
	demandSomeRead(api, call);
	const mayRead = api.operations.rights.mayRead(call.caller);
	return ok({ gaps: visibleShadowGaps(api.store.current, mayRead, null) } satisfies ShadowGapsAnswer);
}

function history(api: ApiServices, call: Call): Answer {
	const { store, operations } = api;
	onlyQuery(call.query, ["namespace"]);
	demandSomeRead(api, call);
	return ok({
		...operations.rights.partly(call.caller),
		keptFrom: store.history.keptFrom,
		changes: operations.history(call.caller, call.query.get("namespace")),
	} satisfies HistoryAnswer);
}

async function rollback(api: ApiServices, call: Call): Promise<Answer> {
	const { operations, now } = api;
	onlyChangeQuery(call.query);
	operations.rights.demandSome(auditedCall(call, now()), "rollback", "unread");
	const { to, namespace = null, ...unknown } = await readObject(call, API_OPERATION_BODY_BYTES_MAX);
	const isKnown = Object.keys(unknown).length === 0 && (namespace === null || typeof namespace === "string");
	if (!isKnown || !Number.isSafeInteger(to) || Number(to) < 0)
		throw new WeirError("invalid-argument", 'the body must be {"to": REVISION, "namespace": NAME or absent}');
	const dryRun = flag(call.query, "dryRun");
	return withShadowGaps(
		api,
		call,
		operations.rollback(auditedCall(call, now()), Number(to), namespace as string | null, dryRun),
		dryRun,
	);
}

function resources(api: ApiServices, call: Call): Answer {
	const { store, operations } = api;
	const { caller, query } = call;
	onlyQuery(query, ["format"]);
	demandSomeRead(api, call);
	const mayRead = operations.rights.mayRead(caller);
	const format = query.get("format") ?? "json";
	if (format === "yaml") {
		const seen = store.sources.filter(({ resource }) => mayRead(resource.metadata.namespace));
		const text = seen.map(({ source }) => source).join("---\n");
		return { status: 200, text, contentType: "application/yaml" };
	}
	if (format !== "json") throw new WeirError("invalid-argument", "unknown format", "json or yaml");
	const { revision, resources: seen } = visibleState(store.current, mayRead);
	const { revision: declaredRevision, startRevision } = store.declarations;
	return ok({
		...operations.rights.partly(caller),
		...{ revision, declaredRevision, startRevision },
		resources: resourcesOf(seen),
	} satisfies ResourcesAnswer);
}

async function approval({ approvals, gates, now }: ApiServices, call: Call, rest: readonly string[]): Promise<Answer> {
	const [id = "", act] = rest;
	onlyQuery(call.query, []);
	if (call.method === "GET" && act === undefined) return ok(requestAnswer(approvals.get(auditedCall(call, now()), id)));
	if (call.method !== "POST" || (act !== "approve" && act !== "reject")) {
		throw new WeirError("not-found", "no such thing of a request", "GET it; POST approve or reject");
	}
	// Checked before the body is read, and again after it.
	if (act === "approve") approvals.demandAnother(auditedCall(call, now()), id);
	else approvals.demandEnding(auditedCall(call, now()), id);
	const { reason = "", ...unknown } = await readObject(call, API_OPERATION_BODY_BYTES_MAX);
	const [field] = Object.keys(unknown);
	if (field !== undefined || (act === "approve" && reason !== "")) {
		throw new WeirError("invalid-argument", `unknown field '${field ?? "reason"}'`, "only reject takes a reason");
	}
	if (act === "reject")
		return ok(requestAnswer(approvals.reject(auditedCall(call, now()), id, personText("reason", reason))));
	const as = auditedCall(call, now());
	const request = approvals.demandAnother(as, id);
	const asking = approvals.completes(as.caller, request)
		? gates.beforeApproval({ call: as, isGone: () => isGone(call) }, request, (find) =>
				approvals.whilePossible(as, request, find),
			)
		: null;
	if (asking !== null) await asking;
	// Gates take minutes: the request may have expired by now.
	return ok(requestAnswer(approvals.approve(auditedCall(call, now()), id)));
}

async function experiment(api: ApiServices, call: Call, rest: readonly string[]): Promise<Answer> {
	const { store, operations, now } = api;
	const [given = "", act = ""] = rest;
	const name = given.startsWith("default/") ? given.slice("default/".length) : given;
	if (call.method === "GET") {
		demandSomeRead(api, call);
		operations.demandSeen(auditedCall(call, now()), name, "read");
	}
	if (call.method === "GET" && act === "decisions") {
		onlyQuery(call.query, ["after", "limit"]);
		const after = wholeNumber(call.query, "after", 0, 0, Number.MAX_SAFE_INTEGER);
		const limit = wholeNumber(call.query, "limit", 100, 1, DECISIONS_PAGE_MAX);
		return ok(store.decisions(name, after, limit));
	}
	if (call.method === "GET" && act === "standing") {
		onlyQuery(call.query, []);
		return ok(await experimentState(store.live, name, api.evidence, now));
	}
	if (call.method === "GET" && act === "moves") {
		onlyQuery(call.query, ["before"]);
		const before = wholeNumber(call.query, "before", now(), 0, Number.MAX_SAFE_INTEGER);
		return ok({ decisions: store.moves(name, before) });
	}
	if (call.method !== "POST" || !isPersonVerb(act)) {
		throw new WeirError(
			"not-found",
			"no such thing of an Experiment",
			`GET decisions, moves, standing; POST ${PERSON_VERBS.join(", ")}`,
		);
	}
	onlyQuery(call.query, []);
	operations.demandVerb(auditedCall(call, now()), name, act);
	const body = await readObject(call, API_OPERATION_BODY_BYTES_MAX);
	const as = auditedCall(call, now());
	const said = parsePersonRequest(act, body, call.caller.subject, as.nowMs);
	const asking = api.gates.beforeAct({ call: as, isGone: () => isGone(call) }, name, said);
	if (asking !== null) await asking;
	// Gates take minutes, so the time is read again.
	const nowMs = now();
	const made = operations.act(auditedCall(call, nowMs), name, { ...said, nowMs });
	return "outcome" in made ? pending(made) : ok(made);
}
