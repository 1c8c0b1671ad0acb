/**
 * From a request body to candidate rows, by its media type: JSON (an object, an array, or {outcomes: […]}),
 * NDJSON, and CloudEvents 1.0 over HTTP in its three content modes (structured, batched, binary).
 */
import type { IncomingHttpHeaders } from "node:http";
import { WeirError } from "../../../../error.js";
import { type Refusal, refusal } from "./outcomeRow.js";

/** Rows in one outcomes request. */
export const OUTCOMES_ROWS_MAX = 10_000;

export type Candidate =
	| {
			readonly row: unknown;
			readonly fallbackTime: unknown;
			/** Source and id of the enclosing CloudEvent: together they are unique. */
			readonly event?: readonly [source: unknown, id: unknown];
	  }
	| { readonly refused: Refusal };

export type BodyMode = "json" | "ndjson" | "event" | "events" | "binary-event";

const MODES: ReadonlyMap<string, BodyMode> = new Map([
	["application/json", "json"],
	["application/x-ndjson", "ndjson"],
	["application/cloudevents+json", "event"],
	["application/cloudevents-batch+json", "events"],
]);

/** null = unsupported media type (415), charset other than UTF-8, or encoded body. */
export function bodyMode(headers: IncomingHttpHeaders): BodyMode | null {
	const [type = "", ...parameters] = (headers["content-type"] ?? "")
		.toLowerCase()
		.split(";")
		.map((part) => part.trim());
	const encoding = headers["content-encoding"];
	if (encoding !== undefined && encoding !== "identity") return null;
	for (const parameter of parameters) {
		if (parameter.startsWith("charset=") && !/^charset="?utf-8"?$/.test(parameter)) return null;
	}
	const mode = MODES.get(type) ?? null;
	// CloudEvents HTTP binding 3.1: ce-specversion marks binary mode; the content type describes the data.
	return mode === "json" && headers["ce-specversion"] !== undefined ? "binary-event" : mode;
}

/**
 * @throws WeirError `invalid-argument` if the body is not JSON; `resource-exhausted` for too many rows (answered as
 * 413). A line of NDJSON that is not JSON is one bad row.
 */
export function readRows(mode: BodyMode, text: string, headers: IncomingHttpHeaders): readonly Candidate[] {
	switch (mode) {
		case "ndjson":
			return ndjson(text);
		case "json":
			return rowsOf(json(text)).map((row) => ({ row, fallbackTime: undefined }));
		case "event":
			return [fromEvent(json(text))];
		case "events": {
			const batch = json(text);
			if (!Array.isArray(batch)) {
				throw new WeirError("invalid-argument", "a CloudEvents batch is a JSON array of events", "put […] around it");
			}
			return bounded(batch).map(fromEvent);
		}
		case "binary-event":
			return [fromBinary(json(text), headers)];
	}
}

function json(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		// V8's own message quotes the text, which may hold user ids.
		const hint = "NaN and Infinity are not JSON; send many objects as an array or as application/x-ndjson";
		throw new WeirError("invalid-argument", "the body is not JSON", hint);
	}
}

function rowsOf(body: unknown): readonly unknown[] {
	if (Array.isArray(body)) return bounded(body);
	if (typeof body === "object" && body !== null && "outcomes" in body) {
		if (!Array.isArray(body.outcomes) || Object.keys(body).length !== 1) {
			throw new WeirError(
				"invalid-argument",
				"the body is not {outcomes: […]}",
				"outcomes is an array and the only field",
			);
		}
		return bounded(body.outcomes);
	}
	return [body];
}

function bounded<Item>(rows: readonly Item[]): readonly Item[] {
	if (rows.length <= OUTCOMES_ROWS_MAX) return rows;
	throw new WeirError(
		"resource-exhausted",
		`the body has ${rows.length} rows`,
		`send at most ${OUTCOMES_ROWS_MAX} at a time`,
	);
}

function ndjson(text: string): readonly Candidate[] {
	const lines = text.split("\n").filter((line) => line.trim() !== "");
	return bounded(lines).map((line) => {
		try {
			return { row: JSON.parse(line), fallbackTime: undefined };
		} catch {
			const hint = "one JSON object a line; NaN and Infinity are not JSON";
			return { refused: refusal("not-json", "the line is not JSON", hint) };
		}
	});
}

function badEvent(message: string): Candidate {
	return {
		refused: refusal(
			"cloud-event-invalid",
			message,
			"see CloudEvents 1.0: specversion, id, source and type are required",
		),
	};
}

/** Checks attributes of CloudEvents 1.0 section 3.1; extensions are allowed and ignored. */
function attributesProblem(get: (name: string) => unknown): string | null {
	if (get("specversion") !== "1.0") return "specversion is not 1.0";
	for (const name of ["id", "source", "type"]) {
		const value = get(name);
		if (typeof value !== "string" || value === "") return `${name} is missing`;
	}
	return null;
}

function fromEvent(event: unknown): Candidate {
	if (typeof event !== "object" || event === null || Array.isArray(event))
		return badEvent("the event is not an object");
	// Not copied: it may have a million keys. None of the keys read exists on Object.prototype.
	const attributes = event as Readonly<Record<string, unknown>>;
	const problem = attributesProblem((name) => attributes[name]);
	if (problem !== null) return badEvent(problem);
	if ("data_base64" in attributes) return badEvent("data_base64 is not read");
	const type = attributes.datacontenttype;
	if (type !== undefined && !(typeof type === "string" && /^application\/json\s*(;|$)/i.test(type))) {
		return badEvent("datacontenttype is not application/json");
	}
	if (!("data" in attributes)) return badEvent("data is missing");
	return { row: attributes.data, fallbackTime: attributes.time, event: [attributes.source, attributes.id] };
}

function fromBinary(data: unknown, headers: IncomingHttpHeaders): Candidate {
	const problem = attributesProblem((name) => headers[`ce-${name}`]);
	if (problem !== null) return badEvent(problem);
	return { row: data, fallbackTime: headers["ce-time"], event: [headers["ce-source"], headers["ce-id"]] };
}
