/** One worker of `weir sidecar --workers N`: it follows the tables itself. The primary restarts it, sums its counts and remembers proofs. */
import { randomUUID } from "node:crypto";
import { createLog } from "../../observe/telemetry/log.js";
import { keepHeapSmall } from "../../publish/sidecar/grpc/heap.js";
import { fromPrimary, sayAlive, toPrimary, workerNumber } from "../../publish/sidecar/grpc/workers.js";
import { stopOnSignal } from "../stack/child.js";
import { type AnsweringOptions, type Listening, startAnswering } from "./answering.js";
import type { Report } from "./counts.js";
import { tableFileOf } from "./tableSource.js";
import { AskedProofs, type ProofAnswer, type ProofAsked } from "./usedProofs.js";

export type FromWorker =
	| ({ readonly kind: "listening" } & Listening)
	| { readonly kind: "report"; readonly process: string; readonly report: Report }
	| ProofAsked;

const REPORT_EVERY_MS = 1_000;
/** Process ids come again. */
const name = randomUUID();

sayAlive();
keepHeapSmall();
const given: AnsweringOptions = JSON.parse(process.argv[2] ?? "");
const source =
	"table" in given.source ? given.source : { ...given.source, file: tableFileOf(given.source.file, workerNumber()) };
const send = (message: FromWorker): void => toPrimary(message);
const proofs = new AskedProofs(send);
fromPrimary((message) => proofs.answered(message as ProofAnswer));
const answering = await startAnswering({ ...given, source }, createLog({ role: "sidecar" }), proofs);
stopOnSignal(() => answering.close());
send({ kind: "listening", ...(await answering.listen()) });
setInterval(() => send({ kind: "report", process: name, report: answering.report() }), REPORT_EVERY_MS).unref();
