/** The engine over a pool of onnxruntime workers. */
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

export class OnnxEngine implements Engine {
	readonly #pool: Pool;
	readonly #models: readonly ServedModel[];

	private constructor(pool: Pool, sources: readonly ModelSource[]) {
		this.#pool = pool;
		this.#models = sources.map(({ name, version, digest = null }, index) => {
			const signature = pool.signatures[index];
			if (signature === undefined) throw new WeirError("internal", `no signature of model '${name}'`);
			return { name, version, digest, signature };
		});
	}

	static async start(options: PoolOptions): Promise<OnnxEngine> {
		return new OnnxEngine(await Pool.start(options), options.models);
	}

	get ready(): boolean {
		return this.#pool.ready;
	}

	index(): readonly ModelEntry[] {
		return this.#models.map(({ name, version, digest }) => ({ name, version, digest, state: "READY", reason: "" }));
	}

	/** Without a version, the last model of the name. */
	find(name: string, version: string | null): ServedModel | null {
		return (
			this.#models.findLast(
				(model) => model.name === name && (version === null || model.version === version || model.digest === version),
			) ?? null
		);
	}

	async infer(model: ServedModel, { inputs, outputs, deadlineMs, signal }: EngineRequest): Promise<EngineResult> {
		if (signal.aborted) throw new WeirError("cancelled", "the client has gone");
		if (deadlineMs !== null && deadlineMs <= performance.now())
			throw new WeirError("deadline-exceeded", "the deadline has passed");
		const submitted = this.#pool.submit({ model: this.#models.indexOf(model), inputs, outputs });
		const leave = (): void => submitted.cancel();
		signal.addEventListener("abort", leave, { once: true });
		try {
			return { model, ...(await submitted.result), batchRows: inputs[0]?.shape[0] ?? 1 };
		} finally {
			signal.removeEventListener("abort", leave);
		}
	}

	load(source: ModelSource, _options: LoadOptions): Promise<void> {
		return Promise.reject(
			new WeirError("failed-precondition", `model '${source.name}': models are loaded at the start only`),
		);
	}

	unload(name: string, _version: string): Promise<void> {
		return Promise.reject(new WeirError("failed-precondition", `model '${name}': models are unloaded at the end only`));
	}

	statistics(): readonly ModelStatistics[] {
		return [];
	}

	close(): Promise<void> {
		return this.#pool.close();
	}
}
