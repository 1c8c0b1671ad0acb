/**
 * The API for people, CI and the console: paths under /v1 and the two health checks. Who calls is in the Call; what
 * they may see and do is judged here and in Acts, and what they may not see is not there.
 */
import { WeirError } from "../error.js";
import {
	API_ACT_BODY_BYTES_MAX,
	DECISIONS_PAGE_MAX,
	OPERATOR_AUDIT_PAGE_MAX,
	RESOURCE_DOCUMENTS_MAX,
} from "../limits.js";
import { isKind, KINDS, resourcesOf } from "../resources/kinds.js";
import { namespaceOf, qualifiedName } from "../resources/resource.js";
import { closuresOf } from "../rollout/closedServices.js";
import type { EvidenceSource, Unheld } from "../rollout/ports.js";
import { refusalsOf } from "../rollout/refusal.js";
import { standingOf } from "../rollout/standing.js";
import type { ActCall } from "./actRecord.js";
import type { Acts, Pending } from "./acts.js";
import type { Approvals } from "./approvals.js";
import { AUDIT_CHAINS } from "./auditLog.js";
import type { Target } from "./deletion.js";
import { difference, promotedNotes } from "./difference.js";
import { type Answer, type Call, isJson, ok, onlyQuery, readObject, readText, wholeNumber } from "./http.js";
import { ALL_NAMESPACES } from "./permissions.js";
import { BY_HINT, isPersonVerb, PERSON_VERBS, parsePersonRequest, personText } from "./personRequest.js";
import type { PromotionGates } from "./promotionGates.js";
import type { Publication } from "./publication.js";
import { readiness } from "./readiness.js";
import { serviceOf } from "./resourceSet.js";
import { gapsOf, visibleShadowGaps } from "./shadowGaps.js";
import { standing } from "./standingFaults.js";
import type { ApplyResult, Store } from "./store.js";
import { visibleState } from "./visible.js";
import {
	type DiffAnswer,
	type GatewayAlarm,
	type PolicyHistoryAnswer,
	policyChange,
	type RequestsAnswer,
	type ResourcesAnswer,
	requestAnswer,
	type ShadowGapsAnswer,
	type StatusAnswer,
} from "./wire.js";

export interface PublicDoor {
	readonly store: Store;
	readonly acts: Acts;
	readonly approvals: Approvals;
	readonly gates: PromotionGates;
	/** null = there is no evidence here. */
	readonly evidence: EvidenceSource | null;
	/** Why control is not ready, one sentence each; empty = ready. */
	readonly ready: () => readonly string[];
	/** Its lag is a reason too. */
	readonly publication: Publication;
	/** Of all Gateways; null = who would know does not answer. Never rejects. */
	readonly alarms: () => Promise<readonly GatewayAlarm[] | null>;
	/** By Service. Never rejects. */
	readonly unheld: () => Promise<Readonly<Record<string, readonly Unheld[]>>>;
	readonly now: () => number;
}

const YAML_TYPES = ["application/yaml", "text/yaml"];
/** Longest X-Weir-File-Name: PATH_MAX of Linux. */
const FILE_NAME_CHARS_MAX = 4_096;

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

const pathOf = ({ path }: Call): string => `/${path.join("/").slice(0, 200)}`;

function actCall({ caller, id }: Call, nowMs: number): ActCall {
	return { caller, id, nowMs };
}

async function apply(door: PublicDoor, call: Call): Promise<Answer> {
	const { acts, now } = door;
	const { request, query } = call;
	onlyWishQuery(query);
	const dryRun = flag(query, "dryRun");
	acts.demandSome(actCall(call, now()), "apply", isJson(request) ? "files, unread" : "1 file, unread");
	const files = isJson(request)
		? parseFiles(await readObject(call))
		: [
				{
					text: await readText(call, [...YAML_TYPES, "application/json"]),
					name: fileName(request.headers["x-weir-file-name"]),
				},
			];
	return warned(door, call, acts.apply(actCall(call, now()), files, dryRun), dryRun);
}

/** What was applied, with what is not told of shadow policies that it is about. */
function warned({ store, acts }: PublicDoor, call: Call, result: ApplyResult | Pending, dryRun: boolean): Answer {
	if (dryRun || result.outcome !== "applied") return applied(result);
	const gaps = gapsOf(visibleShadowGaps(store.current, acts.rights.mayRead(call.caller)), result.changes);
	const { outcome: _, ...said } = result;
	return ok({ ...said, ...(gaps.length === 0 ? {} : { shadowGaps: gaps }) });
}

function onlyWishQuery(query: URLSearchParams): void {
	if (query.has("by")) throw new WeirError("invalid-argument", "'by' is not believed", BY_HINT);
	onlyQuery(query, ["dryRun"]);
}

