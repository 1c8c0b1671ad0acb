/** The routes that apply and delete resources. */

import { isKind, KINDS } from "../../declare/resources/kinds.js";
import { qualifiedText } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { RESOURCE_DOCUMENTS_MAX } from "../../limits/index.js";
import { BY_HINT } from "../approvals/personRequest.js";
import { STORED } from "../operations/crossCheck.js";
import type { Operations, Pending } from "../operations/operations.js";
import type { Target } from "../state/history/change.js";
import { visibleShadowGaps } from "../state/shadowGaps.js";
import type { ApplyResult, Store } from "../state/store/store.js";
import {
	type Answer,
	auditedCall,
	type Call,
	flag,
	isJson,
	ok,
	onlyQuery,
	readObject,
	readText,
	wholeNumber,
} from "./http.js";
import { requestAnswer } from "./wire.js";

const YAML_TYPES = ["application/yaml", "text/yaml"];
/** Longest X-Weir-File-Name: PATH_MAX of Linux. */
const FILE_NAME_CHARS_MAX = 4_096;

const START = { what: "start with files", hint: "leave 'start' out" };

export interface DeclarationServices {
	readonly store: Store;
	readonly operations: Operations;
	readonly now: () => number;
}

export async function apply(api: DeclarationServices, call: Call): Promise<Answer> {
	const { operations, now, store } = api;
	const { request, query } = call;
	onlyChangeQuery(query, ["onlyAt", "start"]);
	const dryRun = flag(query, "dryRun");
	const onlyAt = query.has("onlyAt") ? wholeNumber(query, "onlyAt", 0, 0, Number.MAX_SAFE_INTEGER) : null;
	const isStart = flag(query, "start");
	const unread = isJson(request) ? "files, unread" : "1 file, unread";
	if (isStart) operations.rights.demandOwner(auditedCall(call, now()), "apply", unread, START);
	operations.rights.demandSome(auditedCall(call, now()), "apply", unread);
	const files = isJson(request)
		? parseFiles(await readObject(call))
		: [
				{
					text: await readText(call, [...YAML_TYPES, "application/json"]),
					name: fileName(request.headers["x-weir-file-name"]),
				},
			];
	// Nothing else can run between this check and the change.
	const { revision } = store.current;
	if (onlyAt !== null && onlyAt !== revision) {
		const message = `the state is at revision ${revision}, the declaration is for ${onlyAt}`;
		throw new WeirError("conflict", message, "look at the state again, and apply again");
	}
	const result = operations.apply(auditedCall(call, now()), files, dryRun);
	// A crash before this line makes the next start ask once too often, as if another operator had made the change.
	if (isStart && !dryRun && result.outcome === "applied") store.declarations.start();
	return withShadowGaps(api, call, result, dryRun);
}

/** The result of a change, with the gaps of its shadow policies. */
export function withShadowGaps(
	{ store, operations }: DeclarationServices,
	call: Call,
	result: ApplyResult | Pending,
	dryRun: boolean,
): Answer {
	if (dryRun || result.outcome !== "applied") return applied(result);
	const { rights } = operations;
	const gaps = visibleShadowGaps(store.current, rights.mayRead(call.caller), result.changes);
	const { outcome: _, ...said } = result;
	return ok({ ...said, ...(gaps.length === 0 ? {} : { shadowGaps: gaps }) });
}

export function onlyChangeQuery(query: URLSearchParams, more: readonly string[] = []): void {
	if (query.has("by")) throw new WeirError("invalid-argument", "'by' is not believed", BY_HINT);
	onlyQuery(query, ["dryRun", ...more]);
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
		// A name with a bare % is used unchanged.
	}
	return checkedFileName(name);
}

function checkedFileName(name: string): string {
	if (name === "" || name.length > FILE_NAME_CHARS_MAX || /\p{Cc}/u.test(name)) {
		throw new WeirError("invalid-argument", "that is no file name", "give it in X-Weir-File-Name");
	}
	// Messages use this prefix for stored documents.
	if (name.startsWith(STORED))
		throw new WeirError("invalid-argument", `a file name does not begin with '${STORED}'`, "write ./ before it");
	return name;
}

export function remove({ operations, now }: DeclarationServices, call: Call, path: readonly string[]): Answer {
	onlyChangeQuery(call.query);
	const [kindText, ...name] = path;
	const kind = KINDS.find((one) => one === kindText);
	if (kind === undefined || name.length < 1 || name.length > 2) {
		throw new WeirError("not-found", "no such kind of resource", `kinds: ${KINDS.join(", ")}`);
	}
	const target = { kind, name: qualifiedText(name.join("/")) };
	return applied(operations.delete(auditedCall(call, now()), [target], flag(call.query, "dryRun")));
}

/** Several resources, all or none: `{"resources": [{"kind": …, "name": …}]}`. */
export async function removeAll({ operations, now }: DeclarationServices, call: Call): Promise<Answer> {
	onlyChangeQuery(call.query);
	operations.rights.demandSome(auditedCall(call, now()), "delete", "resources, unread");
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
	return applied(operations.delete(auditedCall(call, now()), targets, flag(call.query, "dryRun")));
}

export function pending({ outcome, request }: Pending): Answer {
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
