/**
 * The API for people, CI and the console: paths under /v1 and the two health checks. Who calls is in the Call; what
 * they may see and do is judged here and in Acts, and what they may not see is not there.
 */
import { shownPath } from "../../compile/access/requests/shownPath.js";
import { experimentState } from "../../decide/rollout/experimentState.js";
import type { EvidenceSource } from "../../decide/rollout/ports.js";
import { resourcesOf } from "../../declare/resources/kinds.js";
import { WeirError } from "../../error.js";
import { API_ACT_BODY_BYTES_MAX, DECISIONS_PAGE_MAX, OPERATOR_AUDIT_PAGE_MAX } from "../../limits/index.js";
import type { Approvals } from "../approvals/approvals.js";
import { isPersonVerb, PERSON_VERBS, parsePersonRequest, personText } from "../approvals/personRequest.js";
import { AUDIT_CHAINS } from "../audit/auditLog.js";
import type { PromotionGates } from "../state/acts/promotionGates.js";
import { difference } from "../state/difference.js";
import { ALL_NAMESPACES } from "../state/rights/permissions.js";
import { visibleShadowGaps } from "../state/shadowGaps.js";
import { apply, type DeclarationDoor, onlyWishQuery, pending, remove, removeAll, warned } from "./declarationDoor.js";
import { type Answer, actCall, type Call, flag, isGone, ok, onlyQuery, readObject, wholeNumber } from "./http.js";
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

export interface PublicDoor extends DeclarationDoor, StatusSources, ReadinessSources {
	readonly approvals: Approvals;
	readonly gates: PromotionGates;
	/** null = there is no evidence here. */
	readonly evidence: EvidenceSource | null;
}

/** @throws WeirError `not-found` for a path or method that is not there. */
export async function answerPublic(door: PublicDoor, call: Call): Promise<Answer> {
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
					...door.acts.rights.partly(call.caller),
					...difference(visibleState(store.current, door.acts.rights.mayRead(call.caller))),
				} satisfies DiffAnswer);
			case "GET proxies":
				onlyQuery(query, []);
				demandAll(door, call, "read");
				return ok(store.proxies);
			case "GET audit": {
				onlyQuery(query, ["after", "limit", "chain"]);
				demandAll(door, call, "admin");
				const chain = AUDIT_CHAINS.find((one) => one === (query.get("chain") ?? "acts"));
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
					...door.acts.rights.partly(call.caller),
					requests: door.approvals.list(actCall(call, door.now()), [pathOf(call)]).map(requestAnswer),
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
function demandAll({ acts, now }: PublicDoor, call: Call, verb: "read" | "admin"): void {
	acts.rights.demand(actCall(call, now()), [{ verb, namespace: ALL_NAMESPACES }], "read", [pathOf(call)]);
}

/** Demands the right to read anything: for what leaves out what the caller may not read. */
function demandSomeRead({ acts, now }: PublicDoor, call: Call): void {
	acts.rights.demandSomeRead(actCall(call, now()), [pathOf(call)]);
}

const pathOf = ({ path }: Call): string => shownPath(`/${path.join("/")}`).slice(0, 200);

/** What Envoy cannot try of shadow policies. */
function policies(door: PublicDoor, call: Call, noun: string): Answer {
	if (call.method !== "GET" || noun !== "shadow-gaps")
		throw new WeirError("not-found", "no such path under policies", "GET shadow-gaps");
	onlyQuery(call.query, []);
	demandSomeRead(door, call);
	const mayRead = door.acts.rights.mayRead(call.caller);
	return ok({ gaps: visibleShadowGaps(door.store.current, mayRead, null) } satisfies ShadowGapsAnswer);
}

function history(door: PublicDoor, call: Call): Answer {
	const { store, acts } = door;
	onlyQuery(call.query, ["namespace"]);
	demandSomeRead(door, call);
	return ok({
		...acts.rights.partly(call.caller),
		keptFrom: store.history.keptFrom,
		changes: acts.history(call.caller, call.query.get("namespace")),
	} satisfies HistoryAnswer);
}

async function rollback(door: PublicDoor, call: Call): Promise<Answer> {
	const { acts, now } = door;
	onlyWishQuery(call.query);
	acts.rights.demandSome(actCall(call, now()), "rollback", "unread");
	const { to, namespace = null, ...unknown } = await readObject(call, API_ACT_BODY_BYTES_MAX);
	const isKnown = Object.keys(unknown).length === 0 && (namespace === null || typeof namespace === "string");
	if (!isKnown || !Number.isSafeInteger(to) || Number(to) < 0)
		throw new WeirError("invalid-argument", 'the body must be {"to": REVISION, "namespace": NAME or absent}');
	const dryRun = flag(call.query, "dryRun");
	return warned(
		door,
		call,
		acts.rollback(actCall(call, now()), Number(to), namespace as string | null, dryRun),
		dryRun,
	);
}

function resources(door: PublicDoor, call: Call): Answer {
	const { store, acts } = door;
	const { caller, query } = call;
	onlyQuery(query, ["format"]);
	demandSomeRead(door, call);
	const mayRead = acts.rights.mayRead(caller);
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
		...acts.rights.partly(caller),
		...{ revision, declaredRevision, startRevision },
		resources: resourcesOf(seen),
	} satisfies ResourcesAnswer);
}