/** Several files at once, applied as one: `{"files": [{"name": …, "text": …}]}`. */
function parseFiles(body: Readonly<Record<string, unknown>>): { readonly name: string; readonly text: string }[] {
	const wrong = new WeirError("invalid-argument", 'the body must be {"files": [{"name": TEXT, "text": YAML}]}');
	if (Object.keys(body).join() !== "files" || !Array.isArray(body.files) || body.files.length === 0) throw wrong;
	return body.files.map((file: unknown) => {
		if (typeof file !== "object" || file === null || Object.keys(file).sort().join() !== "name,text") throw wrong;
		const { name, text } = file as Record<string, unknown>;
		if (typeof name !== "string" || typeof text !== "string") throw wrong;
		return { name: checkedFileName(name), text };
	});
}

/** Header values are ASCII, file names are not: the header carries the name percent-encoded (RFC 3986). */
function fileName(header: string | string[] | undefined): string {
	if (header === undefined) return "<stdin>";
	let name = String(header);
	try {
		name = decodeURIComponent(name);
	} catch {
		// A name with a bare % is taken as it stands.
	}
	return checkedFileName(name);
}

function checkedFileName(name: string): string {
	if (name === "" || name.length > FILE_NAME_CHARS_MAX || /\p{Cc}/u.test(name)) {
		throw new WeirError("invalid-argument", "that is no file name", "give it in X-Weir-File-Name");
	}
	return name;
}

function remove({ acts, now }: PublicDoor, call: Call, path: readonly string[]): Answer {
	onlyWishQuery(call.query);
	const [kindText, ...name] = path;
	const kind = KINDS.find((one) => one === kindText);
	if (kind === undefined || name.length < 1 || name.length > 2) {
		throw new WeirError("not-found", "no such kind of resource", `kinds: ${KINDS.join(", ")}`);
	}
	const target = { kind, name: qualifiedText(name.join("/")) };
	return applied(acts.delete(actCall(call, now()), [target], flag(call.query, "dryRun")));
}

/** Several resources, all or none: `{"resources": [{"kind": …, "name": …}]}`. */
async function removeAll({ acts, now }: PublicDoor, call: Call): Promise<Answer> {
	onlyWishQuery(call.query);
	acts.demandSome(actCall(call, now()), "delete", "resources, unread");
	const body = await readObject(call);
	const wrong = new WeirError(
		"invalid-argument",
		'the body must be {"resources": [{"kind": KIND, "name": NAME}]}',
		`kinds: ${KINDS.join(", ")}`,
	);
	const { resources: given } = body;
	if (Object.keys(body).join() !== "resources" || !Array.isArray(given) || given.length === 0) throw wrong;
	if (given.length > RESOURCE_DOCUMENTS_MAX) throw wrong;
	const targets = given.map((one: unknown): Target => {
		if (typeof one !== "object" || one === null || Object.keys(one).sort().join() !== "kind,name") throw wrong;
		const { kind, name } = one as Record<string, unknown>;
		if (!isKind(kind) || typeof name !== "string") throw wrong;
		return { kind, name: qualifiedText(name) };
	});
	return applied(acts.delete(actCall(call, now()), targets, flag(call.query, "dryRun")));
}

/** Earlier access rules: what is kept of them, and back to them; and what is not told of shadow policies. */
async function policies(door: PublicDoor, call: Call, act: string): Promise<Answer> {
	const { store, acts, now } = door;
	if (call.method === "GET" && act === "shadow-gaps") {
		onlyQuery(call.query, []);
		demandSomeRead(door, call);
		const gaps = visibleShadowGaps(store.current, acts.rights.mayRead(call.caller));
		return ok({ gaps } satisfies ShadowGapsAnswer);
	}
	if (call.method === "GET" && act === "history") {
		onlyQuery(call.query, ["namespace"]);
		demandSomeRead(door, call);
		const history = acts.policyHistory(call.caller, call.query.get("namespace"));
		const partly = acts.rights.partly(call.caller);
		return ok({ ...partly, changes: history.map(policyChange) } satisfies PolicyHistoryAnswer);
	}
	if (call.method !== "POST" || act !== "rollback") {
		throw new WeirError("not-found", "no such thing of access rules", "GET history, shadow-gaps; POST rollback");
	}
	onlyWishQuery(call.query);
	acts.demandSome(actCall(call, now()), "rollback", "access rules");
	const { to = null, namespace = null, ...unknown } = await readObject(call, API_ACT_BODY_BYTES_MAX);
	const [field] = Object.keys(unknown);
	const isRevision = to === null || (Number.isSafeInteger(to) && Number(to) >= 0);
	if (field !== undefined || !isRevision || (namespace !== null && typeof namespace !== "string")) {
		throw new WeirError("invalid-argument", 'the body must be {"to": REVISION, "namespace": NAME}, each may be absent');
	}
	const dryRun = flag(call.query, "dryRun");
	const revision = to === null ? null : Number(to);
	return warned(door, call, acts.rollback(actCall(call, now()), revision, namespace, dryRun), dryRun);
}

