/**
 * Conditions of AccessPolicies in CEL (github.com/google/cel-spec), the one place that knows the library. What an
 * expression may cost is bounded when it is read, and again by the size of the lists that a token brings.
 *
 * Variables: request.method, .path (without query), .region, .time; principal ("" = the caller proved none);
 * user.issuer, .subject, .groups, .tenants, .purposes, .claims; variant; service (qualified name). What is not known
 * (no token, no region, a Variant not yet chosen) is absent: has() says so, and to read it is an error.
 */
import { type ASTNode, Environment } from "@marcbachmann/cel-js";
import { CONDITION_CHARS_MAX, CONDITION_DEPTH_MAX, CONDITION_LIST_MAX, CONDITION_NODES_MAX } from "../limits.js";
import type { VerifiedToken } from "./token.js";
import type { AccessRequest } from "./verdict.js";

export interface Condition {
	/** error: it could not be told, e.g. as it reads a claim that the token lacks. */
	holds(input: AccessRequest, service: string): boolean | "error";
	/** What it reads, so that the verdict waits for it. */
	readonly reads: {
		readonly path: boolean;
		readonly variant: boolean;
		readonly user: boolean;
		readonly region: boolean;
	};
}

/** Why a text is no condition, as the end of a sentence, and where: characters from its beginning. */
export interface ConditionFault {
	readonly what: string;
	readonly offset: number;
}

export class ConditionError extends Error {
	constructor(readonly fault: ConditionFault) {
		super(fault.what);
		this.name = "ConditionError";
	}
}

class RequestView {
	readonly time: Date;
	constructor(
		readonly method: string,
		readonly path: string,
		readonly region: string | undefined,
		nowMs: number,
	) {
		this.time = new Date(nowMs);
	}
}

class UserView {
	readonly issuer: string | undefined;
	readonly subject: string | undefined;
	readonly groups: readonly string[] | undefined;
	readonly tenants: readonly string[] | undefined;
	readonly purposes: readonly string[] | undefined;
	readonly claims: Readonly<Record<string, unknown>> | undefined;
	/** A list is longer than may be walked. */
	readonly tooLong: boolean;
	constructor(token: VerifiedToken | null) {
		this.issuer = token?.issuer;
		this.subject = token?.subject ?? undefined;
		this.groups = token?.groups;
		this.tenants = token?.tenants;
		this.purposes = token?.purposes;
		this.claims = token?.claims;
		this.tooLong =
			token !== null &&
			[token.groups, token.tenants, token.purposes, token.claims].some((value) => weight(value) > CONDITION_LIST_MAX);
	}
}

/** Values in a value, so far as they matter. */
function weight(value: unknown): number {
	if (typeof value !== "object" || value === null) return 1;
	let sum = 1;
	for (const item of Object.values(value)) {
		sum += weight(item);
		if (sum > CONDITION_LIST_MAX) break;
	}
	return sum;
}

const environment = new Environment({
	limits: {
		maxAstNodes: CONDITION_NODES_MAX,
		maxDepth: CONDITION_DEPTH_MAX,
		maxListElements: CONDITION_NODES_MAX,
		maxMapEntries: 0,
		maxCallArguments: 2,
	},
})
	.registerType("Request", {
		ctor: RequestView,
		fields: { method: "string", path: "string", region: "string", time: "google.protobuf.Timestamp" },
	})
	.registerType("User", {
		ctor: UserView,
		fields: {
			issuer: "string",
			subject: "string",
			groups: "list<string>",
			tenants: "list<string>",
			purposes: "list<string>",
			claims: "map<string, dyn>",
		},
	})
	.registerVariable("request", "Request")
	.registerVariable("user", "User")
	.registerVariable("principal", "string")
	.registerVariable("variant", "string")
	.registerVariable("service", "string");

/**
 * Functions, with how many arguments. Regular expressions are not among them, as JavaScript's can take for ever, nor
 * what builds new lists; of a time's parts only UTC's, for zones there is the policy's schedule.
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
const WALKS = new Set(["exists", "all", "exists_one"]);

/** What stands in the tree: the library's nodes, with those that macros replaced as they were written. */
interface Reading {
	path: boolean;
	variant: boolean;
	user: boolean;
	region: boolean;
}

function read(node: ASTNode, reading: Reading, walking: boolean): void {
	const refuse = (what: string): never => {
		throw new ConditionError({ what, offset: node.start });
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
			if (args.length !== METHODS[name]) refuse(`calls ${name}() with ${args.length} arguments`);
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

const words = (error: unknown): string =>
	error instanceof Error ? ((error as { readonly summary?: string }).summary ?? error.message) : String(error);

const placeOf = (error: unknown): number =>
	(error as { readonly range?: { readonly start: number } } | null)?.range?.start ?? 0;

/** @throws ConditionError */
function parse(text: string): Condition {
	if (text.length > CONDITION_CHARS_MAX) {
		throw new ConditionError({ what: `is longer than ${CONDITION_CHARS_MAX} characters`, offset: 0 });
	}
	let run: ReturnType<typeof environment.parse>;
	try {
		run = environment.parse(text);
	} catch (error) {
		throw new ConditionError({ what: `is no CEL expression: ${words(error)}`, offset: placeOf(error) });
	}
	const reads: Reading = { path: false, variant: false, user: false, region: false };
	read(run.ast, reads, false);
	const checked = run.check();
	if (!checked.valid) {
		const { error } = checked;
		throw new ConditionError({ what: `is no valid CEL expression: ${words(error)}`, offset: placeOf(error) });
	}
	if (checked.type !== "bool") {
		const what = `is of type ${checked.type}, not bool`;
		throw new ConditionError({ what, offset: 0 });
	}
	return {
		reads,
		holds({ principal, method, path, variant, token, region, nowMs }, service) {
			const user = reads.user ? userOf(token) : NOBODY;
			if (user.tooLong) return "error";
			const request = new RequestView(method, path, region ?? undefined, nowMs);
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
				// Whatever the library throws, of a claim of another type or its own fault: it could not be told.
				return "error";
			}
		},
	};
}

const NOBODY = new UserView(null);
const users = new WeakMap<VerifiedToken, UserView>();

function userOf(token: VerifiedToken | null): UserView {
	if (token === null) return NOBODY;
	let user = users.get(token);
	if (user === undefined) {
		user = new UserView(token);
		users.set(token, user);
	}
	return user;
}

/** Tables hold the same few texts again and again; beyond so many they are read anew. */
const PARSED_MAX = 4_096;
const parsed = new Map<string, Condition>();

/**
 * The condition, ready to be asked.
 * @throws ConditionError
 */
export function compileCondition(text: string): Condition {
	let condition = parsed.get(text);
	if (condition === undefined) {
		condition = parse(text);
		if (parsed.size >= PARSED_MAX) parsed.clear();
		parsed.set(text, condition);
	}
	return condition;
}

/** What is wrong with the text; null = it is a condition. */
export function conditionFault(text: string): ConditionFault | null {
	try {
		compileCondition(text);
		return null;
	} catch (error) {
		if (error instanceof ConditionError) return error.fault;
		throw error;
	}
}
