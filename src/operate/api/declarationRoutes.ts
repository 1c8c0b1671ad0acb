/** The routes that apply, delete and roll back resources. */
import { z } from "zod";
import type { ShadowGap } from "../../compile/access/shadow.js";
import { fields, oneOf, whole, withHint } from "../../declare/resources/fields/strict.js";
import { isKind, KINDS } from "../../declare/resources/kinds.js";
import { qualifiedText } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { RESOURCE_DOCUMENTS_MAX } from "../../limits/index.js";
import type { AuditedCall } from "../audit/actRecord.js";
import type { Target } from "../changes/change.js";
import { STORED } from "../changes/crossCheck.js";
import type { Operations, Pending } from "../operations/operations.js";
import { visibleShadowGaps } from "../state/shadowGaps.js";
import type { ApplyResult, Store } from "../state/store/store.js";
import { type Answer, API_BODY_BYTES_MAX, auditedCall, type Call, isJson, ok, readJson, readText } from "./http.js";
import { boundedList, CHANGE_QUERY, checked, flagText, type Route, route, wholeText } from "./route.js";
import { requestAnswer } from "./wire.js";

const YAML_TYPES = ["application/yaml", "text/yaml"];
/** Longest X-Weir-File-Name: PATH_MAX of Linux. */
const FILE_NAME_CHARS_MAX = 4_096;

const FILE_NAME = z
	.string("write a file name")
	.min(1)
	.max(FILE_NAME_CHARS_MAX)
	.regex(/^\P{Cc}*$/u)
	// Messages use this prefix for stored documents.
	.refine(
		(name) => !name.startsWith(STORED),
		withHint(`a file name does not begin with '${STORED}'`, "write ./ before it"),
	);
const FILE_NAME_HEADER = fields({ "X-Weir-File-Name": FILE_NAME });
const FILE = fields({ name: FILE_NAME, text: z.string("write the text of a file") });
const FILES = fields({ files: boundedList(FILE, RESOURCE_DOCUMENTS_MAX) });
const TARGET = fields({ kind: oneOf(...KINDS), name: z.string("write a name").transform(qualifiedText) });
const TARGETS = fields({ resources: boundedList(TARGET, RESOURCE_DOCUMENTS_MAX) });

const START = { what: "start with files", hint: "leave 'start' out" };

export interface DeclarationServices {
	readonly store: Store;
	readonly operations: Operations;
	readonly now: () => number;
}

export function declarationRoutes(api: DeclarationServices): readonly Route[] {
	const { operations, now, store } = api;
	const { rights } = operations;
	const audited = (call: Call): AuditedCall => auditedCall(call, now());
	const remove = (call: Call, targets: readonly Target[], dryRun: boolean): Answer =>
		applied(operations.delete(audited(call), targets, dryRun));
	const removeNamed = route("DELETE", "/v1/resources/:kind/:name", {
		query: fields(CHANGE_QUERY),
		answer: (call, { dryRun }) => remove(call, [namedTarget(call)], dryRun),
	});
	return [
		route("POST", "/v1/resources", {
			query: fields({ ...CHANGE_QUERY, onlyAt: wholeText(0, Number.MAX_SAFE_INTEGER).optional(), start: flagText }),
			rights: (call, { start }) => {
				const unread = isJson(call.request) ? "files, unread" : "1 file, unread";
				if (start) rights.demandOwner(audited(call), "apply", unread, START);
				rights.demandSome(audited(call), "apply", unread);
			},
			answer: async (call, { dryRun, onlyAt, start }) => {
				const files = await readFiles(call);
				// Nothing else can run between this check and the change.
				const { revision } = store.current;
				if (onlyAt !== undefined && onlyAt !== revision) {
					const message = `the state is at revision ${revision}, the declaration is for ${onlyAt}`;
					throw new WeirError("conflict", message, "look at the state again, and apply again");
				}
				const result = operations.apply(audited(call), files, dryRun);
				// A crash before this line makes the next start ask once too often, as if another operator had made the change.
				if (start && !dryRun && result.outcome === "applied") store.declarations.start();
				return withShadowGaps(api, call, result, dryRun);
			},
		}),
		removeNamed,
		{ ...removeNamed, url: "/v1/resources/:kind/:namespace/:name" },
		// All or none.
		route("POST", "/v1/deletions", {
			query: fields(CHANGE_QUERY),
			rights: (call) => rights.demandSome(audited(call), "delete", "resources, unread"),
			body: TARGETS,
			bodyBytesMax: API_BODY_BYTES_MAX,
			answer: (call, { dryRun }, { resources }) => remove(call, resources, dryRun),
		}),
		route("POST", "/v1/rollback", {
			query: fields(CHANGE_QUERY),
			rights: (call) => rights.demandSome(audited(call), "rollback", "unread"),
			body: fields({ to: whole(0, Number.MAX_SAFE_INTEGER), namespace: z.string("write a name").nullish() }),
			answer: (call, { dryRun }, { to, namespace = null }) =>
				withShadowGaps(api, call, operations.rollback(audited(call), to, namespace, dryRun), dryRun),
		}),
	];
}

/** The result of a change, with the gaps of its shadow policies. */
function withShadowGaps(
	{ store, operations }: DeclarationServices,
	call: Call,
	result: ApplyResult | Pending,
	dryRun: boolean,
): Answer {
	if (dryRun || result.outcome !== "applied") return applied(result);
	return applied(result, visibleShadowGaps(store.current, operations.rights.mayRead(call.caller), result.changes));
}

/** One YAML file, or several as JSON, applied as one. */
async function readFiles(call: Call): Promise<z.infer<typeof FILES>["files"]> {
	if (isJson(call.request)) return checked(FILES, await readJson(call), "field").files;
	const text = await readText(call, [...YAML_TYPES, "application/json"]);
	return [{ text, name: fileName(call.request.headers["x-weir-file-name"]) }];
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
	return checked(FILE_NAME_HEADER, { "X-Weir-File-Name": name }, "header")["X-Weir-File-Name"];
}

function namedTarget({ params: { kind, namespace, name = "" } }: Call): Target {
	if (!isKind(kind)) throw new WeirError("not-found", "no such kind of resource", `kinds: ${KINDS.join(", ")}`);
	return { kind, name: qualifiedText(namespace === undefined ? name : `${namespace}/${name}`) };
}

export function pending({ outcome, request }: Pending): Answer {
	return { status: 202, json: { outcome, request: requestAnswer(request) } };
}

function applied(result: ApplyResult | Pending, shadowGaps: readonly ShadowGap[] = []): Answer {
	if (result.outcome === "pending") return pending(result);
	if (result.outcome === "applied") {
		const { outcome: _, ...body } = result;
		return ok({ ...body, ...(shadowGaps.length === 0 ? {} : { shadowGaps }) });
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
