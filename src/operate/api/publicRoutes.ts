/**
 * The API for people, CI and the console: paths under /v1 and the two health checks. Who calls is in the Call; what
 * they may see and do is judged here and in Acts, and what they may not see is not there.
 */
import { shownPath } from "../../compile/access/requests/shownPath.js";
import type { EvidenceSource } from "../../decide/rollout/ports.js";
import { standingOf } from "../../decide/rollout/standing.js";
import { resourcesOf } from "../../declare/resources/kinds.js";
import { WeirError } from "../../error.js";
import { API_OPERATION_BODY_BYTES_MAX, DECISIONS_PAGE_MAX, OPERATOR_AUDIT_PAGE_MAX } from "../../limits/index.js";
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
	warned,
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

export interface ApiServices extends DeclarationServices, StatusSources, ReadinessSources {
	readonly approvals: Approvals;
	readonly gates: PromotionGates;
	/** null = there is no evidence here. */
	readonly evidence: EvidenceSource | null;
}

/** @throws WeirError `not-found` for a path or method that is not there. */
export async function answerPublic(door: ApiServices, call: Call): Promise<Answer> {
	const { store } = door;
	const { method, path, query } = call;
	const [version, noun, ...rest] = path;
	if (method === "GET" && path.length === 1) {
		if (version === "healthz") return { status: 200, text: "ok\n", contentType: "text/plain; charset=utf-8" };
		if (version === "readyz") return readiness(door);
	}
	if (version === "v1" && rest.length === 0) {
		switch (`${method} ${noun}`) {
			case "POST resources":
				return apply(door, call);
			case "GET resources":
				return resources(door, call);
			case "POST deletions":
				return removeAll(door, call);
			case "GET status":
				onlyQuery(query, []);
				demandSomeRead(door, call);
				return ok(await statusAnswer(door, call));
			case "GET diff":
				onlyQuery(query, []);
				demandSomeRead(door, call);
				return ok({
					...door.operations.rights.partly(call.caller),
					...difference(visibleState(store.current, door.operations.rights.mayRead(call.caller))),
				} satisfies DiffAnswer);
			case "GET proxies":
				onlyQuery(query, []);
				demandAll(door, call, "read");
				return ok(store.proxies);
			case "GET audit": {
				onlyQuery(query, ["after", "limit", "chain"]);
				demandAll(door, call, "admin");
				const chain = AUDIT_CHAINS.find((one) => one === (query.get("chain") ?? "operations"));
				if (chain === undefined) throw new WeirError("invalid-argument", `chain is none of ${AUDIT_CHAINS.join(", ")}`);
				const after = wholeNumber(query, "after", 0, 0, Number.MAX_SAFE_INTEGER);
				return ok(store.audit.page(after, wholeNumber(query, "limit", 100, 1, OPERATOR_AUDIT_PAGE_MAX), chain));
			}
			case "GET history":
				return history(door, call);
			case "POST rollback":
				return rollback(door, call);
			case "GET approvals":
				onlyQuery(query, []);
				return ok({
					...door.operations.rights.partly(call.caller),
					requests: door.approvals.list(auditedCall(call, door.now()), [pathOf(call)]).map(requestAnswer),
				} satisfies RequestsAnswer);
		}
	}
	if (version === "v1" && noun === "policies" && rest.length === 1) return policies(door, call, String(rest[0]));
	if (version === "v1" && noun === "resources" && method === "DELETE") return remove(door, call, rest);
	if (version === "v1" && noun === "approvals" && rest.length <= 2) return approval(door, call, rest);
	if (version === "v1" && noun === "experiments" && rest.length === 2) return experiment(door, call, rest);
	throw new WeirError("not-found", `no ${method} /${path.join("/").slice(0, 200)} here`);
}

/** Demands a verb in all namespaces: for what belongs to none of them. */
function demandAll({ operations, now }: ApiServices, call: Call, verb: "read" | "admin"): void {
	operations.rights.demand(auditedCall(call, now()), [{ verb, namespace: ALL_NAMESPACES }], "read", [pathOf(call)]);
}

/** Demands the right to read anything: for what leaves out what the caller may not read. */
function demandSomeRead({ operations, now }: ApiServices, call: Call): void {
	operations.rights.demandSomeRead(auditedCall(call, now()), [pathOf(call)]);
}

const pathOf = ({ path }: Call): string => shownPath(`/${path.join("/")}`).slice(0, 200);

/** What Envoy cannot try of shadow policies. */
function policies(door: ApiServices, call: Call, noun: string): Answer {
	if (call.method !== "GET" || noun !== "shadow-gaps")
		throw new WeirError("not-found", "no such path under policies", "GET shadow-gaps");
	onlyQuery(call.query, []);
	demandSomeRead(door, call);
	const mayRead = door.operations.rights.mayRead(call.caller);
	return ok({ gaps: visibleShadowGaps(door.store.current, mayRead, null) } satisfies ShadowGapsAnswer);
}

function history(door: ApiServices, call: Call): Answer {
	const { store, operations } = door;
	onlyQuery(call.query, ["namespace"]);
	demandSomeRead(door, call);
	return ok({
		...operations.rights.partly(call.caller),
		keptFrom: store.history.keptFrom,
		changes: operations.history(call.caller, call.query.get("namespace")),
	} satisfies HistoryAnswer);
}

async function rollback(door: ApiServices, call: Call): Promise<Answer> {
	const { operations, now } = door;
	onlyChangeQuery(call.query);
	operations.rights.demandSome(auditedCall(call, now()), "rollback", "unread");
	const { to, namespace = null, ...unknown } = await readObject(call, API_OPERATION_BODY_BYTES_MAX);
	const isKnown = Object.keys(unknown).length === 0 && (namespace === null || typeof namespace === "string");
	if (!isKnown || !Number.isSafeInteger(to) || Number(to) < 0)
		throw new WeirError("invalid-argument", 'the body must be {"to": REVISION, "namespace": NAME or absent}');
	const dryRun = flag(call.query, "dryRun");
	return warned(
		door,
		call,
		operations.rollback(auditedCall(call, now()), Number(to), namespace as string | null, dryRun),
		dryRun,
	);
}

function resources(door: ApiServices, call: Call): Answer {
	const { store, operations } = door;
	const { caller, query } = call;
	onlyQuery(query, ["format"]);
	demandSomeRead(door, call);
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
	// Before its body is read, by who may not; the same again when it has come.
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
	// Gates take minutes: by now its time may be over.
	return ok(requestAnswer(approvals.approve(auditedCall(call, now()), id)));
}

async function experiment(door: ApiServices, call: Call, rest: readonly string[]): Promise<Answer> {
	const { store, operations, now } = door;
	const [given = "", act = ""] = rest;
	const name = given.startsWith("default/") ? given.slice("default/".length) : given;
	if (call.method === "GET") {
		demandSomeRead(door, call);
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
		return ok(await standingOf(store.live, name, door.evidence, now));
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
	const asking = door.gates.beforeAct({ call: as, isGone: () => isGone(call) }, name, said);
	if (asking !== null) await asking;
	// Gates take minutes, and it happens now.
	const nowMs = now();
	const made = operations.act(auditedCall(call, nowMs), name, { ...said, nowMs });
	return "outcome" in made ? pending(made) : ok(made);
}
