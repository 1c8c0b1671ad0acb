/**
 * `weir sidecar`: ext_authz and ext_proc for the Envoys of this machine. Its table comes from control over ADS, of this
 * machine or by mTLS of another, and while control is away from the file of the last good one; or, with --table, from a
 * file alone.
 */
import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { bareHost } from "../../declare/resources/address.js";
import { WeirError } from "../../error.js";
import { createLog, type Log } from "../../observe/telemetry/log.js";
import { createMeter, type Meter } from "../../observe/telemetry/meter.js";
import { keepHeapSmall } from "../../publish/sidecar/grpc/heap.js";
import type { GrpcAddress } from "../../publish/sidecar/grpc/server.js";
import { startWorkers } from "../../publish/sidecar/grpc/workers.js";
import { readTableFile } from "../../publish/sidecar/staticTable.js";
import { requireOwnFolder } from "../../trust/local/socket.js";
import { serveMetrics } from "../roles/metrics.js";
import { type AnsweringOptions, type Listening, startAnswering } from "../sidecar/answering.js";
import { Reports } from "../sidecar/counts.js";
import { type TableSource, tableFileOf } from "../sidecar/tableSource.js";
import { UsedProofs } from "../sidecar/usedProofs.js";
import type { FromWorker } from "../sidecar/worker.js";
import { reportReady, stopOnSignal } from "../stack/child.js";
import { places } from "../stack/places.js";
import { watchRenewal } from "../stack/renewal.js";
import { port } from "./control.js";
import { type ControlEndpointArguments, controlEndpoint } from "./controlEndpoint.js";

export interface SidecarArguments extends ControlEndpointArguments {
	readonly data: string;
	readonly run?: string;
	readonly table?: string;
	readonly socket?: string;
	readonly listen?: string;
	readonly metricsSocket?: string;
	readonly workers: string;
	/** SPIFFE ids of the Envoys that --listen answers. */
	readonly peers?: readonly string[];
}

const WORKERS_MAX = 256;
const WORKERS_STOP_MS = 4_000;

export async function sidecar(options: SidecarArguments): Promise<void> {
	const log = createLog({ role: "sidecar" });
	const meter = createMeter({ role: "sidecar" });
	if (options.table !== undefined && options.control !== undefined)
		throw new WeirError("invalid-argument", "--table and --control exclude each other", "name one source of the table");
	// A static table needs no directory of control's.
	const at = options.table === undefined ? places(options.data, options.run) : null;
	const address = addressOf(options, at?.sidecarSocket);
	const workers = workersOf(options.workers);
	if (workers > 1 && "port" in address && address.port === 0)
		throw new WeirError("invalid-argument", "--workers needs a port", "workers share one: write --listen ADDRESS:PORT");
	// A user who can write there can replace the socket, and give the verdicts.
	if ("socketPath" in address) requireOwnFolder(dirname(resolve(address.socketPath)));
	if ("host" in address && options.identity === undefined)
		throw new WeirError(
			"invalid-argument",
			"--listen needs an identity: the sidecar listens on TCP only with mutual TLS",
			"add --identity SOCKET (weir ca or SPIRE), or use --socket",
		);
	if (options.table !== undefined) guardFile(options.table);
	const answering: AnsweringOptions = {
		address,
		source: sourceOf(options, at),
		identity: options.identity ?? null,
		peers: options.peers ?? [],
	};
	if (at !== null) await removeOtherTables(at.sidecarTableFile, workers);
	keepHeapSmall();
	const reports = new Reports(meter);
	const front = await (workers === 1
		? inProcess(answering, log, reports)
		: inWorkers(answering, workers, log, reports, meter));
	const renewal = watchRenewal(meter, log, () => reports.validity());
	let metrics: Awaited<ReturnType<typeof serveMetrics>> | null = null;
	// From here on: a start that waits for control ends in order too.
	stopOnSignal(async () => {
		metrics?.close();
		renewal.close();
		await front.close();
	});
	const metricsSocket = options.metricsSocket ?? at?.sidecarMetricsSocket;
	if (metricsSocket !== undefined) {
		const json = () => {
			front.report();
			return renewal.meter.json();
		};
		metrics = await serveMetrics(metricsSocket, { ...renewal.meter, json });
	}
	reportReady(await front.listen());
}

