/**
 * A store of models in a directory: DIR/NAME is an OCI image layout with a tag for each version (oras, skopeo and registries
 * read it), DIR/log.jsonl tells what happened, and where each alias points. Everything is append-only but gc.
 */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { WeirError } from "../../error.js";
import { type AliasMove, aliasesAt, lastMove, movesOf, namedSince } from "./aliases.js";
import { modelFiles } from "./files.js";
import { CREATED, Layout, REF_NAME } from "./layout.js";
import { locked } from "./lock.js";
import { type ModelEvent, type ModelEventData, type ModelEventKind, ModelLog } from "./log.js";
import { type Descriptor, filesOf, type ModelEntry, modelManifest, statementManifest } from "./manifest.js";
import { parseReference, requireTag } from "./reference.js";

export interface StoredVersion {
	readonly name: string;
	readonly version: string;
	/** Of the manifest: the identity of the model. */
	readonly digest: string;
	/** RFC 3339. */
	readonly pushedAt: string;
}

/** One model by its digest. */
export interface ResolvedModel {
	readonly name: string;
	/** The first version with that digest. */
	readonly version: string;
	readonly digest: string;
}

export interface StoredModel extends ResolvedModel {
	readonly files: readonly ModelEntry[];
	readonly bytes: number;
}

export interface Actor {
	readonly actor: string;
	readonly reason: string;
}

export interface GcOptions {
	readonly keepSinceMs: number;
	readonly remove: boolean;
}

export interface GcResult {
	readonly removed: readonly StoredVersion[];
	/** Of the removed files. */
	readonly bytes: number;
}

export interface ModelStoreOptions {
	readonly nowMs?: () => number;
}

export class ModelStore {
	readonly #log: ModelLog;
	readonly #nowMs: () => number;

	/** @param directory made at the first push */
	constructor(
		readonly directory: string,
		{ nowMs = Date.now }: ModelStoreOptions = {},
	) {
		this.#log = new ModelLog(join(directory, "log.jsonl"));
		this.#nowMs = nowMs;
	}

	/** Names of the models, sorted. */
	async names(): Promise<readonly string[]> {
		const entries = await readdir(this.directory, { withFileTypes: true }).catch(() => []);
		const names = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith(".")).map(({ name }) => name);
		const present = await Promise.all(names.map((name) => this.#layout(name).exists()));
		return names.filter((_, index) => present[index]).sort();
	}

	/** Versions of a model, oldest first. */
	async versions(name: string): Promise<readonly StoredVersion[]> {
		return (await this.#layout(name).index()).flatMap(({ digest, annotations }): readonly StoredVersion[] => {
			const version = annotations?.[REF_NAME];
			return version === undefined ? [] : [{ name, version, digest, pushedAt: annotations?.[CREATED] ?? "" }];
		});
	}

	/**
	 * Stores the files of a path as a version. The same files again change nothing. kill -9 at any time leaves the store valid.
	 * @throws WeirError `already-exists` if the version has other bytes; `invalid-argument` for links and unsafe names
	 */
	async push(name: string, version: string, path: string, { actor }: Pick<Actor, "actor">): Promise<ResolvedModel> {
		requireTag("model", name);
		requireTag("version", version);
		const files = await modelFiles(path);
		return this.#write(async () => {
			const layout = this.#layout(name);
			await mkdir(layout.directory, { recursive: true, mode: 0o700 });
			const entries: ModelEntry[] = [];
			for (const file of files) entries.push({ path: file.path, ...(await layout.putFile(file.from)) });
			const { manifest, config } = modelManifest(name, entries);
			const { digest } = manifest.descriptor;
			const index = await layout.index();
			const before = index.find(({ annotations }) => annotations?.[REF_NAME] === version);
			if (before !== undefined && before.digest !== digest)
				throw new WeirError(
					"already-exists",
					`${name}:${version} is ${before.digest}, and these files are ${digest}`,
					"push them as another version: a version never changes",
				);
			await layout.put(config);
			await layout.put(manifest);
			if (before === undefined) {
				const annotations = { [REF_NAME]: version, [CREATED]: new Date(this.#nowMs()).toISOString() };
				await layout.replaceIndex([...index, { ...manifest.descriptor, annotations }]);
			}
			// The index and the log are two files: a push that was killed between them is completed by the next one.
			const pushed = (await this.#log.events()).some(
				({ type, subject, data }) => type === "dev.weir.model.pushed" && subject === name && data.version === version,
			);
			if (!pushed) await this.#append("pushed", name, { actor, digest, version });
			return { name, version, digest };
		});
	}

