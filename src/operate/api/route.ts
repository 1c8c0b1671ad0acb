/** A route of the API: zod schemas check its query and its JSON body; rights are checked before a body is read. */
import { z } from "zod";
import { fields, splitMessage, whole } from "../../declare/resources/fields/strict.js";
import { WeirError } from "../../error.js";
import { BY_HINT } from "../approvals/personRequest.js";
import { type Answer, type Call, readJson } from "./http.js";

/** Body of an operation on an Experiment, an approval or a rollback: names, and a reason of PERSON_TEXT_CHARS_MAX. */
export const API_OPERATION_BODY_BYTES_MAX = 64 * 1024;
/** Longest name of an unknown field that a message quotes. */
const NAME_SHOWN_CHARS = 100;

/** In the order in which they are used. */
interface RouteParts<Query, Body> {
	/** Absent: the path takes no query parameter. */
	readonly query?: z.ZodType<Query>;
	/** @throws WeirError if the caller may not do it, whatever the body holds */
	readonly rights?: (call: Call, query: Query) => void;
	readonly body?: z.ZodType<Body>;
	/** API_OPERATION_BODY_BYTES_MAX if absent. */
	readonly bodyBytesMax?: number;
	readonly answer: (call: Call, query: Query, body: Body) => Answer | Promise<Answer>;
}

export interface Route {
	readonly method: "GET" | "POST" | "DELETE";
	/** With parameters, each one path segment: `/v1/approvals/:id`. */
	readonly url: string;
	readonly run: (call: Call) => Promise<Answer>;
}

const NO_QUERY: z.ZodType = fields({});

export function route<Query, Body>(
	method: Route["method"],
	url: string,
	{ query, rights, body, bodyBytesMax = API_OPERATION_BODY_BYTES_MAX, answer }: RouteParts<Query, Body>,
): Route {
	const run = async (call: Call): Promise<Answer> => {
		const asked = checked(query ?? (NO_QUERY as z.ZodType<Query>), call.query, "query parameter");
		rights?.(call, asked);
		if (body === undefined) return answer(call, asked, undefined as Body);
		return answer(call, asked, checked(body, await readJson(call, bodyBytesMax), "field"));
	};
	return { method, url, run };
}

/** @throws WeirError `invalid-argument` for the first issue; its message is a hint, see declare/resources/fields/strict.ts */
export function checked<T>(schema: z.ZodType<T>, value: unknown, part: "query parameter" | "field" | "header"): T {
	const { data, error } = schema.safeParse(value);
	const issue = error?.issues[0];
	if (issue === undefined) return data as T;
	const [unknown = ""] = issue.code === "unrecognized_keys" ? issue.keys : [];
	const name = [...issue.path, unknown.slice(0, NAME_SHOWN_CHARS)].filter((part) => part !== "").join(".");
	if (issue.code === "unrecognized_keys") {
		if (name === "by") throw new WeirError("invalid-argument", "'by' is not believed", BY_HINT);
		const known = issue.message === "" ? `this path takes no ${part}` : `known: ${issue.message}`;
		throw new WeirError("invalid-argument", `unknown ${part} '${name}'`, known);
	}
	const { what, hint } = splitMessage(issue.message);
	const wrong = name === "" ? "the body must be a JSON object" : `${part} '${name}' is not valid`;
	throw new WeirError("invalid-argument", what ?? wrong, hint);
}

/** A whole number in a query. */
export const wholeText = (min: number, max: number) =>
	z.preprocess((text) => (/^\d{1,15}$/.test(String(text)) ? Number(text) : text), whole(min, max));

/** true or false in a query. */
export const flagText = z
	.stringbool({ truthy: ["true"], falsy: ["false"], case: "sensitive", error: "write true or false" })
	.default(false);

export const CHANGE_QUERY = { dryRun: flagText };

/** A list of bounded length. zod collects the issues of all items, so the length is checked first. */
export const boundedList = <Item extends z.ZodType>(item: Item, max: number) =>
	z.array(z.unknown(), `write a list of 1 to ${max}`).min(1).max(max).pipe(z.array(item));