/** The namespace `default` is not said in a qualified name. */
const qualifiedText = (name: string): string => name.replace(/^default\//, "");

function pending({ outcome, request }: Pending): Answer {
	return { status: 202, json: { outcome, request: requestAnswer(request) } };
}

function applied(result: ApplyResult | Pending): Answer {
	if (result.outcome === "pending") return pending(result);
	if (result.outcome === "applied") {
		const { outcome: _, ...said } = result;
		return ok(said);
	}
	const problems = result.problems.map(({ position, message, hint }) => ({
		file: position?.file ?? null,
		line: position?.line ?? null,
		column: position?.column ?? null,
		message,
		hint,
	}));
	return { status: 400, json: { problems } };
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
		const sources = seen.map(({ source }) => source);
		const text = [...promotedNotes(store.current, mayRead), ...sources].join("---\n");
		return { status: 200, text, contentType: "application/yaml" };
	}
	if (format !== "json") throw new WeirError("invalid-argument", "unknown format", "json or yaml");
	const { revision, resources } = visibleState(store.current, mayRead);
	return ok({ ...acts.rights.partly(caller), revision, resources: resourcesOf(resources) } satisfies ResourcesAnswer);
}

async function approval({ approvals, gates, now }: PublicDoor, call: Call, rest: readonly string[]): Promise<Answer> {
	const [id = "", act] = rest;
	onlyQuery(call.query, []);
	if (call.method === "GET" && act === undefined) return ok(requestAnswer(approvals.get(call.caller, id, now())));
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
	const as = actCall(call, now());
	if (act === "approve") await gates.beforeApproval(as, approvals.demandAnother(as, id));
	return ok(
		requestAnswer(
			act === "approve" ? approvals.approve(as, id) : approvals.reject(as, id, personText("reason", reason)),
		),
	);
}

async function experiment(door: PublicDoor, call: Call, rest: readonly string[]): Promise<Answer> {
	const { store, acts, now } = door;
	const [given = "", act = ""] = rest;
	const name = given.startsWith("default/") ? given.slice("default/".length) : given;
	if (call.method === "GET") demandSomeRead(door, call);
	if (call.method === "GET" && !acts.rights.mayRead(call.caller)(namespaceOf(name))) {
		throw new WeirError("not-found", `no Experiment '${name.slice(0, 200)}'`);
	}
	if (call.method === "GET" && act === "decisions") {
		onlyQuery(call.query, ["after", "limit"]);
		const after = wholeNumber(call.query, "after", 0, 0, Number.MAX_SAFE_INTEGER);
		const limit = wholeNumber(call.query, "limit", 100, 1, DECISIONS_PAGE_MAX);
		return ok(store.decisions(name, after, limit));
	}
	if (call.method === "GET" && act === "standing") {
		onlyQuery(call.query, []);
		return ok(await standingOf(store.current, name, door.evidence, now));
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
	const nowMs = now();
	const said = parsePersonRequest(act, body, call.caller.subject, nowMs);
	await door.gates.beforeAct(actCall(call, nowMs), name, said);
	const made = acts.act(actCall(call, nowMs), name, said);
	return "outcome" in made ? pending(made) : ok(made);
}

async function statusAnswer(
	{ store, acts, publication, alarms, unheld }: PublicDoor,
	{ caller }: Call,
): Promise<StatusAnswer> {
	const [known, unheldTokens] = await Promise.all([alarms(), unheld()]);
	const mayRead = acts.rights.mayRead(caller);
	const { revision, resources, status } = visibleState(store.current, mayRead);
	return {
		...acts.rights.partly(caller),
		revision,
		lag: publication.lag(),
		refusals: refusalsOf(store.proxies.proxies).map((one) =>
			mayRead(namespaceOf(one.source.split(" ").at(-1) ?? "")) ? one : { ...one, source: "", error: "" },
		),
		closed: closuresOf(store.proxies.proxies).filter(({ service }) => mayRead(namespaceOf(service))),
		...standing(store.current.resources, store.faults.now, mayRead),
		alarms: known?.filter(({ gateway }) => mayRead(namespaceOf(gateway))) ?? null,
		experiments: resources.experiments.flatMap((one) => {
			const name = qualifiedName(one.metadata);
			const live = status.experiments[name];
			if (live === undefined) return [];
			const service = serviceOf(one);
			const none = one.spec.unit.from === "claim" ? unheldTokens[service] : undefined;
			return {
				experiment: name,
				service,
				status: live,
				last: store.lastDecision(name),
				...(none === undefined ? {} : { unheld: none }),
			};
		}),
		services: resources.services.map((one) => {
			const name = qualifiedName(one.metadata);
			const declared = one.spec.defaultVariant;
			return {
				service: name,
				declaredDefaultVariant: declared,
				liveDefaultVariant: status.services[name]?.defaultVariant ?? declared,
			};
		}),
	};
}

function flag(query: URLSearchParams, name: string): boolean {
	const text = query.get(name) ?? "false";
	if (text !== "true" && text !== "false") throw new WeirError("invalid-argument", `${name} must be true or false`);
	return text === "true";
}
