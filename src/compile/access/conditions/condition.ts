/**
 * Conditions of AccessPolicies in CEL (github.com/google/cel-spec); the only file that uses the library. The cost of an
 * expression is limited when it is parsed (conditionCost.ts); the size of its inputs is checked when it is evaluated.
 * Variables: request.method, .path (percent-decoded, without query), .region, .time; principal ("" = unauthenticated);
 * user.issuer, .subject, .groups, .tenants, .purposes, .claims; variant; service (qualified name). Unknown values (no
 * token, no region, a Variant not yet chosen) are absent: has() is false, and reading one is an error. Other errors: a
 * user with numbers of 2^53 or more, a path that does not decode to UTF-8, and a failed conversion
 * (conditionConversions.ts).
 */
import { type ASTNode, Environment } from "@marcbachmann/cel-js";
import { CONDITION_STEPS_MAX, RESOURCES_MAX } from "../../../limits/index.js";
import type { AccessRequest } from "../verdict.js";
import { asWritten, CONVERSIONS, OVERLOADS } from "./conditionConversions.js";
import { conditionSteps } from "./conditionCost.js";
import { isWithinLimits, NO_USER, RequestView, UserView, userOf } from "./conditionInput.js";
import { decodedPath, pathFault, WALKS } from "./conditionPaths.js";

/** A CEL condition: its characters, and the nodes and depth of its tree. */
export const CONDITION_CHARS_MAX = 2_048;
const CONDITION_NODES_MAX = 128;
export const CONDITION_DEPTH_MAX = 24;

export interface Condition {
	/** error: undecidable, e.g. the token lacks a claim, or the path is too long or not UTF-8. */
	holds(input: AccessRequest, service: string): boolean | "error";
	/** The maximum cost of one evaluation; see CONDITION_STEPS_MAX. */
	readonly steps: number;
	/** The inputs that it reads; the verdict waits for them. */
	readonly reads: {
		readonly path: boolean;
		readonly variant: boolean;
		readonly user: boolean;
		/** The issuer of the user's token. */
		readonly issuer: boolean;
		readonly region: boolean;
	};
}

/** Why a text is no valid condition, as the end of a sentence, and its character offset. */
export interface ConditionFault {
	readonly what: string;
	readonly offset: number;
	/** What to write instead; null = unknown. */
	readonly hint: string | null;
}

export class ConditionError extends Error {
	constructor(readonly fault: ConditionFault) {
		super(fault.what);
		this.name = "ConditionError";
	}
}

const REQUEST = { method: "string", path: "string", region: "string", time: "google.protobuf.Timestamp" };
const USER = {
	issuer: "string",
	subject: "string",
	groups: "list<string>",
	tenants: "list<string>",
	purposes: "list<string>",
	claims: "map<string, dyn>",
};
const TEXTS = ["principal", "variant", "service"];

/** Variables of a condition, for messages. */
export const CONDITION_FIELDS = [
	...Object.keys(REQUEST).map((field) => `request.${field}`),
	...Object.keys(USER).map((field) => `user.${field}`),
	...TEXTS,
].join(", ");

const environment = new Environment({
	limits: {
		maxAstNodes: CONDITION_NODES_MAX,
		maxDepth: CONDITION_DEPTH_MAX,
		maxListElements: CONDITION_NODES_MAX,
		maxMapEntries: 0,
		maxCallArguments: 2,
	},
})
	.registerType("Request", { ctor: RequestView, fields: REQUEST })
	.registerType("User", { ctor: UserView, fields: USER })
	.registerVariable("request", "Request")
	.registerVariable("user", "User");
for (const name of TEXTS) environment.registerVariable(name, "string");
for (const [signature, handler] of OVERLOADS) environment.registerFunction(signature, handler, { async: false });

/**
 * Functions and their number of arguments. No regular expressions, which can take exponential time in JavaScript, and
 * none that build lists. Time parts are UTC only; schedules have time zones.
 */
const FUNCTIONS: Readonly<Record<string, number>> = {
	has: 1,
	size: 1,
	timestamp: 1,
	duration: 1,
	int: 1,
	double: 1,
	string: 1,
};
const METHODS: Readonly<Record<string, number>> = {
	size: 0,
	startsWith: 1,
	endsWith: 1,
	contains: 1,
	exists: 2,
	all: 2,
	exists_one: 2,
	getHours: 0,
	getMinutes: 0,
	getSeconds: 0,
	getDayOfWeek: 0,
	getDate: 0,
	getMonth: 0,
	getFullYear: 0,
};

/** For the parts of a time in a time zone. */
const SCHEDULE_HINT =
	'write schedule: {timezone: Europe/Berlin, from: "08:00", until: "18:00"} in the policy: a condition knows the hours of UTC alone';

const DYN_HINT = "write a comparison such as user.claims.NAME == true: a claim may be of any type";

/** Functions of a condition, for messages. */
export const CONDITION_FUNCTIONS = [...new Set([...Object.keys(FUNCTIONS), ...Object.keys(METHODS)])].join(", ");

/** The library's tree, with macros in their original form. */
interface Reading {
	path: boolean;
	variant: boolean;
	user: boolean;
	issuer: boolean;
	region: boolean;
}

