/**
 * `weir sidecar`: ext_authz and ext_proc for the Envoys of this machine. Its table comes from control over ADS, of this
 * machine or by mTLS of another, and while control is away from the file of the last good one; or, with --table, from a
 * file alone.
 */
import { statSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { WeirError } from "../../error.js";
import { firstToEnd, type Validity } from "../../identity/validity.js";
import { WORKERS_IN_FORCE_MS_MAX } from "../../limits.js";
import { bareHost } from "../../resources/address.js";
import { keepHeapSmall } from "../../sidecar/grpc/heap.js";
import type { GrpcAddress } from "../../sidecar/grpc/server.js";
import { startWorkers } from "../../sidecar/grpc/workers.js";
import { followTableFile } from "../../sidecar/staticTable.js";
import type { TableFeed } from "../../sidecar/tableFeed.js";
import type { ControlDoor } from "../../sidecar/tableStream.js";
import { Tables } from "../../sidecar/tables.js";
import { requireOwnFolder } from "../../socket.js";
import { createLog, type Log } from "../../telemetry/log.js";
import { createMeter, type Meter } from "../../telemetry/meter.js";
import { serveMetrics } from "../roles/metrics.js";
import { type AnsweringOptions, startAnswering } from "../sidecar/answering.js";
import { Confirmation } from "../sidecar/confirmation.js";
import { CountPublisher } from "../sidecar/counts.js";
import { Handover } from "../sidecar/handover.js";
import { type FromWorker, machineMs, type ToWorker } from "../sidecar/message.js";
import { UsedProofs } from "../sidecar/usedProofs.js";
import { endWhenTold, tellReady } from "../stack/child.js";
import { places } from "../stack/places.js";
import { watchRenewal } from "../stack/renewal.js";
import { port } from "./control.js";
import { type ControlDoorArguments, controlDoor } from "./controlDoor.js";

export interface SidecarArguments extends ControlDoorArguments {
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

/** How long a start waits for the first table before it says that it is ready all the same. */
const FIRST_TABLE_MS = 5_000;
const WORKERS_STOP_MS = 4_000;
/** How often workers are told the age of their table; far below any `maxStaleness` that makes sense. */
const AGE_EVERY_MS = 1_000;

export async function sidecar(options: SidecarArguments): Promise<void> {
	const log = createLog({ role: "sidecar" });
	const meter = createMeter({ role: "sidecar" });
	// A static table needs no directory of control's.
	const at = options.table === undefined ? places(options.data, options.run) : null;
	const remote = remoteOf(options);
	const listen = addressOf(options, at?.sidecarSocket);
	const workers = workersOf(options.workers);
	if (workers > 1 && "port" in listen && listen.port === 0)
		throw new WeirError("invalid-argument", "--workers needs a port", "workers share one: write --listen ADDRESS:PORT");
	// Whoever can write there can put a socket of their own in place, and give the verdicts.
	if ("socketPath" in listen) requireOwnFolder(dirname(resolve(listen.socketPath)));
	if (options.table !== undefined) guardFile(options.table);
	const who: AnsweringOptions = {
		...{ identity: options.identity ?? null, peers: options.peers ?? [] },
		keysDirectory: at?.issuerKeysDirectory ?? null,
	};
	if ("host" in listen && who.identity === null)
		throw new WeirError(
			"invalid-argument",
			"--listen needs an identity: the sidecar listens on TCP only with mutual TLS",
			"add --identity SOCKET (weir ca or SPIRE), or use --socket",
		);
	keepHeapSmall();
	const publisher = new CountPublisher(meter);
	const answering = await (workers === 1
		? inProcess(listen, who, log, publisher)
		: inWorkers(listen, who, workers, log, publisher, meter));
	const renewal = watchRenewal(meter, log, answering.validity);
	const { tables } = answering;
	const first = new Promise<void>((resolve) => {
		const stop = tables.onChange(() => {
			if (tables.newest === null) return;
			stop();
			resolve();
		});
	});
	const source = await followTable(options, at, remote, answering, log).catch(async (error: unknown) => {
		// A sidecar that listens without a table would look alive.
		renewal.close();
		await answering.close();
		throw error;
	});
	let metrics: Awaited<ReturnType<typeof serveMetrics>> | null = null;
	// From here on: a start that waits for control ends in order too.
	endWhenTold(async () => {
		metrics?.close();
		renewal.close();
		// Side by side: a table that a worker which hangs has not taken yet is waited for, and so is that worker's end.
		await Promise.all([source.close(), answering.close()]);
	});
	const metricsSocket = options.metricsSocket ?? at?.sidecarMetricsSocket;
	metrics =
		metricsSocket === undefined
			? null
			: await serveMetrics(metricsSocket, {
					...renewal.meter,
					json: () => {
						answering.publish();
						const age = tables.ageMs() / 1_000;
						meter.gauge("weir_sidecar_table_age_seconds", "Since control last confirmed the table.", age);
						const rejected = source.feed?.rejected ?? 0;
						meter.gauge("weir_sidecar_tables_rejected", "Tables of control that were refused.", rejected);
						const closed = tables.newest?.closed?.length ?? 0;
						meter.gauge(
							"weir_sidecar_services_closed",
							"Services that cannot be executed, and deny everything.",
							closed,
						);
						return renewal.meter.json();
					},
				});
	await answering.up;
	if (tables.newest === null)
		await Promise.race([first, new Promise((resolve) => setTimeout(resolve, FIRST_TABLE_MS))]);
	tellReady({ ...answering.address, plan: tables.newest?.version ?? null });
}

type AnyTables = Tables<unknown>;

interface RemoteControl {
	/** ADDRESS:PORT of its xDS. */
	readonly target: string;
	readonly spiffeId: string;
}

interface Front {
	readonly tables: AnyTables;
	/** To follow control, where that is what the tables come from. */
	readonly confirmation: Confirmation;
	readonly address: GrpcAddress;
	/** Resolves when all of it listens: control is asked meanwhile. */
	readonly up: Promise<void>;
	publish(): void;
	/** Of the SVID, of several that which ends first; null = there is none. */
	validity(): Validity | null;
	close(): Promise<void>;
}

async function inProcess(
	listen: GrpcAddress,
	who: AnsweringOptions,
	log: Log,
	publisher: CountPublisher,
): Promise<Front> {
	const answering = await startAnswering(listen, who, log, async (tables) => new Confirmation(tables, { log }));
	const { tables, freshness, counts, server, validity, close } = answering;
	const publish = (): void => publisher.publish("", counts.rows());
	return { tables, confirmation: freshness, address: server.address, up: Promise.resolve(), publish, validity, close };
}

/** The primary follows the table and hands it on; it answers nothing itself, and has in force what its workers have. */
async function inWorkers(
	listen: GrpcAddress,
	who: AnsweringOptions,
	count: number,
	log: Log,
	publisher: CountPublisher,
	meter: Meter,
): Promise<Front> {
	const handover = new Handover((worker, message) => workers.send(worker, message));
	const tables = new Tables<null>({
		compile: () => null,
		announce: (given) => handover.give(given),
		prepareFirst: true,
		prepare: async (given) => {
			const behind = await handover.settle(given, WORKERS_IN_FORCE_MS_MAX);
			if (behind > 0)
				log.warn("workers do not answer by the new table yet", { version: given.version, workers: behind });
		},
	});
	const confirmation = new Confirmation(tables, { log });
	/** None while it knows none: their tables grow old by themselves, and who asks is told when control has answered. */
	const age = (): ToWorker[] =>
		confirmation.isLate ? [] : [{ kind: "age", ageMs: tables.ageMs(), saidAtMs: machineMs() }];
	const proofs = new UsedProofs(count);
	/** By worker. */
	const validities = new Map<number, Validity>();
	let listening = 0;
	let up: () => void = () => {};
	const allUp = new Promise<void>((resolve) => {
		up = resolve;
	});
	const tellAge = (worker: number): void => {
		if (tables.newest === null || !handover.isServed(worker)) return;
		for (const said of age()) workers.send(worker, said);
	};
	const workers = await startWorkers<ToWorker>({
		count,
		module: fileURLToPath(new URL("../sidecar/worker.js", import.meta.url)),
		args: [JSON.stringify(listen), JSON.stringify(who)],
		...("socketPath" in listen ? { socketPath: listen.socketPath } : {}),
		greet: (worker) => {
			const table = handover.greet(worker);
			// What it is greeted with is what is served, or newer.
			const known = table.length === 0 || tables.newest === null ? [] : age();
			return [...table, ...known, { kind: "greeted" }];
		},
		onMessage: (message, worker) => {
			const said = message as FromWorker;
			if (said.kind === "counts") {
				publisher.publish(said.process, said.rows);
				if (said.validity !== null) validities.set(worker, said.validity);
			} else if (said.kind === "proof") workers.send(worker, proofs.answer(said));
			else if (said.kind === "in-force") {
				handover.report(worker, said.order);
				tellAge(worker);
			} else if (said.kind === "late") tellAge(worker);
			else if (said.kind === "refused") handover.refuse(worker, said.order);
			else if (++listening === count) up();
		},
		onEnd: (worker) => {
			handover.leave(worker);
			validities.delete(worker);
			meter.count("weir_sidecar_workers_ended_total", "Workers that ended, and were replaced.");
		},
		log: (line) => log.warn(line),
	});
	const tellAges = (): void => workers.ids().forEach(tellAge);
	tables.onChange(tellAges);
	const timer = setInterval(tellAges, AGE_EVERY_MS);
	return {
		...{ tables, confirmation },
		address: listen,
		up: allUp,
		publish: () =>
			meter.gauge("weir_sidecar_workers_silent", "Workers that say nothing, and are killed soon.", workers.silent()),
		validity: () => firstToEnd(validities.values()),
		close: () => {
			clearInterval(timer);
			return workers.close(WORKERS_STOP_MS);
		},
	};
}

async function followTable(
	{ table, identity }: SidecarArguments,
	at: ReturnType<typeof places> | null,
	remote: RemoteControl | null,
	{ tables, confirmation, up }: Front,
	log: Log,
): Promise<{ readonly feed: TableFeed<unknown> | null; close(): Promise<void> }> {
	if (at === null) {
		const followed = await followTableFile({ path: table ?? "", tables, log });
		return { feed: null, close: async () => followed.close() };
	}
	// The gRPC client takes memory that a table from a file does not need.
	const { followControl } = await import("../../sidecar/tableFeed.js");
	const rest = {
		filePath: at.sidecarTableFile,
		node: `weir-sidecar/${hostname()}/${process.pid}`,
		...{ tables, log, up },
	};
	const follow = (door: ControlDoor): ReturnType<typeof followControl> => {
		const following = followControl({ ...rest, ...door });
		confirmation.follow(following.feed);
		return {
			feed: following.feed,
			close: async () => {
				confirmation.close();
				await following.close();
			},
		};
	};
	if (remote === null) return follow({ socketPath: at.adsSocket });
	const [{ ownIdentity }, { grpcChannelCredentials }] = await Promise.all([
		import("../stack/identity.js"),
		import("../../identity/grpcTls.js"),
	]);
	const own = await ownIdentity(identity, log);
	const credentials = grpcChannelCredentials(own, (server) => server === remote.spiffeId);
	const following = follow({ target: remote.target, credentials });
	return {
		feed: following.feed,
		close: async () => {
			await following.close();
			own.close();
		},
	};
}

/** Control on another machine; null = its table comes from this one. */
function remoteOf(options: SidecarArguments): RemoteControl | null {
	if (options.control === undefined) return null;
	if (options.table !== undefined)
		throw new WeirError("invalid-argument", "--table and --control exclude each other", "name one source of the table");
	return { target: options.control, spiffeId: controlDoor(options.control, options).spiffeId };
}

/** A table says who may call: only its owner may write it. */
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
			"with --table, say where to listen",
			"add --socket PATH or --listen ADDRESS:PORT",
		);
	return { socketPath };
}

function workersOf(text: string): number {
	const count = Number(text);
	if (!Number.isInteger(count) || count < 1 || count > 256)
		throw new WeirError("invalid-argument", `--workers ${text} is no number of workers`, "1 to 256");
	return count;
}
