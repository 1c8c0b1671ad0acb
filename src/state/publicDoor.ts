/** The API for people, CI and the console: paths under /v1 and the two health checks, on loopback TCP. */

import { WeirError } from "../error.js";
import { DECISIONS_PAGE_MAX } from "../limits.js";
import { KINDS, resourcesOf } from "../resources/kinds.js";
import { qualifiedName } from "../resources/resource.js";
import { difference } from "./difference.js";
import { type Answer, type Call, isJson, ok, onlyQuery, readObject, readText, wholeNumber } from "./http.js";
import { isPersonVerb, PERSON_VERBS, parsePersonRequest, personText } from "./personRequest.js";
import { serviceOf } from "./resourceSet.js";
import type { ApplyResult, Store } from "./store.js";
import type { StatusAnswer } from "./wire.js";

export interface PublicDoor {
	readonly store: Store;
	/** Why control is not ready, one sentence each; empty = ready. */
	readonly ready: () => readonly string[];
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
		if (version === "readyz") return readiness(door.ready());
	}
	if (version === "v1" && rest.length === 0) {
		switch (`${method} ${noun}`) {
			case "POST resources":
				return apply(door, call);
			case "GET resources":
				return resources(store, query);
			case "GET status":
				onlyQuery(query, []);
				return ok(statusAnswer(store));
			case "GET diff":
				onlyQuery(query, []);
				return ok(difference(store.current));
			case "GET proxies":
				onlyQuery(query, []);
				return ok(store.proxies);
		}
	}
	if (version === "v1" && noun === "resources" && method === "DELETE") return remove(door, rest, query);
	if (version === "v1" && noun === "experiments" && rest.length === 2) return experiment(door, call, rest);
	throw new WeirError("not-found", `no ${method} /${path.join("/").slice(0, 200)} here`);
}

function readiness(reasons: readonly string[]): Answer {
	const text = reasons.length === 0 ? "ready\n" : `${reasons.join("\n")}\n`;
	return { status: reasons.length === 0 ? 200 : 503, text, contentType: "text/plain; charset=utf-8" };
}

async function apply({ store, now }: PublicDoor, { request, query }: Call): Promise<Answer> {
	onlyQuery(query, ["dryRun", "by"]);
	const options = { by: person(query), dryRun: flag(query, "dryRun"), nowMs: now() };
	if (isJson(request)) return applied(store.apply(parseFiles(await readObject(request)), options));
	const text = await readText(request, [...YAML_TYPES, "application/json"]);
	return applied(store.apply([{ name: fileName(request.headers["x-weir-file-name"]), text }], options));
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

function remove({ store, now }: PublicDoor, path: readonly string[], query: URLSearchParams): Answer {
	onlyQuery(query, ["dryRun", "by"]);
	const [kindText, ...name] = path;
	const kind = KINDS.find((one) => one === kindText);
	if (kind === undefined || name.length < 1 || name.length > 2) {
		throw new WeirError("not-found", "no such kind of resource", `kinds: ${KINDS.join(", ")}`);
	}
	const qualified = name.length === 2 && name[0] === "default" ? String(name[1]) : name.join("/");
	return applied(store.delete(kind, qualified, { by: person(query), dryRun: flag(query, "dryRun"), nowMs: now() }));
}

function applied(result: ApplyResult): Answer {
	if (result.outcome === "applied") return ok({ revision: result.revision, changes: result.changes });
	const problems = result.problems.map(({ position, message, hint }) => ({
		file: position?.file ?? null,
		line: position?.line ?? null,
		column: position?.column ?? null,
		message,
		hint,
	}));
	return { status: 400, json: { problems } };
}

function resources(store: Store, query: URLSearchParams): Answer {
	onlyQuery(query, ["format"]);
	const format = query.get("format") ?? "json";
	if (format === "yaml") {
		const text = store.sources.map((stored) => stored.source).join("---\n");
		return { status: 200, text, contentType: "application/yaml" };
	}
	if (format !== "json") throw new WeirError("invalid-argument", "unknown format", "json or yaml");
	const { revision, resources } = store.current;
	return ok({ revision, resources: resourcesOf(resources) });
}

async function experiment({ store, now }: PublicDoor, call: Call, rest: readonly string[]): Promise<Answer> {
	const [name = "", act = ""] = rest;
	if (call.method === "GET" && act === "decisions") {
		onlyQuery(call.query, ["after", "limit"]);
		const after = wholeNumber(call.query, "after", 0, 0, Number.MAX_SAFE_INTEGER);
		const limit = wholeNumber(call.query, "limit", 100, 1, DECISIONS_PAGE_MAX);
		return ok(store.decisions(name, after, limit));
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
			`GET decisions, moves; POST ${PERSON_VERBS.join(", ")}`,
		);
	}
	onlyQuery(call.query, []);
	const body = await readObject(call.request);
	return ok(store.act(name, parsePersonRequest(act, body, now())));
}

function statusAnswer(store: Store): StatusAnswer {
	const { revision, resources, status } = store.current;
	return {
		revision,
		experiments: resources.experiments.flatMap((one) => {
			const name = qualifiedName(one.metadata);
			const live = status.experiments[name];
			if (live === undefined) return [];
			return { experiment: name, service: serviceOf(one), status: live, last: store.lastDecision(name) };
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

function person(query: URLSearchParams): string {
	const by = personText("by", query.get("by") ?? "api");
	if (by === "") throw new WeirError("invalid-argument", "by is empty", "say who declares, or leave it out");
	return by;
}

function flag(query: URLSearchParams, name: string): boolean {
	const text = query.get(name) ?? "false";
	if (text !== "true" && text !== "false") throw new WeirError("invalid-argument", `${name} must be true or false`);
	return text === "true";
}