	/** @param text NAME:VERSION, NAME@ALIAS or NAME@sha256:… @throws WeirError `not-found` that says what there is */
	async resolve(text: string): Promise<ResolvedModel> {
		const reference = parseReference(text);
		const { name } = reference;
		const versions = await this.versions(name);
		if (versions.length === 0) {
			const names = await this.names();
			throw new WeirError(
				"not-found",
				`no model ${name} in ${this.directory}`,
				names.length === 0 ? "push one: weir model push NAME:VERSION PATH" : `it has ${names.join(", ")}`,
			);
		}
		const digest =
			reference.by === "digest"
				? reference.digest
				: reference.by === "alias"
					? ((await this.aliases(name)).get(reference.alias) ?? null)
					: (versions.find(({ version }) => version === reference.version)?.digest ?? null);
		const found = versions.find((version) => version.digest === digest);
		if (found !== undefined) return { name, version: found.version, digest: found.digest };
		const aliases = [...(await this.aliases(name)).keys()];
		throw new WeirError(
			"not-found",
			`${text} is not in ${this.directory}`,
			`versions: ${versions.map(({ version }) => version).join(", ")}; aliases: ${aliases.join(", ") || "none"}`,
		);
	}

	/** @throws WeirError `not-found`, or `failed-precondition` if the manifest was changed */
	async read(model: ResolvedModel): Promise<StoredModel> {
		const layout = this.#layout(model.name);
		const descriptor = await this.#descriptor(layout, model);
		const files = filesOf(await layout.manifest(descriptor, titleOf(model)), titleOf(model));
		return { ...model, files, bytes: files.reduce((sum, { size }) => sum + size, 0) };
	}

	/**
	 * Writes the files of a model to an empty folder, each checked on its way. Nothing else is in the folder.
	 * @throws WeirError that names the file which is missing or was changed
	 */
	async extract(model: StoredModel, to: string): Promise<void> {
		const layout = this.#layout(model.name);
		for (const file of model.files) await layout.extract(file, join(to, file.path));
	}

