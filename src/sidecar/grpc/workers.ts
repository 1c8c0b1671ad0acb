/**
 * More cores: worker processes that share one listening socket (node:cluster; the primary accepts and hands the
 * connections round). Envoy opens one connection per worker thread, so that its threads spread over the workers. What
 * the workers need (the table) comes from the primary by messages; a worker that dies, or hangs, is replaced and told again.
 */
import cluster, { type Worker } from "node:cluster";
import { performance } from "node:perf_hooks";
import { WORKER_RESTART_MS, WORKER_SILENT_MS } from "../../limits.js";
import { claimSocket } from "../../socket.js";
import { ALIVE_EVERY_MS, Pulse, type SilenceMs } from "./pulse.js";

/** What a worker says when it hears the primary, and is to be greeted. */
const HEARS = "weir: the worker hears";
/** What it says every second from its start on. */
const ALIVE = "weir: the worker is alive";

export interface WorkersOptions<ToWorker> {
	readonly count: number;
	/** The file that a worker runs: it starts the server and listens to `fromPrimary`. */
	readonly module: string;
	readonly args?: readonly string[] | undefined;
	/** Claimed here, once, before the workers share it. */
	readonly socketPath?: string | undefined;
	/** What a new worker is told first, in order: the state as it is then. */
	readonly greet: (id: number) => readonly ToWorker[];
	/**
	 * A message of a worker: from another process of ours, but unknown until it is looked at.
	 * @param id of the worker; no other ever has it
	 */
	readonly onMessage: (message: unknown, id: number) => void;
	/** A worker is gone. */
	readonly onEnd?: (id: number) => void;
	/** One line for a person. */
	readonly log?: ((line: string) => void) | undefined;
	readonly silentMs?: SilenceMs;
}

export interface Workers<ToWorker> {
	/** Of those that have been greeted; one that is not up yet is greeted with the state as it is then. */
	ids(): number[];
	/** Nothing where it is gone. */
	send(id: number, message: ToWorker): void;
	/** Process ids of the living workers. */
	pids(): number[];
	/** How many have been silent for so long that it was told. */
	silent(): number;
	/** SIGTERM to all, which they take as drain; SIGKILL to what is left after `graceMs`. */
	close(graceMs: number): Promise<void>;
}

/**
 * Only in a process that is no worker itself, and once per process: node:cluster has one set of workers.
 * @throws WeirError where the socket cannot be claimed
 */
export async function startWorkers<ToWorker>(options: WorkersOptions<ToWorker>): Promise<Workers<ToWorker>> {
	const { count, module, args, socketPath, greet, onMessage, onEnd, log, silentMs = WORKER_SILENT_MS } = options;
	if (socketPath !== undefined) await claimSocket(socketPath);
	cluster.setupPrimary({ exec: module, args: [...(args ?? [])], serialization: "advanced" });
	const living = new Set<Worker>();
	const greeted = new Map<number, Worker>();
	const waiting = new Set<NodeJS.Timeout>();
	let closing = false;
	const pulse = new Pulse<Worker>(silentMs, {
		onSilent: ({ process: { pid } }, ms) => log?.(`sidecar worker ${pid} has said nothing for ${ms} ms`),
		onHung: (worker, ms) => {
			log?.(`sidecar worker ${worker.process.pid} hangs: silent for ${ms} ms, it is killed`);
			worker.process.kill("SIGKILL");
		},
	});
	const looks = setInterval(() => pulse.look(), ALIVE_EVERY_MS).unref();

	function start(pauseMs: number): void {
		const startedMs = performance.now();
		const worker = cluster.fork();
		living.add(worker);
		pulse.began(worker);
		worker.on("message", (message: unknown) => {
			if (!living.has(worker)) return;
			pulse.heard(worker);
			if (message === ALIVE) return;
			if (message !== HEARS) {
				onMessage(message, worker.id);
				return;
			}
			for (const first of greet(worker.id)) send(worker, first);
			greeted.set(worker.id, worker);
		});
		worker.on("error", (error) => log?.(`sidecar worker ${worker.process.pid}: ${error.message}`));
		worker.once("exit", (code, signal) => {
			living.delete(worker);
			greeted.delete(worker.id);
			pulse.ended(worker);
			onEnd?.(worker.id);
			if (closing) return;
			const young = performance.now() - startedMs < WORKER_RESTART_MS.max;
			const nextMs = young ? Math.min(pauseMs * 2, WORKER_RESTART_MS.max) : WORKER_RESTART_MS.first;
			log?.(`sidecar worker ${worker.process.pid} ended (${signal ?? code}), the next one starts in ${nextMs} ms`);
			const timer = setTimeout(() => {
				waiting.delete(timer);
				start(nextMs);
			}, nextMs);
			waiting.add(timer);
		});
	}
	for (let i = 0; i < count; i++) start(WORKER_RESTART_MS.first / 2);

	return {
		ids: () => [...greeted.keys()],
		send(id, message) {
			const worker = greeted.get(id);
			if (worker !== undefined) send(worker, message);
		},
		pids() {
			return [...living].flatMap(({ process: { pid } }) => (pid === undefined ? [] : [pid]));
		},
		silent: () => pulse.silent,
		async close(graceMs) {
			closing = true;
			clearInterval(looks);
			for (const timer of waiting) clearTimeout(timer);
			const ends = [...living].map((worker) => new Promise<void>((resolve) => worker.once("exit", () => resolve())));
			for (const worker of living) worker.process.kill("SIGTERM");
			const cut = setTimeout(() => {
				for (const worker of living) worker.process.kill("SIGKILL");
			}, graceMs);
			await Promise.all(ends);
			clearTimeout(cut);
		},
	};
}

/** A worker that dies between two messages is replaced and greeted; nothing is owed to the dead. */
function send(worker: Worker, message: unknown): void {
	if (worker.isConnected()) worker.send(message as object, () => {});
}

/** Worker side: what the primary says, the greeting first. To be called once. */
export function fromPrimary(take: (message: unknown) => void): void {
	process.on("message", take);
	// node:cluster reads the channel from the start: what came before somebody listens would be lost.
	process.send?.(HEARS);
}

/** Worker side: to be called first of all, as what it waits for before it is greeted may take longer than a silence may. */
export function sayAlive(): void {
	// What it, or node:cluster, says to a primary that was killed is lost: the end of the channel, which it reads next, ends it.
	cluster.worker?.on("error", () => {});
	setInterval(() => process.send?.(ALIVE), ALIVE_EVERY_MS).unref();
}

/** Worker side: to the primary's onMessage. */
export function toPrimary(message: object): void {
	process.send?.(message);
}
