/** One worker of `weir sidecar --workers N`: answers by the tables that the primary hands on. */
import { randomUUID } from "node:crypto";
import { keepHeapSmall } from "../../sidecar/grpc/heap.js";
import { fromPrimary, toPrimary } from "../../sidecar/grpc/workers.js";
import type { Tables } from "../../sidecar/tables.js";
import { createLog } from "../../telemetry/log.js";
import { endWhenTold } from "../stack/child.js";
import { startAnswering } from "./answering.js";
import { type FromWorker, machineMs, type ToWorker } from "./message.js";
import { AskedProofs } from "./usedProofs.js";

const COUNTS_EVERY_MS = 1_000;
const name = randomUUID();

keepHeapSmall();
const [, , listen = "", who = ""] = process.argv;
const log = createLog({ role: "sidecar" });
const tell = (message: FromWorker): void => toPrimary(message);
const proofs = new AskedProofs(tell);
type Handed = Extract<ToWorker, { readonly kind: "table" }>;
const take = ({ order, given, givenAtMs }: Handed, tables: Tables<unknown>): void => {
	const waitedMs = Math.max(0, machineMs() - givenAtMs);
	tables
		.take(given, () => tell({ kind: "in-force", order }), waitedMs)
		// Its replacement would be greeted with the same one, and end as well.
		.catch((error: unknown) => {
			log.error("a table cannot be compiled", { why: error instanceof Error ? (error.stack ?? "") : String(error) });
			tell({ kind: "refused", order });
		});
};
/** Where it listened before, its share of the calls would find no table, or one of an unknown age. */
const greeted = (tables: Tables<unknown>): Promise<void> =>
	new Promise((resolve) => {
		fromPrimary((message) => {
			const said = message as ToWorker;
			if (said.kind === "greeted") resolve();
			else if (said.kind === "age") tables.setAge(said.ageMs);
			else if (said.kind === "proof") proofs.answered(said);
			else take(said, tables);
		});
	});
const { counts, close } = await startAnswering(JSON.parse(listen), { ...JSON.parse(who), proofs }, log, greeted);
tell({ kind: "listening", pid: process.pid });
const timer = setInterval(() => tell({ kind: "counts", process: name, rows: counts.rows() }), COUNTS_EVERY_MS);
endWhenTold(() => {
	clearInterval(timer);
	return close();
});
