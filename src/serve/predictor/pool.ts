/**
 * A pool of session workers with the same models. Inferences go to the least busy ready worker, or wait in order and can be
 * cancelled. A worker that dies is replaced; its running jobs fail without a retry, because they may be the cause.
 *
 * A crash in onnxruntime's native code ends the process, not only the worker: run several predictors behind Envoy.
 */
import { performance } from "node:perf_hooks";
import { Worker } from "node:worker_threads";
import { WeirError } from "../../error.js";
import { PREDICTOR_DRAIN_MS, WORKER_RESTART_MS } from "../../limits/index.js";
import type { FromWorker, ToWorker, WorkerStart } from "./message.js";
import type { Log, Meter } from "./ports.js";
import type { ModelSignature, ModelSource, Tensor } from "./tensor.js";

/** Requests sent to one session worker: one runs, one waits; the others can still be cancelled. */
const PREDICTOR_PIPELINE_MAX = 2;

export interface PoolOptions {
	readonly models: readonly ModelSource[];
	readonly workers: number;
	readonly meter?: Meter | undefined;
	readonly log?: Log | undefined;
	/** Another worker file, for tests. */
	readonly workerUrl?: URL | undefined;
}

export interface Inference {
	/** Index into the models. */
	readonly model: number;
	readonly inputs: readonly Tensor[];
	readonly outputs: readonly string[];
}

export interface InferenceResult {
	readonly outputs: readonly Tensor[];
	/** Time inside the session, and time before it was handed to a worker. */
	readonly runMs: number;
	readonly queueMs: number;
}

export interface Submitted {
	/** Rejects with WeirError `invalid-argument`, `internal` or `unavailable`. */
	readonly result: Promise<InferenceResult>;
	/** Rejects a waiting job; a running job finishes. */
	cancel(): void;
}

interface Job {
	readonly inference: Inference;
	readonly submittedMs: number;
	dispatchedMs: number;
	readonly resolve: (result: InferenceResult) => void;
	readonly reject: (error: WeirError) => void;
}

interface WorkerSlot {
	readonly worker: Worker;
	readonly startedMs: number;
	ready: boolean;
	readonly running: Map<number, Job>;
	lastError: string;
}

export class Pool {
	/** By model index; set when the first worker is ready. */
	signatures: readonly ModelSignature[] = [];
	readonly #options: PoolOptions;
	readonly #slots = new Set<WorkerSlot>();
	readonly #timers = new Set<NodeJS.Timeout>();
	#waiting: Job[] = [];
	#nextJob = 0;
	#restartMs: number = WORKER_RESTART_MS.first;
	#closing = false;

	private constructor(options: PoolOptions) {
		this.#options = options;
	}