interface Front {
	listen(): Promise<Listening>;
	/** Takes the newest reports. */
	report(): void;
	close(): Promise<void>;
}

async function inProcess(options: AnsweringOptions, log: Log, reports: Reports): Promise<Front> {
	const { report, ...answering } = await startAnswering(options, log);
	const take = (): void => reports.take(0, "", report());
	take();
	return { ...answering, report: take };
}

/** The primary answers nothing itself. */
async function inWorkers(
	options: AnsweringOptions,
	count: number,
	log: Log,
	reports: Reports,
	meter: Meter,
): Promise<Front> {
	const { address, source } = options;
	// Each worker would end for a bad one, and be replaced.
	if ("table" in source) await readTableFile(source.table);
	const proofs = new UsedProofs(count);
	let listening = 0;
	let up: (first: Listening) => void = () => {};
	const allUp = new Promise<Listening>((resolve) => {
		up = resolve;
	});
	const workers = await startWorkers({
		count,
		module: fileURLToPath(new URL("../sidecar/worker.js", import.meta.url)),
		args: [JSON.stringify(options)],
		...("socketPath" in address ? { socketPath: address.socketPath } : {}),
		onMessage: (message, worker) => {
			const received = message as FromWorker;
			if (received.kind === "report") reports.take(worker, received.process, received.report);
			else if (received.kind === "proof") workers.send(worker, proofs.answer(received));
			else if (++listening === count) up({ ...address, plan: received.plan });
		},
		onEnd: (worker) => {
			reports.drop(worker);
			meter.count("weir_sidecar_workers_ended_total", "Workers that ended, and were replaced.");
		},
		log: (line) => log.warn(line),
	});
	return { listen: () => allUp, report: () => {}, close: () => workers.close(WORKERS_STOP_MS) };
}

/** Tables of workers that there are no more: what was denied since they were written is not known there. */
async function removeOtherTables(file: string, workers: number): Promise<void> {
	const others = Array.from({ length: WORKERS_MAX - workers }, (_, index) => tableFileOf(file, workers + index));
	await Promise.all(others.map((path) => rm(path, { force: true })));
}

function sourceOf(options: SidecarArguments, at: ReturnType<typeof places> | null): TableSource {
	const { table, control } = options;
	if (at === null) return { table: table ?? "" };
	return {
		control:
			control === undefined
				? { socketPath: at.adsSocket }
				: { target: control, spiffeId: controlEndpoint(control, options).spiffeId },
		file: at.sidecarTableFile,
		instance: randomUUID(),
	};
}

/** A table decides who may call: only its owner may write it. */
function guardFile(path: string): void {
	const found = statSync(path, { throwIfNoEntry: false });
	if (found !== undefined && (found.mode & 0o022) !== 0)
		throw new WeirError("failed-precondition", `other users can write ${path}`, `chmod go-w ${path}`);
}

function addressOf({ socket, listen }: SidecarArguments, usual: string | undefined): GrpcAddress {
	if (socket !== undefined && listen !== undefined)
		throw new WeirError("invalid-argument", "--socket and --listen exclude each other", "name one place to listen");
	if (listen !== undefined) {
		const colon = listen.lastIndexOf(":");
		const host = bareHost(listen.slice(0, Math.max(0, colon)));
		return { host, port: port(listen.slice(colon + 1)) };
	}
	const socketPath = socket ?? usual;
	if (socketPath === undefined)
		throw new WeirError(
			"invalid-argument",
			"--table needs an address to listen on",
			"add --socket PATH or --listen ADDRESS:PORT",
		);
	return { socketPath };
}

function workersOf(text: string): number {
	const count = Number(text);
	if (!Number.isInteger(count) || count < 1 || count > WORKERS_MAX)
		throw new WeirError("invalid-argument", `--workers ${text} is no number of workers`, `1 to ${WORKERS_MAX}`);
	return count;
}
