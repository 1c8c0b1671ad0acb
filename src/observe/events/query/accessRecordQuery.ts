/**
 * Access record log queries over HTTP. GET /v1/requests?… answers records, newest first. GET /v1/requests?view=shadow
 * answers what shadow policies would change under the current rules; rules=all adds earlier rules, each separately;
 * among=NAME,NAME… keeps changes by these policies, and those by none.
 */
import { WeirError } from "../../../error.js";
import {
	ACCESS_RECORD_KINDS,
	ACCESS_RECORD_REASONS,
	type AccessRecord,
} from "../receive/accessRecords/accessRecord.js";
import { type DroppedRows, droppedAboveLimit, NAMESPACE } from "../store/rowLimit.js";
import type { EventStore, Parameters, Row } from "../store/store.js";
import { shownPseudonym } from "./account.js";
import type { ReadNamespaces } from "./readNamespaces.js";

/** Access records in one response. */
const ACCESS_RECORDS_ANSWER_MAX = 1_000;

/** A record in an answer: with its id, and the unit as 32 hex digits. */
export interface ShownAccessRecord extends Omit<AccessRecord, "unit"> {
	readonly id: number;
	readonly receivedMs: number;
	readonly unit: string | null;
}

/** An answer limited to the Services of some namespaces leaves out records without a Service. */
interface PartialAnswer {
	/** Absent: no limit. */
	readonly partial?: true;
}

interface LimitedAnswer extends PartialAnswer {
	/** Records of the requested time dropped by the row limit; absent: none. */
	readonly dropped?: DroppedRows;
}

export interface AccessRecordsAnswer extends LimitedAnswer {
	readonly decisions: readonly ShownAccessRecord[];
	/** `before` of the next page; null = last page. */
	readonly next: number | null;
}

export interface ShadowAnswer extends LimitedAnswer {
	readonly changes: readonly {
		readonly change: "would-deny" | "would-allow";
		readonly policy: string | null;
		/** Why the requests would be refused; null = they would not. */
		readonly reason: string | null;
		readonly service: string | null;
		readonly principal: string | null;
		readonly method: string | null;
		readonly path: string | null;
		/** Identifies the Service's rules that applied; null = not known. */
		readonly rules: string | null;
		/** Whether these rules are in the newest plan. */
		readonly inForce: boolean;
		readonly count: number;
		readonly lastMs: number;
	}[];
	/** Whether the list was cut: there are more kinds of requests. */
	readonly cut: boolean;
}

/** Columns with exact-match parameters. */
const EXACT = { service: "service", reason: "reason", principal: "principal", kind: "kind", policy: "policy" } as const;
const EXACT_REQUEST = { requestId: "request", traceId: "trace", gateway: "gateway" } as const;
const COLUMNS: Readonly<Record<string, string>> = { ...EXACT, ...EXACT_REQUEST };
const NUMBERS = ["since", "until", "before", "limit"] as const;

interface AccessRecordQuery {
	readonly view: "decisions" | "shadow";
	/** For shadow counts: include earlier rules. */
	readonly allRules: boolean;
	/** Limits the answer to some namespaces. */
	readonly partial: PartialAnswer;
	readonly sinceMs: number | null;
	readonly where: readonly string[];
	readonly parameters: Parameters;
	readonly limit: number;
}

/**
 * @param namespaces that the reader may see; null = all, and records without a Service
 * @throws WeirError `invalid-argument` for an invalid query
 */