	/** Adds a document that says something about a model, as a manifest of its own (OCI referrers). */
	async addStatement(model: ResolvedModel, type: string, document: Uint8Array): Promise<void> {
		await this.#write(async () => {
			const layout = this.#layout(model.name);
			const subject = await this.#descriptor(layout, model);
			const { manifest, blobs } = statementManifest(subject, type, document);
			for (const blob of [...blobs, manifest]) await layout.put(blob);
			const index = await layout.index();
			if (index.some(({ digest }) => digest === manifest.descriptor.digest)) return;
			await layout.replaceIndex([...index, manifest.descriptor]);
		});
	}

	/** Documents of a type about a model, oldest first. */
	async statements(model: ResolvedModel, type: string): Promise<readonly Buffer[]> {
		const layout = this.#layout(model.name);
		const documents: Buffer[] = [];
		for (const descriptor of await layout.index()) {
			if (descriptor.artifactType !== type) continue;
			const { subject, layers } = await layout.manifest(descriptor, `a statement about ${titleOf(model)}`);
			const [layer] = layers;
			if (subject?.digest !== model.digest || layer === undefined) continue;
			documents.push(await layout.read(layer, `a statement about ${titleOf(model)}`));
		}
		return documents;
	}

	/** Digest of each alias. @param atMs at that time; default: now */
	async aliases(name: string, atMs = Number.POSITIVE_INFINITY): Promise<ReadonlyMap<string, string>> {
		return aliasesAt(await this.#log.events(), name, atMs);
	}

	/**
	 * Points an alias to a model.
	 * @param expected digest that the alias must have now; null = it must be new; absent = any
	 * @throws WeirError `conflict` if the alias is another
	 */
	async moveAlias(
		model: ResolvedModel,
		alias: string,
		{ actor, reason, expected }: Actor & { readonly expected?: string | null | undefined },
	): Promise<AliasMove> {
		requireTag("alias", alias);
		return this.#write(async () => {
			const from = (await this.aliases(model.name)).get(alias) ?? null;
			if (expected !== undefined && expected !== from)
				throw new WeirError(
					"conflict",
					`${model.name}@${alias} is ${from ?? "no model"}, not ${expected ?? "new"}`,
					"somebody else has moved it: look at `weir model history`, and decide again",
				);
			return this.#move(model.name, { alias, from, digest: model.digest, actor, reason });
		});
	}

	/**
	 * Takes the last move of an alias back that was not itself taken back; again, and it goes one further.
	 * @throws WeirError `failed-precondition` if there is nothing before
	 */
	async rollback(name: string, alias: string, { actor, reason }: Actor): Promise<AliasMove> {
		return this.#write(async () => {
			const last = lastMove(await this.#log.events(), name, alias);
			if (last === null || last.from === null)
				throw new WeirError(
					"failed-precondition",
					`${name}@${alias} has no earlier model`,
					last === null ? "set it with `weir model alias`" : "it was set once only",
				);
			return this.#move(name, { alias, from: last.to, digest: last.from, actor, reason, reverts: last.id });
		});
	}

	async #move(name: string, move: ModelEventData & { alias: string; from: string | null }): Promise<AliasMove> {
		const [moved] = movesOf([await this.#append("promoted", name, move)], name);
		if (moved === undefined) throw new WeirError("internal", "a move was not logged");
		return moved;
	}

	/**
	 * Removes versions that no alias has named since `keepSinceMs` and that were pushed before it, and files that no version
	 * needs. @param remove false = only says what it would remove
	 */
	async gc({ actor }: Pick<Actor, "actor">, { keepSinceMs, remove }: GcOptions): Promise<GcResult> {
		return this.#write(async () => {
			const events = await this.#log.events();
			const removed: StoredVersion[] = [];
			let bytes = 0;
			for (const name of await this.names()) {
				const layout = this.#layout(name);
				const named = new Set([...(await this.aliases(name)).values(), ...namedSince(events, name, keepSinceMs)]);
				const unused = (await this.versions(name)).filter(
					({ digest, pushedAt }) => !named.has(digest) && Date.parse(pushedAt) < keepSinceMs,
				);
				const index = await layout.index();
				const gone = new Set(unused.map(({ version }) => version));
				const models = index.filter(({ annotations }) => !gone.has(annotations?.[REF_NAME] ?? ""));
				const digests = new Set(models.map(({ digest }) => digest));
				const kept: Descriptor[] = [];
				const used = new Set<string>();
				for (const descriptor of models) {
					const manifest = await layout.manifest(descriptor, name);
					// A statement goes with the model that it is about.
					if (manifest.subject !== undefined && !digests.has(manifest.subject.digest)) continue;
					kept.push(descriptor);
					for (const { digest } of [descriptor, manifest.config, ...manifest.layers]) used.add(digest);
				}
				if (remove && unused.length > 0) await layout.replaceIndex(kept);
				bytes += (await layout.sweep(used, remove)).bytes;
				for (const { version, digest } of remove ? unused : [])
					await this.#append("removed", name, { actor, digest, version });
				removed.push(...unused);
			}
			return { removed, bytes };
		});
	}

	/** @returns the new event */
	async record(kind: ModelEventKind, name: string, data: ModelEventData): Promise<ModelEvent> {
		return this.#write(() => this.#append(kind, name, data));
	}

	/** Moves of the aliases of a model, oldest first. */
	async moves(name: string): Promise<readonly AliasMove[]> {
		return movesOf(await this.#log.events(), name);
	}

	/** All events, oldest first. @throws WeirError `failed-precondition` if the log was changed */
	async events(): Promise<readonly ModelEvent[]> {
		return this.#log.events();
	}

	#append(kind: ModelEventKind, name: string, data: ModelEventData): Promise<ModelEvent> {
		return this.#log.append(kind, name, data, this.#nowMs());
	}

	#layout(name: string): Layout {
		return new Layout(join(this.directory, requireTag("model", name)));
	}

	async #descriptor(layout: Layout, model: ResolvedModel): Promise<Descriptor> {
		const found = (await layout.index()).find(({ digest }) => digest === model.digest);
		if (found === undefined) throw new WeirError("not-found", `${titleOf(model)} is not in ${this.directory}`);
		return found;
	}

	#write<T>(work: () => Promise<T>): Promise<T> {
		return locked(this.directory, work);
	}
}

const titleOf = ({ name, version }: ResolvedModel): string => `${name}:${version}`;