function read(node: ASTNode, reading: Reading, walking: boolean): void {
	const refuse = (what: string, hint: string | null = null): never => {
		throw new ConditionError({ what, offset: node.start, hint });
	};
	switch (node.op) {
		case "value":
			return;
		case "id":
			if (node.args === "request") reading.path = reading.region = true;
			else if (node.args === "user" || node.args === "variant") reading[node.args] = true;
			else if (node.args === "cel" || node.args === "google") refuse(`uses ${node.args}, which is not offered`);
			return;
		case ".": {
			const [of, field] = node.args;
			if (of.op === "id" && of.args === "request") {
				if (field === "path" || field === "region") reading[field] = true;
				return;
			}
			if (of.op === "id" && of.args === "user" && field === "issuer") reading.issuer = true;
			read(of, reading, walking);
			return;
		}
		case "call": {
			const [name, args] = node.args;
			if (!Object.hasOwn(FUNCTIONS, name)) refuse(`calls ${name}(), which is not offered`);
			if (args.length !== FUNCTIONS[name]) refuse(`calls ${name}() with ${args.length} arguments`);
			for (const one of args) read(one, reading, walking);
			return;
		}
		case "rcall": {
			const [name, receiver, args] = node.args;
			if (!Object.hasOwn(METHODS, name)) refuse(`calls ${name}(), which is not offered`);
			if (args.length !== METHODS[name]) {
				const zoned = name.startsWith("get") && args.length === 1;
				refuse(`calls ${name}() with ${args.length} arguments`, zoned ? SCHEDULE_HINT : null);
			}
			const walks = WALKS.has(name);
			if (walks && walking) refuse(`walks a list within a list (${name}())`);
			read(receiver, reading, walking);
			for (const one of args) read(one, reading, walking || walks);
			return;
		}
		case "map":
			refuse("builds a map, which is not offered");
			return;
		case ".?":
		case "[?]":
			refuse("uses an optional, which is not offered");
			return;
		default: {
			const parts = (Array.isArray(node.args) ? node.args : [node.args]) as readonly ASTNode[];
			for (const one of parts) read(one, reading, walking);
		}
	}
}

const messageOf = (error: unknown): string =>
	asWritten(
		error instanceof Error ? ((error as { readonly summary?: string }).summary ?? error.message) : String(error),
	);

const placeOf = (error: unknown): number =>
	(error as { readonly range?: { readonly start: number } } | null)?.range?.start ?? 0;

/** Replaces the library's conversions with ours. */
function convertStrictly(node: ASTNode): void {
	if (node.op === "call") node.args[0] = CONVERSIONS[node.args[0]] ?? node.args[0];
	if (node.op === "value") return;
	const inner: readonly unknown[] = [node.args].flat(2);
	for (const one of inner) if (typeof one === "object") convertStrictly(one as ASTNode);
}

/** @throws ConditionError */
function parse(text: string): Condition {
	if (text.length > CONDITION_CHARS_MAX) {
		throw new ConditionError({ what: `is longer than ${CONDITION_CHARS_MAX} characters`, offset: 0, hint: null });
	}
	let run: ReturnType<typeof environment.parse>;
	try {
		run = environment.parse(text);
	} catch (error) {
		throw new ConditionError({
			what: `is no CEL expression: ${messageOf(error)}`,
			offset: placeOf(error),
			hint: null,
		});
	}
	const reads: Reading = { path: false, variant: false, user: false, issuer: false, region: false };
	read(run.ast, reads, false);
	const steps = conditionSteps(run.ast, text.length, (what, hint, { start }) => {
		throw new ConditionError({ what, offset: start, hint });
	});
	if (steps > CONDITION_STEPS_MAX) {
		const what = `could take ${steps} steps for one request, more than ${CONDITION_STEPS_MAX}`;
		const hint = "compare less within a walk, or write pathPrefixes, pathTemplates, groups or claims";
		throw new ConditionError({ what, offset: 0, hint });
	}
	convertStrictly(run.ast);
	const checked = run.check();
	if (!checked.valid) {
		const { error } = checked;
		throw new ConditionError({
			what: `is no valid CEL expression: ${messageOf(error)}`,
			offset: placeOf(error),
			hint: null,
		});
	}
	if (checked.type !== "bool") {
		const what = `is of type ${checked.type}, not bool`;
		throw new ConditionError({ what, offset: 0, hint: checked.type === "dyn" ? DYN_HINT : null });
	}
	const fault = pathFault(run.ast);
	if (fault !== null) throw new ConditionError(fault);
	return {
		reads,
		steps,
		holds(input, service) {
			const user = reads.user ? userOf(input.token) : NO_USER;
			if (user.tooLong || !isWithinLimits(input, service, reads.path)) return "error";
			const { principal, method, variant, region, nowMs } = input;
			const path = reads.path ? decodedPath(input.path) : "";
			if (path === null) return "error";
			const request = new RequestView(method, path, region ?? undefined, nowMs);
			// Each element of a list may fail: avoid a stack trace for each.
			const { stackTraceLimit } = Error;
			Error.stackTraceLimit = 0;
			try {
				const result: unknown = run({
					request,
					user,
					principal: principal ?? "",
					variant: variant ?? undefined,
					service,
				});
				return typeof result === "boolean" ? result : "error";
			} catch {
				// Every exception of the library is an evaluation error.
				return "error";
			} finally {
				Error.stackTraceLimit = stackTraceLimit;
			}
		},
	};
}

/**
 * Least recently used cache of all conditions that can be declared, 4 KB each and at most 26 KB. A smaller one would
 * miss on every entry of a larger table.
 */
const PARSED_MAX = RESOURCES_MAX;
const parsed = new Map<string, Condition>();

/** @throws ConditionError for an invalid condition */
export function compileCondition(text: string): Condition {
	const condition = parsed.get(text) ?? parse(text);
	parsed.delete(text);
	parsed.set(text, condition);
	for (const oldest of parsed.keys()) {
		if (parsed.size <= PARSED_MAX) break;
		parsed.delete(oldest);
	}
	return condition;
}

/** The error of a condition; null = valid. */
export function conditionFault(text: string): ConditionFault | null {
	try {
		compileCondition(text);
		return null;
	} catch (error) {
		if (error instanceof ConditionError) return error.fault;
		throw error;
	}
}
