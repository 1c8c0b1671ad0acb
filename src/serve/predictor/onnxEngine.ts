/**
 * The engine over onnxruntime. Each version has workers of its own (pool.ts): no model can delay or end another, and a version
 * is loaded and unloaded while the others serve.
 */
import { performance } from "node:perf_hooks";
import { WeirError } from "../../error.js";
import type {
	Engine,
	EngineRequest,
	EngineResult,
	LoadOptions,
	ModelEntry,
	ModelStatistics,
	ServedModel,
} from "./engine.js";
import { Pool, type PoolOptions } from "./pool.js";
import type { ModelSource } from "./tensor.js";

export type OnnxEngineOptions = Omit<PoolOptions, "models">;

interface Loaded {
	readonly model: ServedModel;
	readonly source: ModelSource;
	readonly pool: Pool;
	running: number;
	/** Called when the last running inference has ended. */
	drained: () => void;
}

export class OnnxEngine implements Engine {
	readonly #options: OnnxEngineOptions;
	/** The last of a name serves its requests without a version. */
	#loaded: readonly Loaded[] = [];
	readonly #others = new Map<string, ModelEntry>();

	constructor(options: OnnxEngineOptions) {
		this.#options = options;
	}

	get ready(): boolean {
		return this.#others.size === 0 && this.#loaded.every(({ pool }) => pool.ready);
	}

	index(): readonly ModelEntry[] {
		const loaded = this.#loaded.map(({ model: { name, version, digest }, pool }): ModelEntry => {
			const [state, reason] = pool.ready
				? (["READY", ""] as const)
				: (["UNAVAILABLE", "its workers start again"] as const);
			return { name, version, digest, state, reason };
		});
		return [...loaded, ...this.#others.values()];
	}

	find(name: string, version: string | null): ServedModel | null {
		return this.#find(name, version)?.model ?? null;
	}

	async infer(model: ServedModel, request: EngineRequest): Promise<EngineResult> {
		const { inputs, outputs, deadlineMs, signal } = request;
		if (signal.aborted) throw new WeirError("cancelled", "the client has gone");
		if (deadlineMs !== null && deadlineMs <= performance.now())
			throw new WeirError("deadline-exceeded", "the deadline has passed");
		const loaded = this.#loaded.find((one) => one.model === model) ?? this.#successor(model);
		if (loaded === null)
			throw new WeirError("unavailable", `model '${model.name}' was just unloaded`, "try again in a moment");
		loaded.running++;
		const submitted = loaded.pool.submit({ model: 0, inputs, outputs });
		const leave = (): void => submitted.cancel();
		signal.addEventListener("abort", leave, { once: true });
		try {
			return { model: loaded.model, ...(await submitted.result), batchRows: inputs[0]?.shape[0] ?? 1 };
		} finally {
			signal.removeEventListener("abort", leave);
			loaded.running--;
			if (loaded.running === 0) loaded.drained();
		}
	}

	async load(source: ModelSource, { takeOver }: LoadOptions): Promise<void> {
		const { name, version, digest = null } = source;
		const key = `${name}/${version}`;
		const before = this.#find(name, version);
		if (before !== null && (before.source.digest ?? before.source.path) !== (source.digest ?? source.path))
			throw new WeirError("already-exists", `model '${name}' version '${version}' is loaded from another file`);
		if (before === null) {
			this.#others.set(key, { name, version, digest, state: "LOADING", reason: "it is being loaded" });
			try {
				const pool = await Pool.start({ ...this.#options, models: [source] });
				const [signature = { inputs: [], outputs: [] }] = pool.signatures;
				const loaded = { model: { name, version, digest, signature }, source, pool, running: 0, drained: () => {} };
				const first = this.#loaded.findIndex((one) => one.model.name === name);
				// Before the others of its name, unless it takes over.
				this.#loaded = this.#loaded.toSpliced(takeOver || first < 0 ? this.#loaded.length : first, 0, loaded);
				this.#others.delete(key);
			} catch (error) {
				const reason = WeirError.from(error).message;
				this.#others.set(key, { name, version, digest, state: "UNAVAILABLE", reason });
				throw error;
			}
		} else if (takeOver) {
			this.#loaded = [...this.#loaded.filter((one) => one !== before), before];
		}
	}

	async unload(name: string, version: string): Promise<void> {
		if (this.#others.delete(`${name}/${version}`)) return;
		const loaded = this.#find(name, version);
		if (loaded === null) throw new WeirError("not-found", `model '${name}' version '${version}' is not loaded`);
		this.#loaded = this.#loaded.filter((one) => one !== loaded);
		if (loaded.running > 0) {
			await new Promise<void>((resolve) => {
				loaded.drained = resolve;
			});
		}
		await loaded.pool.close();
	}

	statistics(): readonly ModelStatistics[] {
		return [];
	}

	async close(): Promise<void> {
		await Promise.all(this.#loaded.map(({ pool }) => pool.close()));
	}

	#find(name: string, version: string | null): Loaded | null {
		const found = this.#loaded.findLast(
			({ model }) => model.name === name && (version === null || model.version === version || model.digest === version),
		);
		return found ?? null;
	}

	/** What serves a model's name now, if the request fits it too. */
	#successor({ name, signature }: ServedModel): Loaded | null {
		const serving = this.#find(name, null);
		return serving !== null && JSON.stringify(serving.model.signature) === JSON.stringify(signature) ? serving : null;
	}
}