async function approval({ approvals, gates, now }: PublicDoor, call: Call, rest: readonly string[]): Promise<Answer> {
	const [id = "", act] = rest;
	onlyQuery(call.query, []);
	if (call.method === "GET" && act === undefined) return ok(requestAnswer(approvals.get(actCall(call, now()), id)));
	if (call.method !== "POST" || (act !== "approve" && act !== "reject")) {
		throw new WeirError("not-found", "no such thing of a request", "GET it; POST approve or reject");
	}
	// Before its body is read, by who may not; the same again when it has come.
	if (act === "approve") approvals.demandAnother(actCall(call, now()), id);
	else approvals.demandEnding(actCall(call, now()), id);
	const { reason = "", ...unknown } = await readObject(call, API_ACT_BODY_BYTES_MAX);
	const [field] = Object.keys(unknown);
	if (field !== undefined || (act === "approve" && reason !== "")) {
		throw new WeirError("invalid-argument", `unknown field '${field ?? "reason"}'`, "only reject takes a reason");
	}
	if (act === "reject")
		return ok(requestAnswer(approvals.reject(actCall(call, now()), id, personText("reason", reason))));
	const as = actCall(call, now());
	const request = approvals.demandAnother(as, id);
	const asking = approvals.completes(as.caller, request)
		? gates.beforeApproval({ call: as, isGone: () => isGone(call) }, request, (find) =>
				approvals.whilePossible(as, request, find),
			)
		: null;
	if (asking !== null) await asking;
	// Gates take minutes: by now its time may be over.
	return ok(requestAnswer(approvals.approve(actCall(call, now()), id)));
}

async function experiment(door: PublicDoor, call: Call, rest: readonly string[]): Promise<Answer> {
	const { store, acts, now } = door;
	const [given = "", act = ""] = rest;
	const name = given.startsWith("default/") ? given.slice("default/".length) : given;
	if (call.method === "GET") {
		demandSomeRead(door, call);
		acts.demandSeen(actCall(call, now()), name, "read");
	}
	if (call.method === "GET" && act === "decisions") {
		onlyQuery(call.query, ["after", "limit"]);
		const after = wholeNumber(call.query, "after", 0, 0, Number.MAX_SAFE_INTEGER);
		const limit = wholeNumber(call.query, "limit", 100, 1, DECISIONS_PAGE_MAX);
		return ok(store.decisions(name, after, limit));
	}
	if (call.method === "GET" && act === "standing") {
		onlyQuery(call.query, []);
		return ok(await experimentState(store.live, name, door.evidence, now));
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
	acts.demandVerb(actCall(call, now()), name, act);
	const body = await readObject(call, API_ACT_BODY_BYTES_MAX);
	const as = actCall(call, now());
	const said = parsePersonRequest(act, body, call.caller.subject, as.nowMs);
	const asking = door.gates.beforeAct({ call: as, isGone: () => isGone(call) }, name, said);
	if (asking !== null) await asking;
	// Gates take minutes, and it happens now.
	const nowMs = now();
	const made = acts.act(actCall(call, nowMs), name, { ...said, nowMs });
	return "outcome" in made ? pending(made) : ok(made);
}
