/** `weir audit operators`: what operators did and tried. `weir audit requests`: the decision log. */
import { WeirError } from "../../error.js";
import type { DecisionsAnswer, ShownDecision } from "../../events/decisionQuery.js";
import type { ApiClient } from "../../state/apiClient.js";
import { AuditChain } from "../../state/auditChain.js";
import type { AuditHead, AuditPage, AuditRecord } from "../../state/auditLog.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { oneLine } from "./oneLine.js";

const print = (line: string): void => void process.stdout.write(`${line}\n`);

export interface AuditOperatorsArguments extends ApiArguments {
	readonly json?: boolean;
	/** Check the chain of hashes instead of printing records. */
	readonly verify?: boolean;
	/** SEQUENCE:HASH, noted at an earlier --verify. */
	readonly noted?: string;
}

/** Exit code 1 where the chain does not hold. */
export async function auditOperators(options: AuditOperatorsArguments): Promise<void> {
	const client = clientOf(options);
	const chain = new AuditChain(options.noted === undefined ? null : notedHead(options.noted));
	let last: Pick<AuditPage, "head" | "dropped" | "gaps"> = { head: { sequence: 0, hash: "" }, dropped: 0, gaps: [] };
	for (let after: number | null = 0; after !== null; ) {
		const page: Awaited<ReturnType<typeof client.audit>> = await client.audit(after);
		for (const record of page.records) {
			chain.add(record);
			if (!options.verify) print(options.json ? JSON.stringify(record) : line(record));
		}
		last = page;
		after = page.next;
	}
	const { dropped, gaps, head } = last;
	if (dropped > 0) process.stderr.write(`weir: ${dropped} older records were dropped\n`);
	const between = gaps.reduce((sum, { from, to }) => sum + to - from + 1, 0);
	if (between > 0) {
		process.stderr.write(`weir: ${between} records between these were dropped: their subjects had the most\n`);
	}
	if (!options.verify) return;
	const fault = chain.end(last);
	if (fault === null) return print(`the chain holds; note its head: ${head.sequence}:${head.hash}`);
	print(`THE CHAIN DOES NOT HOLD: ${fault}`);
	process.exitCode = 1;
}

function notedHead(text: string): AuditHead {
	const [, sequence, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
	if (sequence === undefined || hash === undefined) {
		throw new WeirError("invalid-argument", `'${text}' is no head`, "write SEQUENCE:HASH as --verify printed it");
	}
	return { sequence: Number(sequence), hash };
}

function line(record: AuditRecord): string {
	const { sequence, atMs, subject, how, verb, objects, objectCount, result, why, request, askedBy, approvedBy } =
		record;
	const more = objectCount > objects.length ? ` and ${objectCount - objects.length} more` : "";
	const parts = [
		String(sequence).padStart(5),
		new Date(atMs).toISOString(),
		result.padEnd(7),
		`${subject ?? "nobody known"} (${how ?? "-"})`,
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
	readonly reason?: string;
	readonly principal?: string;
	readonly kind?: string;
	readonly policy?: string;
	/** RFC 3339 date-time. */
	readonly since?: string;
	readonly limit?: string;
	readonly json?: boolean;
}

/** Records of the decision log, the newest first. */
export async function auditRequests(options: AuditRequestsArguments): Promise<void> {
	const client = clientOf(options);
	const asked: Record<string, string> = {};
	for (const name of ["service", "reason", "principal", "kind", "policy"] as const) {
		if (options[name] !== undefined) asked[name] = options[name];
	}
	if (options.since !== undefined) asked.since = String(timeOf(options.since));
	let left = Number(options.limit ?? 100);
	if (!Number.isSafeInteger(left) || left < 1) throw new WeirError("invalid-argument", "--limit is no whole number");
	let before: number | null = null;
	while (left > 0) {
		const page: DecisionsAnswer = (await askRequests(client, {
			...asked,
			limit: String(Math.min(left, REQUESTS_PAGE)),
			...(before === null ? {} : { before: String(before) }),
		})) as DecisionsAnswer;
		for (const record of page.decisions) print(options.json ? JSON.stringify(record) : requestLine(record));
		left -= page.decisions.length;
		before = page.next;
		if (before === null) break;
	}
}

const REQUESTS_PAGE = 1_000;

/** Epoch milliseconds of --since. */
export function timeOf(text: string): number {
	const ms = Date.parse(text);
	if (Number.isNaN(ms)) throw new WeirError("invalid-argument", `'${text}' is no time`, "write 2026-01-31T12:00:00Z");
	return ms;
}

/** @throws WeirError the one that control answers with */
export async function askRequests(client: ApiClient, query: Readonly<Record<string, string>>): Promise<unknown> {
	const { status, json } = await client.raw("GET", `/v1/requests?${new URLSearchParams(query)}`);
	if (status === 200) return json;
	const error = (json as { readonly error?: { readonly message?: string; readonly hint?: string } } | null)?.error;
	const code = status === 400 ? "invalid-argument" : status === 403 ? "permission-denied" : "unavailable";
	throw new WeirError(code, error?.message ?? `control answered ${status}`, error?.hint ?? "");
}

function requestLine(record: ShownDecision): string {
	const { kind, atMs, service, method, path, principal, reason, policy, by, arm, formerArm, status, count } = record;
	const changed = kind === "assignment-changed";
	const parts = [
		new Date(atMs).toISOString(),
		kind.toUpperCase(),
		changed ? `${record.experiment}: ${formerArm ?? "no arm"} → ${arm ?? "no arm"}` : reason,
		...(policy === null ? [] : [`policy ${policy}`]),
		`by ${by}`,
		...(service === null ? [] : [service]),
		...(method === null && path === null ? [] : [`${method ?? "?"} ${path ?? ""}`]),
		principal ?? "no principal",
		...(record.via === null ? [] : [`via ${record.via}`]),
		...(record.unit === null ? [] : [`unit ${record.unit}`]),
		...(status === null ? [] : [String(status)]),
		...(count === 1 ? [] : [`${count} rows`]),
		...(record.plan === null ? [] : [`plan ${record.plan}`]),
		...(record.requestId === null ? [] : [`request ${record.requestId}`]),
		...(record.traceId === null ? [] : [`trace ${record.traceId}`]),
	];
	return oneLine(parts.join("  "));
}
