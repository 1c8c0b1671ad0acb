/** A store of models as the predictor uses it: checked copies of a model's files in a folder of its own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WeirError } from "../../error.js";
import type { Catalog } from "../../serve/predictor/catalog.js";
import type { ModelStore } from "../../serve/registry/store.js";

export function modelCatalog(store: ModelStore): Catalog {
	return {
		source: async (name, digest) => {
			const stored = await store.read(await store.resolve(`${name}@${digest}`));
			const onnx = stored.files.filter(({ path }) => path.endsWith(".onnx"));
			const [model] = onnx;
			if (model === undefined || onnx.length > 1)
				throw new WeirError(
					"failed-precondition",
					`${name}:${stored.version} holds ${onnx.length} ONNX files`,
					"push a folder with one",
				);
			// What was checked is what the session opens: nobody else can write to the copy.
			const folder = await mkdtemp(join(tmpdir(), "weir-model-"));
			const release = () => rm(folder, { recursive: true, force: true });
			try {
				await store.extract(stored, folder);
			} catch (error) {
				await release();
				throw error;
			}
			return { source: { name, version: stored.version, path: join(folder, model.path), digest }, release };
		},
	};
}