export function parseAccessRecordQuery(query: URLSearchParams, namespaces: ReadNamespaces): AccessRecordQuery {
	const where: string[] = [];
	const parameters: Parameters = {};
	if (namespaces !== null) {
		where.push(`list_contains(string_split($namespaces, ','), ${NAMESPACE})`);
		parameters.namespaces = namespaces.join(",");
	}
	const partial = namespaces === null ? {} : ({ partial: true } as const);
	const view = query.get("view") ?? "decisions";
	if (view !== "decisions" && view !== "shadow") {
		throw new WeirError("invalid-argument", "view is neither decisions nor shadow", "leave it out for decisions");
	}
	const rules = query.get("rules") ?? "in-force";
	if (rules !== "in-force" && rules !== "all") {
		throw new WeirError("invalid-argument", "rules is neither in-force nor all", "leave it out for in-force");
	}
	let limit = 100;
	for (const [name, value] of query) {
		if (query.getAll(name).length > 1)
			throw new WeirError("invalid-argument", "a parameter is given twice", "give one");
		if (name === "view" || name === "rules") continue;
		const column = Object.hasOwn(COLUMNS, name) ? COLUMNS[name] : undefined;
		const number = NUMBERS.find((one) => one === name);
		if (number !== undefined) {
			const parsed = /^\d{1,15}$|^\d{16}$/.test(value) ? Number(value) : Number.NaN;
			if (!Number.isSafeInteger(parsed)) {
				throw new WeirError(
					"invalid-argument",
					`${name} is not a whole number`,
					"since and until are epoch milliseconds",
				);
			}
			if (number === "limit") {
				limit = parsed;
				continue;
			}
			const time = view === "shadow" ? "received_ms" : "at_ms";
			// A gap's length is in latency_ms: since compares with its end.
			const lasts = view === "shadow" ? "" : " + CASE WHEN kind = 'records-missing' THEN latency_ms ELSE 0 END";
			where.push({ since: `${time}${lasts} >= $since`, until: `${time} < $until`, before: "id < $before" }[number]);
			parameters[name] = BigInt(parsed);
		} else if (name === "among") {
			where.push("(policy IS NULL OR list_contains(string_split($among, ','), policy))");
			parameters.among = value;
		} else if (column !== undefined) {
			where.push(`${column} = $${name}`);
			parameters[name] = value;
		} else {
			const known = [...Object.keys(COLUMNS), ...NUMBERS, "view"].join(", ");
			throw new WeirError("invalid-argument", "a parameter is unknown", `known are ${known}`);
		}
	}
	if (limit < 1 || limit > ACCESS_RECORDS_ANSWER_MAX) {
		throw new WeirError(
			"invalid-argument",
			`limit is not within 1 and ${ACCESS_RECORDS_ANSWER_MAX}`,
			"ask page by page",
		);
	}
	const kind = query.get("kind");
	if (kind !== null && !ACCESS_RECORD_KINDS.some((one) => one === kind)) {
		throw new WeirError(
			"invalid-argument",
			"there is no such kind of record",
			`kinds: ${ACCESS_RECORD_KINDS.join(", ")}`,
		);
	}
	const reason = query.get("reason");
	if (reason !== null && !ACCESS_RECORD_REASONS.includes(reason)) {
		throw new WeirError("invalid-argument", "there is no such reason", `reasons: ${ACCESS_RECORD_REASONS.join(", ")}`);
	}
	for (const [name, hint] of [
		["among", "name one policy"],
		["rules", "records name the plan"],
	] as const) {
		if (view !== "shadow" && query.has(name))
			throw new WeirError("invalid-argument", `${name} is for shadow counts alone`, hint);
	}
	if (view === "shadow" && [...query.keys()].some((name) => !SHADOW_PARAMETERS.has(name))) {
		throw new WeirError(
			"invalid-argument",
			"shadow counts cannot be asked for by that",
			`known are ${[...SHADOW_PARAMETERS].join(", ")}`,
		);
	}
	const sinceMs = query.has("since") ? Number(query.get("since")) : null;
	return { view, allRules: rules === "all", partial, sinceMs, where, parameters, limit };
}

const SHADOW_PARAMETERS: ReadonlySet<string> = new Set([
	"view",
	"service",
	"principal",
	"policy",
	"among",
	"rules",
	"since",
	"until",
	"limit",
]);

