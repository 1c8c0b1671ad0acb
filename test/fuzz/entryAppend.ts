/** Appends decoded access-log entries to the store's own tables, in memory and never committed. */
import { type DuckDBAppender, DuckDBInstance } from "@duckdb/node-api";
import type { AccessLogEntry } from "../../src/observe/events/receive/accessLog/accessLogEntry.js";
import { decodeMessage } from "../../src/observe/events/receive/accessLog/entryDecoder.js";
import { entryFault } from "../../src/observe/events/receive/accessLog/entryFault.js";
import { type AccessRecord, accessRecordIn } from "../../src/observe/events/receive/accessRecords/accessRecord.js";
import { putAccessRecord } from "../../src/observe/events/receive/accessRecords/accessRecordAppend.js";
import { readEntry } from "../../src/observe/events/receive/requests/entryReader.js";
import { PlanReader } from "../../src/observe/events/receive/requests/planReader.js";
import type { Reading } from "../../src/observe/events/receive/requests/requestRow.js";
import { putExposure, putRow } from "../../src/observe/events/receive/requests/rowAppend.js";
import { createPseudonyms } from "../../src/observe/events/store/pseudonym.js";
import { SCHEMA } from "../../src/observe/events/store/schema.js";
import { PLANS } from "../observe/events/rig.js";

const RECEIVED_MS = 4_000_000_000;
const ROUTE = { version: "p1", service: "shop", experiment: "models" };

async function open() {
	const connection = await (await DuckDBInstance.create(":memory:")).connect();
	await connection.run(SCHEMA);
	await connection.run("CREATE TABLE candidates AS SELECT * EXCLUDE (ordinal) FROM units LIMIT 0");
	const plan = await new PlanReader(async (version) => PLANS[version] ?? null).load(ROUTE.version);
	if (plan === null) throw new Error("no plan");
	return {
		plan,
		context: { plan: () => plan, pseudonyms: createPseudonyms(new Uint8Array(32)) },
		entries: await connection.createAppender("entries"),
		decisions: await connection.createAppender("decisions"),
		candidates: await connection.createAppender("candidates"),
	};
}

let opened: ReturnType<typeof open> | null = null;

/**
 * Every entry that passes the listener's check fits.
 * @throws if it does not
 */
export async function appendEntries(message: Buffer): Promise<void> {
	opened ??= open();
	const { plan, context, entries, decisions, candidates } = await opened;
	const read: { readonly reading: Reading; readonly decision: AccessRecord | null }[] = [];
	const take = (entry: AccessLogEntry): void => {
		if (entryFault(entry, RECEIVED_MS) !== null) return;
		const reading = readEntry(entry, ROUTE, plan, context, RECEIVED_MS);
		read.push({ reading, decision: entry.kind === "end" ? accessRecordIn(entry, null) : null });
	};
	try {
		decodeMessage(message, take);
	} catch {
		// A broken message; its earlier entries are kept (accessLog.ts).
	}
	const append = (to: DuckDBAppender, put: () => void): void => {
		put();
		to.endRow();
		to.clear();
	};
	for (const { reading, decision } of read) {
		if (decision !== null) append(decisions, () => putAccessRecord(decisions, 1, RECEIVED_MS, decision));
		if (reading.kind !== "row") continue;
		const { row, exposure } = reading;
		append(entries, () => putRow(entries, row));
		if (exposure !== null) append(candidates, () => putExposure(candidates, exposure));
	}
}
