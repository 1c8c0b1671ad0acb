/** `weir audit operators`: what operators did and tried. `weir audit requests`: the access record log. */
import { epochMs } from "../../compile/access/requests/rfc3339.js";
import { qualifiedText } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { OPERATOR_AUDIT_PAGE_MAX } from "../../limits/index.js";
import type { AccessRecordsAnswer, ShownAccessRecord } from "../../observe/events/query/accessRecordQuery.js";
import type { ApiClient } from "../../operate/api/apiClient.js";
import { AuditChain } from "../../operate/audit/auditChain.js";
import { AUDIT_CHAINS, type AuditChainName, type AuditPage } from "../../operate/audit/auditLog.js";
import type { AuditHead, AuditRecord } from "../../operate/audit/auditRecord.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { printDropped } from "./droppedRecords.js";
import { ofAll } from "./ofAll.js";
import { oneLine } from "./oneLine.js";

const print = (line: string): void => void process.stdout.write(`${line}\n`);

export interface AuditOperatorsArguments extends ApiArguments {
	readonly json?: boolean;
	/** Check the chains of hashes instead of printing records. */
	readonly verify?: boolean;
	/** Heads that an earlier --verify printed: SEQUENCE:HASH, refused:SEQUENCE:HASH. */
	readonly noted?: readonly string[];
}

/** Exit code 1 if a chain is broken, or a noted head cannot be verified. */
export async function auditOperators(options: AuditOperatorsArguments): Promise<void> {
	const client = clientOf(options);
	const noted = (options.noted ?? []).map(notedHead);
	if (!options.verify && noted.length === 0)
		return printMerged(new ChainReader(client, "operations"), new ChainReader(client, "refused"), options);
	for (const name of AUDIT_CHAINS) {
		const reader = new ChainReader(client, name);
		const chain = new AuditChain(noted.filter(({ of }) => of === name));
		for (let record = await reader.next(); record !== null; record = await reader.next()) chain.add(record);
		const { last } = reader;
		reportDropped(reader);
		const fault = chain.end(last);
		if (fault === null) {
			print(`${name}: the chain holds; note its head: ${headMark(name)}${last.head.sequence}:${last.head.hash}`);
		} else print(`${name}: THE CHAIN DOES NOT HOLD: ${fault}`);
		for (const sequence of chain.notKept(last)) {
			print(`${name}: NOT PROVED: the noted record ${sequence} is not kept, nothing is proved of it`);
		}
		if (fault !== null || chain.notKept(last).length > 0) process.exitCode = 1;
	}
}

/** The records of one chain in order, page by page. */
class ChainReader {
	#page: AuditPage | null = null;
	#at = 0;

	constructor(
		private readonly client: ApiClient,
		readonly chain: AuditChainName,
	) {}