	/** @throws WeirError `failed-precondition` if a model cannot be loaded; nothing keeps running then */
	static async start(options: PoolOptions): Promise<Pool> {
		const pool = new Pool(options);
		try {
			await Promise.all(Array.from({ length: options.workers }, () => pool.#startWorker()));
		} catch (error) {
			await pool.close();
			throw error;
		}
		return pool;
	}

	/** Whether a worker can take an inference now. */
	get ready(): boolean {
		return !this.#closing && [...this.#slots].some(({ ready }) => ready);
	}

	get waiting(): number {
		return this.#waiting.length;
	}

	submit(inference: Inference): Submitted {
		let job: Job | undefined;
		const result = new Promise<InferenceResult>((resolve, reject) => {
			if (!this.ready) {
				reject(new WeirError("unavailable", "no session worker is ready", "try again in a moment"));
				return;
			}
			const submittedMs = performance.now();
			job = { inference, submittedMs, dispatchedMs: submittedMs, resolve, reject };
			this.#waiting.push(job);
			this.#dispatch();
		});
		return {
			result,
			cancel: () => {
				const at = job === undefined ? -1 : this.#waiting.indexOf(job);
				if (at < 0) return;
				this.#waiting.splice(at, 1);
				job?.reject(new WeirError("cancelled", "the client has gone"));
			},
		};
	}

	/**
	 * Ends the workers after their running jobs. Do not submit any more. A worker that still loads its models ends after that:
	 * onnxruntime aborts the process if a thread is terminated inside it.
	 */
	async close(): Promise<void> {
		this.#closing = true;
		for (const timer of this.#timers) clearTimeout(timer);
		this.#rejectWaiting("the predictor is closing");
		await Promise.all(
			[...this.#slots].map(async ({ worker }) => {
				const gone = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
				worker.postMessage({ kind: "close" } satisfies ToWorker);
				const timer = setTimeout(() => void worker.terminate(), PREDICTOR_DRAIN_MS);
				await gone;
				clearTimeout(timer);
			}),
		);
	}

	/** Starts one worker; resolves when it is ready. */
	#startWorker(): Promise<void> {
		const start: WorkerStart = { models: this.#options.models, intraOpNumThreads: 1 };
		const url = this.#options.workerUrl ?? new URL("./session.worker.js", import.meta.url);
		const worker = new Worker(url, { workerData: start });
		const slot: WorkerSlot = { worker, startedMs: performance.now(), ready: false, running: new Map(), lastError: "" };
		this.#slots.add(slot);
		return new Promise((resolve, reject) => {
			worker.on("message", (message: FromWorker) => {
				if (message.kind === "ready") {
					if (this.signatures.length === 0) this.signatures = message.signatures;
					slot.ready = true;
					resolve();
					this.#dispatch();
				} else if (message.kind === "unloadable") {
					const error = this.#unloadable(message.model, message.message);
					slot.lastError = error.message;
					reject(error);
				} else {
					this.#answer(slot, message);
				}
			});
			worker.on("error", (error) => {
				slot.lastError = error.message;
			});
			worker.on("exit", () => {
				this.#replace(slot);
				reject(new WeirError("internal", `a session worker ended while loading: ${slot.lastError}`));
			});
		});
	}

	#unloadable(model: number, message: string): WeirError {
		const source = this.#options.models[model];
		return new WeirError(
			"failed-precondition",
			`model '${source?.name}': cannot load ${source?.path}: ${message}`,
			"the file must be an ONNX model whose inputs and outputs are tensors",
		);
	}

	#dispatch(): void {
		let at = 0;
		for (; at < this.#waiting.length; at++) {
			const job = this.#waiting[at];
			if (job === undefined) continue;
			const slot = this.#leastBusy();
			if (slot === null) break;
			const number = this.#nextJob++;
			job.dispatchedMs = performance.now();
			slot.running.set(number, job);
			slot.worker.postMessage({ kind: "run", job: number, ...job.inference } satisfies ToWorker);
		}
		if (at > 0) this.#waiting.splice(0, at);
	}

	#leastBusy(): WorkerSlot | null {
		let best: WorkerSlot | null = null;
		for (const slot of this.#slots) {
			if (!slot.ready || slot.running.size >= PREDICTOR_PIPELINE_MAX) continue;
			if (best === null || slot.running.size < best.running.size) best = slot;
		}
		return best;
	}

	#answer(slot: WorkerSlot, message: Extract<FromWorker, { kind: "done" | "failed" }>): void {
		const job = slot.running.get(message.job);
		slot.running.delete(message.job);
		if (job !== undefined) {
			if (message.kind === "done") {
				const queueMs = job.dispatchedMs - job.submittedMs;
				job.resolve({ outputs: message.outputs, runMs: message.runMs, queueMs });
			} else {
				const request = message.fault === "request";
				const what = request ? "the tensors do not fit the model" : "the model failed";
				job.reject(new WeirError(request ? "invalid-argument" : "internal", `${what}: ${message.message}`));
			}
		}
		this.#dispatch();
	}

	/** Fails the jobs of a worker that has ended, and replaces it. */
	#replace(slot: WorkerSlot): void {
		const wasReady = slot.ready;
		slot.ready = false;
		this.#slots.delete(slot);
		for (const job of slot.running.values()) {
			job.reject(new WeirError("internal", "the session worker that ran this request died"));
		}
		if (this.#closing || (!wasReady && this.signatures.length === 0)) return;
		this.#options.meter?.count("weir_predictor_worker_deaths_total", "Session workers that ended unasked.");
		this.#options.log?.error("a session worker died and is replaced", { error: slot.lastError });
		if (!this.ready) this.#rejectWaiting("no session worker is ready");
		// Exponential backoff for workers that die soon after their start.
		const young = performance.now() - slot.startedMs < WORKER_RESTART_MS.max;
		this.#restartMs = young ? Math.min(this.#restartMs * 2, WORKER_RESTART_MS.max) : WORKER_RESTART_MS.first;
		const timer = setTimeout(() => {
			this.#timers.delete(timer);
			this.#startWorker().catch(() => {}); // Its exit has already scheduled the next try.
		}, this.#restartMs);
		this.#timers.add(timer);
	}

	#rejectWaiting(why: string): void {
		const waiting = this.#waiting;
		this.#waiting = [];
		for (const job of waiting) job.reject(new WeirError("unavailable", why, "try again in a moment"));
	}
}
