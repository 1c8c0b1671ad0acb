/**
 * Models of a store, loaded when they are asked for by digest: by control, before Envoy sends requests for one, and by
 * requests after a restart, which wait.
 */
import { performance } from "node:perf_hooks";
import { WeirError } from "../../error.js";
import type { Engine, ServedModel } from "./engine.js";
import type { Log } from "./ports.js";
import type { ModelSource } from "./tensor.js";

/** A store of models. */
export interface Catalog {
	/** A checked copy of a model's files. `release` removes it. @throws WeirError `not-found`, or that names a changed file */
	source(
		name: string,
		digest: string,
	): Promise<{ readonly source: ModelSource; readonly release: () => Promise<void> }>;
}

/** Models of a store that are loaded at a time: beyond it the one that was unused for longest is unloaded. */
const CATALOG_MODELS_MAX = 16;

/** How long a model that did not load is not tried again. */
const RETRY_MS = 5_000;

interface Known {
	readonly model: Promise<ServedModel>;
	/** When it may be tried again; null = it was loaded, or is being loaded. */
	retryMs: number | null;
	usedMs: number;
	/** Once it is loaded. */
	source?: ModelSource;
	release: () => Promise<void>;
}

export class CatalogModels {
	readonly #known = new Map<string, Known>();

	constructor(
		private readonly engine: Engine,
		private readonly catalog: Catalog,
		private readonly log: Log | undefined,
	) {}

	/** The model with that digest; the first call loads it. @throws WeirError that says why it cannot be served */
	demand(name: string, digest: string): Promise<ServedModel> {
		const key = `${name}@${digest}`;
		const known = this.#known.get(key);
		const now = performance.now();
		if (known !== undefined && (known.retryMs === null || now < known.retryMs)) {
			known.usedMs = now;
			return known.model;
		}
		const fresh: Known = {
			model: this.#load(name, digest, () => fresh),
			retryMs: null,
			usedMs: now,
			release: async () => {},
		};
		this.#known.set(key, fresh);
		fresh.model.catch((error: unknown) => {
			fresh.retryMs = performance.now() + RETRY_MS;
			this.log?.error("a model was not loaded", { model: key, why: WeirError.from(error).message });
		});
		return fresh.model;
	}

	/** Loads a model, gives it the requests without a version, and unloads the one that had them. @throws as `demand` */
	async takeOver(name: string, digest: string): Promise<void> {
		const before = this.engine.find(name, null);
		await this.demand(name, digest);
		const source = this.#known.get(`${name}@${digest}`)?.source;
		if (before?.digest === digest || source === undefined) return;
		await this.engine.load(source, { takeOver: true });
		if (before?.digest != null) await this.#unload(`${name}@${before.digest}`);
	}

	/** Removes the copies. */
	async close(): Promise<void> {
		await Promise.all([...this.#known.values()].map(({ release }) => release()));
	}

	async #load(name: string, digest: string, known: () => Known): Promise<ServedModel> {
		const { source, release } = await this.catalog.source(name, digest);
		try {
			await this.engine.load(source, { takeOver: false });
		} catch (error) {
			await this.engine.unload(name, source.version).catch(() => {});
			await release();
			throw error;
		}
		const model = this.engine.find(name, digest);
		if (model === null) throw new WeirError("internal", `model '${name}' was loaded and is not there`);
		Object.assign(known(), { source, release });
		this.#makeRoom();
		return model;
	}

	#makeRoom(): void {
		const loaded = [...this.#known]
			.filter(([, { retryMs }]) => retryMs === null)
			.sort(([, a], [, b]) => a.usedMs - b.usedMs);
		for (const [key] of loaded.slice(0, Math.max(0, loaded.length - CATALOG_MODELS_MAX)))
			void this.#unload(key).catch((error: unknown) =>
				this.log?.error("a model was not unloaded", { model: key, why: WeirError.from(error).message }),
			);
	}

	async #unload(key: string): Promise<void> {
		const known = this.#known.get(key);
		if (known === undefined) return;
		this.#known.delete(key);
		const { name, version } = await known.model;
		await this.engine.unload(name, version);
		await known.release();
	}
}