	/** The page that was read last. */
	get last(): AuditPage {
		if (this.#page === null) throw new WeirError("internal", "no page was read");
		return this.#page;
	}

	/** null = there are no more. */
	async next(): Promise<AuditRecord | null> {
		while (this.#page === null || this.#at >= this.#page.records.length) {
			if (this.#page?.next === null) return null;
			this.#page = await this.client.audit(this.#page?.next ?? 0, OPERATOR_AUDIT_PAGE_MAX, this.chain);
			this.#at = 0;
		}
		return this.#page.records[this.#at++] ?? null;
	}
}

/** Merged by time. */
async function printMerged(
	operations: ChainReader,
	refused: ChainReader,
	{ json }: AuditOperatorsArguments,
): Promise<void> {
	let [act, attempt] = [await operations.next(), await refused.next()];
	while (act !== null || attempt !== null) {
		const isAct = attempt === null || (act !== null && act.atMs <= attempt.atMs);
		const [chain, record] = isAct ? (["operations", act] as const) : (["refused", attempt] as const);
		if (record !== null) print(json ? JSON.stringify({ chain, ...record }) : line(record, headMark(chain)));
		if (isAct) act = await operations.next();
		else attempt = await refused.next();
	}
	for (const reader of [operations, refused]) reportDropped(reader);
}

function reportDropped({ chain, last: { dropped } }: ChainReader): void {
	if (dropped > 0) process.stderr.write(`weir: ${dropped} older records of the chain ${chain} were dropped\n`);
}

/** Prefix for sequences of the chain of refused attempts. */
function headMark(chain: AuditChainName): string {
	return chain === "operations" ? "" : "refused:";
}

function notedHead(text: string): AuditHead & { readonly of: AuditChainName } {
	const [, mark, sequence, hash] = /^(refused:)?(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
	if (sequence === undefined || hash === undefined) {
		throw new WeirError("invalid-argument", `'${text}' is no head`, "write it as --verify printed it");
	}
	return { of: mark === undefined ? "operations" : "refused", sequence: Number(sequence), hash };
}

function line(record: AuditRecord, mark: string): string {
	const { sequence, atMs, subject, how, verb, objects, objectCount, result, why, request, askedBy, approvedBy } =
		record;
	// A change is recorded in full, over several records.
	const rest =
		result === "done" ? ` (${objects.length} of ${objectCount})` : ` and ${objectCount - objects.length} more`;
	const more = objectCount > objects.length ? rest : "";
	const parts = [
		`${mark}${sequence}`.padStart(13),
		new Date(atMs).toISOString(),
		result.padEnd(7),
		`${subject ?? "unknown"} (${how ?? "-"})`,
		`${verb}: ${objects.join(", ")}${more}`,
		...(record.revisionAfter === record.revisionBefore
			? []
			: [`revision ${record.revisionBefore} → ${record.revisionAfter}`]),
		...(request === null ? [] : [`request ${request}`]),
		...(askedBy === null || askedBy === subject ? [] : [`asked by ${askedBy}`]),
		...(approvedBy.length === 0 ? [] : [`approved by ${approvedBy.join(", ")}`]),
		...(why === "" ? [] : [why]),
		...(record.unrecordedRefusals === 0 ? [] : [`${record.unrecordedRefusals} refusals before it were only counted`]),
	];
	return oneLine(parts.join("  "));
}

export interface AuditRequestsArguments extends ApiArguments {
	readonly service?: string;
	/** Its x-request-id. */
	readonly request?: string;
	readonly reason?: string;
	readonly principal?: string;
	readonly kind?: string;
	readonly policy?: string;
	/** RFC 3339 date-time. */
	readonly since?: string;
	readonly limit?: string;
	readonly json?: boolean;
}

/** Records of the access record log that the user may read, the newest first. */
export async function auditRequests(options: AuditRequestsArguments): Promise<void> {
	const client = clientOf(options);
	const asked: Record<string, string> = {};
	for (const name of ["service", "reason", "principal", "kind", "policy"] as const) {
		const value = options[name];
		if (value !== undefined) asked[name] = name === "service" || name === "policy" ? qualifiedText(value) : value;
	}
	if (options.request !== undefined) asked.requestId = options.request;
	if (options.since !== undefined) asked.since = String(timeOf(options.since));
	let left = Number(options.limit ?? 100);
	if (!Number.isSafeInteger(left) || left < 1) throw new WeirError("invalid-argument", "--limit is no whole number");
	let before: number | null = null;
	let printed = 0;
	let dropped: AccessRecordsAnswer["dropped"];
	while (left > 0) {
		const page: AccessRecordsAnswer = (await askRequests(client, {
			...asked,
			limit: String(Math.min(left, REQUESTS_PAGE)),
			...(before === null ? {} : { before: String(before) }),
		})) as AccessRecordsAnswer;
		for (const record of page.decisions) print(options.json ? JSON.stringify(record) : requestLine(record));
		left -= page.decisions.length;
		printed += page.decisions.length;
		before = page.next;
		if (printed === 0) process.stderr.write(`weir: no such record${ofAll(page.partial)}\n`);
		({ dropped } = page);
		if (before === null) break;
	}
	printDropped("records", dropped);
}

const REQUESTS_PAGE = 1_000;

/** Epoch milliseconds of --since: an RFC 3339 time, or a day, which begins in UTC. */
export function timeOf(text: string): number {
	const ms = epochMs(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text);
	if (ms === null)
		throw new WeirError("invalid-argument", `'${text}' is no time`, "write 2026-01-31T12:00:00Z, or a day");
	return ms;
}

/** @throws WeirError with control's message */
export async function askRequests(client: ApiClient, query: Readonly<Record<string, string>>): Promise<unknown> {
	const { status, json } = await client.raw("GET", `/v1/requests?${new URLSearchParams(query)}`);
	if (status === 200) return json;
	const error = (json as { readonly error?: { readonly message?: string; readonly hint?: string } } | null)?.error;
	const code = status === 400 ? "invalid-argument" : status === 403 ? "permission-denied" : "unavailable";
	throw new WeirError(code, error?.message ?? `control answered ${status}`, error?.hint ?? "");
}

const missingUntil = ({ atMs, latencyMs, gateway }: ShownAccessRecord): string =>
	`of what ended until ${new Date(atMs + (latencyMs ?? 0)).toISOString()}${gateway === null ? "" : ` at Gateway ${gateway}`}`;

/** Envoy refuses a gRPC request by a grpc-status, under 200, and no other request (gRPC over HTTP/2, Responses). */
const isGrpcRefusal = ({ kind, status }: ShownAccessRecord): boolean => kind === "denied" && status === 200;

function requestLine(record: ShownAccessRecord): string {
	const { kind, atMs, service, method, path, principal, reason, policy, by, arm, formerArm, status, count } = record;
	const changed = kind === "assignment-changed";
	const missing = kind === "records-missing";
	const rows = missing
		? [
				count === 0
					? "unknown how many"
					: `${count} ${reason === "not-received" ? "access-log entries, two a request" : "records"}`,
			]
		: count === 1
			? []
			: [`${count} ${kind === "outcome-refused" && policy !== null ? "rows" : "times"}`];
	const parts = [
		new Date(atMs).toISOString(),
		kind.toUpperCase(),
		changed ? `${record.experiment}: ${formerArm ?? "no arm"} → ${arm ?? "no arm"}` : reason,
		...(policy === null ? [] : [`${kind === "outcome-refused" ? "Metric" : "policy"} ${policy}`]),
		`by ${by}`,
		...(service === null ? [] : [service]),
		...(method === null && path === null ? [] : [`${method ?? "?"} ${path ?? ""}`]),
		...(missing ? [missingUntil(record)] : []),
		...(missing && principal === null ? [] : [principal ?? "no principal"]),
		...(record.via === null ? [] : [`via ${record.via}`]),
		...(record.unit === null ? [] : [`unit ${record.unit}`]),
		...(status === null ? [] : [isGrpcRefusal(record) ? "200 (gRPC: its grpc-status refuses)" : String(status)]),
		...rows,
		...(record.plan === null ? [] : [`plan ${record.plan}`]),
		...(record.requestId === null ? [] : [`request ${record.requestId}`]),
		...(record.traceId === null ? [] : [`trace ${record.traceId}`]),
	];
	return oneLine(parts.join("  "));
}