export async function answerAccessRecords(
	store: EventStore,
	{ partial, sinceMs, where, parameters, limit }: AccessRecordQuery,
): Promise<AccessRecordsAnswer> {
	const condition = where.length === 0 ? "" : `WHERE ${where.join(" AND ")}`;
	const [rows, dropped] = await store.questions.transaction(async (transaction) => [
		await transaction.rows(`SELECT * FROM decisions ${condition} ORDER BY id DESC LIMIT ${limit + 1}`, parameters),
		await droppedAboveLimit(transaction, "decisions", sinceMs),
	]);
	const decisions = rows.slice(0, limit).map(shown);
	const next = rows.length > limit ? (decisions.at(-1)?.id ?? null) : null;
	return { ...partial, ...(dropped === null ? {} : { dropped }), decisions, next };
}

function shown(row: Row): ShownAccessRecord {
	const text = (value: unknown): string | null => (typeof value === "string" ? value : null);
	const number = (value: unknown): number | null => (value === null || value === undefined ? null : Number(value));
	return {
		id: Number(row.id),
		kind: String(row.kind) as AccessRecord["kind"],
		atMs: Number(row.at_ms),
		receivedMs: Number(row.received_ms),
		requestId: text(row.request),
		traceId: text(row.trace),
		gateway: text(row.gateway),
		service: text(row.service),
		method: text(row.method),
		path: text(row.path),
		principal: text(row.principal),
		via: text(row.via),
		unit: typeof row.unit === "bigint" ? shownPseudonym(row.unit) : null,
		experiment: text(row.experiment),
		arm: text(row.arm),
		formerArm: text(row.former_arm),
		variant: text(row.variant),
		verdict: text(row.verdict) as AccessRecord["verdict"],
		reason: String(row.reason),
		policy: text(row.policy),
		by: String(row.decided_by) as AccessRecord["by"],
		plan: text(row.plan),
		status: number(row.status),
		latencyMs: number(row.latency_ms),
		count: Number(row.count),
	};
}

/** @param rulesInForce current rules by qualified name, for Services with shadow policies */
export async function answerShadow(
	store: EventStore,
	{ allRules, partial, sinceMs, where, parameters, limit }: AccessRecordQuery,
	rulesInForce: ReadonlyMap<string, string>,
): Promise<ShadowAnswer> {
	// Names hold no tab or newline, and a null service or rules never matches.
	const now = "service || chr(9) || rules IN (SELECT unnest(string_split($inForce, chr(10))))";
	const condition = [...where, ...(allRules ? [] : [now])].join(" AND ") || "TRUE";
	const inForce = [...rulesInForce].map((one) => one.join("\t")).join("\n");
	const [rows, dropped] = await store.questions.transaction(async (transaction) => [
		await transaction.rows(
			`SELECT change, policy, reason, service, principal, method, path, rules, sum(count)::BIGINT AS count,
			max(received_ms) AS last_ms FROM shadows WHERE ${condition} GROUP BY ALL
			ORDER BY count DESC, change, policy, reason, service, principal, method, path, rules LIMIT ${limit + 1}`,
			allRules ? parameters : { ...parameters, inForce },
		),
		await droppedAboveLimit(transaction, "shadows", sinceMs),
	]);
	const text = (value: unknown): string | null => (typeof value === "string" ? value : null);
	return {
		...partial,
		...(dropped === null ? {} : { dropped }),
		cut: rows.length > limit,
		changes: rows.slice(0, limit).map((row) => ({
			change: row.change === "would-deny" ? "would-deny" : "would-allow",
			policy: text(row.policy),
			reason: text(row.reason),
			service: text(row.service),
			principal: text(row.principal),
			method: text(row.method),
			path: text(row.path),
			rules: text(row.rules),
			inForce: text(row.rules) !== null && rulesInForce.get(text(row.service) ?? "") === text(row.rules),
			count: Number(row.count),
			lastMs: Number(row.last_ms),
		})),
	};
}
