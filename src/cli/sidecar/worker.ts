/** One worker of `weir sidecar --workers N`: answers by the tables that the primary hands on. */
import { randomUUID } from "node:crypto";
import { keepHeapSmall } from "../../sidecar/grpc/heap.js";
import { fromPrimary, sayAlive, toPrimary } from "../../sidecar/grpc/workers.js";
import type { Tables } from "../../sidecar/tables.js";
import { createLog } from "../../telemetry/log.js";
import { endWhenTold } from "../stack/child.js";
import { startAnswering } from "./answering.js";
import { Lateness, TURN_EVERY_MS } from "./lateness.js";
import { type FromWorker, machineMs, type ToWorker } from "./message.js";
import { AskedProofs } from "./usedProofs.js";

const COUNTS_EVERY_MS = 1_000;
const name = randomUUID();

sayAlive();
keepHeapSmall();
const [, , listen = "", who = ""] = process.argv;
const log = createLog({ role: "sidecar" });
const tell = (message: FromWorker): void => toPrimary(message);
const proofs = new AskedProofs(tell);
/** From when it may listen on: before, it answers nobody. */
let lateness: Lateness | null = null;
type Handed = Extract<ToWorker, { readonly kind: "table" }>;
const take = ({ order, given, givenAtMs }: Handed, tables: Tables<unknown>): void => {
	const waitedMs = Math.max(0, machineMs() - givenAtMs);
	lateness?.takes(givenAtMs);
	const inForce = (): void => {
		lateness?.took();
		tell({ kind: "in-force", order });
	};
	tables
		.take(given, inForce, waitedMs)
		// Its replacement would be greeted with the same one, and end as well.
		.catch((error: unknown) => {
			lateness?.took();
			log.error("a table cannot be compiled", { why: error instanceof Error ? (error.stack ?? "") : String(error) });
			tell({ kind: "refused", order });
		});
};
/** Where it listened before, its share of the calls would find no table, or one of an unknown age. */
const greeted = (tables: Tables<unknown>): Promise<Lateness> =>
	new Promise((resolve) => {
		fromPrimary((message) => {
			const said = message as ToWorker;
			if (said.kind === "greeted") {
				const begun = new Lateness(tables, () => tell({ kind: "late" }));
				setInterval(() => begun.turned(), TURN_EVERY_MS).unref();
				lateness = begun;
				resolve(begun);
			} else if (said.kind === "age") {
				// One that lay there while it stood still would make the table younger than it is.
				if (lateness?.told(said.saidAtMs) ?? true) tables.setAge(said.ageMs);
			} else if (said.kind === "proof") proofs.answered(said);
			else take(said, tables);
		});
	});
const { counts, validity, close } = await startAnswering(
	JSON.parse(listen),
	{ ...JSON.parse(who), proofs },
	log,
	greeted,
);
tell({ kind: "listening", pid: process.pid });
const timer = setInterval(
	() => tell({ kind: "counts", process: name, rows: counts.rows(), validity: validity() }),
	COUNTS_EVERY_MS,
);
endWhenTold(() => {
	clearInterval(timer);
	return close();
});
