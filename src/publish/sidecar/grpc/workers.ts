/**
 * Worker processes that share one listening socket (node:cluster, round-robin). Envoy opens one connection per worker thread,
 * so its threads spread over the workers. A worker that dies or hangs is replaced.
 */
import cluster, { type Worker } from "node:cluster";
import { performance } from "node:perf_hooks";
import { WORKER_RESTART_MS } from "../../../limits/index.js";
import { claimSocket } from "../../../trust/local/socket.js";

/**
 * A sidecar worker sends a message every second; it is killed and replaced after this silence. On a busy machine it may
 * take 5 s to load its code or a table.
 */
const WORKER_SILENT_MS = 30_000;

/** The heartbeat of a worker: without it, the worker hangs. */
const ALIVE = "weir: the worker is alive";
export const ALIVE_EVERY_MS = 1_000;

const NUMBER = "WEIR_SIDECAR_WORKER";

export interface WorkersOptions {
	readonly count: number;
	/** The script of a worker. */
	readonly module: string;
	readonly args: readonly string[];
	/** Claimed once by the primary. */
	readonly socketPath?: string | undefined;
	/**
	 * Called for a message of a worker.
	 * @param id of the worker, never reused
	 */
	readonly onMessage: (message: unknown, id: number) => void;
	/** Called when a worker has ended and is replaced. */
	readonly onEnd?: (id: number) => void;
	/** Logs one line. */
	readonly log?: ((line: string) => void) | undefined;
	readonly silentMs?: number;
}

export interface Workers {
	/** Does nothing if the worker has ended. */
	send(id: number, message: object): void;
	/** Process ids of the living workers. */
	pids(): number[];
	/** Sends SIGTERM, on which workers drain, and SIGKILL after `graceMs`. */
	close(graceMs: number): Promise<void>;
}

/**
 * Call it once per process, in the primary only: node:cluster has one set of workers.
 * @throws WeirError if the socket cannot be claimed
 */
export async function startWorkers(options: WorkersOptions): Promise<Workers> {
	const { count, module, args, socketPath, onMessage, onEnd, log, silentMs = WORKER_SILENT_MS } = options;
	if (socketPath !== undefined) await claimSocket(socketPath);
	cluster.setupPrimary({ exec: module, args: [...args], serialization: "advanced" });
	/** Per worker, the checks since its last message. A clock would also count a standstill of the primary. */
	const living = new Map<Worker, number>();
	const waiting = new Set<NodeJS.Timeout>();
	let closing = false;
	const looks = setInterval(() => {
		for (const [worker, before] of living) {
			living.set(worker, before + 1);
			if ((before + 1) * ALIVE_EVERY_MS < silentMs) continue;
			log?.(`sidecar worker ${worker.process.pid} hangs, it is killed`);
			worker.process.kill("SIGKILL");
		}
	}, ALIVE_EVERY_MS).unref();

	function start(number: number, pauseMs: number): void {
		const startedMs = performance.now();
		const worker = cluster.fork({ [NUMBER]: number });
		living.set(worker, 0);
		worker.on("message", (message: unknown) => {
			if (!living.has(worker)) return;
			living.set(worker, 0);
			if (message !== ALIVE) onMessage(message, worker.id);
		});
		worker.on("error", (error) => log?.(`sidecar worker ${worker.process.pid}: ${error.message}`));
		worker.once("exit", (code, signal) => {
			living.delete(worker);
			onEnd?.(worker.id);
			if (closing) return;
			const young = performance.now() - startedMs < WORKER_RESTART_MS.max;
			const nextMs = young ? Math.min(pauseMs * 2, WORKER_RESTART_MS.max) : WORKER_RESTART_MS.first;
			log?.(`sidecar worker ${worker.process.pid} ended (${signal ?? code}), the next one starts in ${nextMs} ms`);
			const timer = setTimeout(() => {
				waiting.delete(timer);
				start(number, nextMs);
			}, nextMs);
			waiting.add(timer);
		});
	}
	for (let number = 0; number < count; number++) start(number, WORKER_RESTART_MS.first / 2);

	return {
		send(id, message) {
			const worker = cluster.workers?.[id];
			// The send may fail if the worker dies; it is replaced then.
			if (worker?.isConnected()) worker.send(message, () => {});
		},
		pids() {
			return [...living.keys()].flatMap(({ process: { pid } }) => (pid === undefined ? [] : [pid]));
		},
		async close(graceMs) {
			closing = true;
			clearInterval(looks);
			for (const timer of waiting) clearTimeout(timer);
			const ends = [...living.keys()].map(
				(worker) => new Promise<void>((resolve) => worker.once("exit", () => resolve())),
			);
			for (const worker of living.keys()) worker.process.kill("SIGTERM");
			const cut = setTimeout(() => {
				for (const worker of living.keys()) worker.process.kill("SIGKILL");
			}, graceMs);
			await Promise.all(ends);
			clearTimeout(cut);
		},
	};
}

/** In a worker: its number from 0 to count - 1. A replacement keeps the number. */
export const workerNumber = (): number => Number(process.env[NUMBER]);

/** In a worker: listens to the primary. Call it once. */
export function fromPrimary(take: (message: unknown) => void): void {
	process.on("message", take);
}

/** In a worker: starts the heartbeat. Call it first. */
export function sayAlive(): void {
	// Errors are ignored: if the primary was killed, the end of the channel ends this process.
	cluster.worker?.on("error", () => {});
	setInterval(() => process.send?.(ALIVE), ALIVE_EVERY_MS).unref();
}

/** In a worker: sends a message to the primary's onMessage. */
export function toPrimary(message: object): void {
	process.send?.(message);
}
