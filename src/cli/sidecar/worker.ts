/** One worker of `weir sidecar --workers N`: answers by the tables that the primary hands on. */
import { randomUUID } from "node:crypto";
import { keepHeapSmall } from "../../sidecar/grpc/heap.js";
import { fromPrimary, toPrimary } from "../../sidecar/grpc/workers.js";
import { createLog } from "../../telemetry/log.js";
import { endWhenTold } from "../stack/child.js";
import { startAnswering } from "./answering.js";
import { type FromWorker, machineMs, type ToWorker } from "./message.js";
import { AskedProofs } from "./usedProofs.js";

const COUNTS_EVERY_MS = 1_000;
const name = randomUUID();

keepHeapSmall();
const [, , listen = "", who = ""] = process.argv;
const early: ToWorker[] = [];
let take = (message: ToWorker): void => void early.push(message);
// What is said while the server starts is not lost.
fromPrimary((message) => take(message as ToWorker));
const log = createLog({ role: "sidecar" });
const tell = (message: FromWorker): void => toPrimary(message);
const proofs = new AskedProofs(tell);
const { tables, counts, close } = await startAnswering(JSON.parse(listen), { ...JSON.parse(who), proofs }, log);
take = (message) => {
	if (message.kind === "age") return tables.setAge(message.ageMs);
	if (message.kind === "proof") return proofs.answered(message);
	const { order, given, givenAtMs } = message;
	const waitedMs = Math.max(0, machineMs() - givenAtMs);
	tables
		.take(given, () => tell({ kind: "in-force", order }), waitedMs)
		// Its replacement would be greeted with the same one, and end as well.
		.catch((error: unknown) => {
			log.error("a table cannot be compiled", { why: error instanceof Error ? (error.stack ?? "") : String(error) });
			tell({ kind: "refused", order });
		});
};
tell({ kind: "listening", pid: process.pid });
for (const message of early) take(message);
const timer = setInterval(() => tell({ kind: "counts", process: name, rows: counts.rows() }), COUNTS_EVERY_MS);
endWhenTold(() => {
	clearInterval(timer);
	return close();
});
