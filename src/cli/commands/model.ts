/** `weir model`: the models of a store. */
import { userInfo } from "node:os";
import { WeirError } from "../../error.js";
import type { AliasMove } from "../../serve/registry/aliases.js";
import { parseReference, shortDigest } from "../../serve/registry/reference.js";
import { ModelStore, type ResolvedModel } from "../../serve/registry/store.js";

interface StoreArguments {
	readonly store: string;
	readonly json?: boolean;
}

interface ActArguments extends StoreArguments {
	readonly actor?: string;
	readonly reason: string;
}

const DAY_MS = 86_400_000;

/** Prints the version's digest. */
export async function push(model: string, path: string, options: Omit<ActArguments, "reason">): Promise<void> {
	const reference = parseReference(model);
	if (reference.by !== "version")
		throw new WeirError("invalid-argument", `'${model}' names no version`, `write ${reference.name}:VERSION`);
	const { name, version } = reference;
	const { digest } = await new ModelStore(options.store).push(name, version, path, { actor: actorOf(options) });
	print(`${name}:${version} is ${digest}`);
}

/** One line a version: model, digest, when it was pushed, its aliases. */
export async function list(only: string | undefined, { store, json }: StoreArguments): Promise<void> {
	const models = new ModelStore(store);
	const names = (await models.names()).filter((name) => only === undefined || name === only);
	if (only !== undefined && names.length === 0)
		throw new WeirError("not-found", `no model ${only} in ${store}`, "weir model list shows them all");
	const rows = [];
	for (const name of names) {
		const aliases = [...(await models.aliases(name))];
		for (const version of await models.versions(name)) {
			const named = aliases.filter(([, digest]) => digest === version.digest).map(([alias]) => alias);
			rows.push({ ...version, aliases: named });
		}
	}
	if (json) return print(JSON.stringify(rows));
	if (rows.length === 0) return print(`no model in ${store}; weir model push NAME:VERSION PATH stores one`);
	for (const { name, version, digest, pushedAt, aliases } of rows)
		print([`${name}:${version}`, shortDigest(digest), pushedAt, aliases.join(", ")].join("  ").trimEnd());
}

export async function show(model: string, { store, json }: StoreArguments): Promise<void> {
	const models = new ModelStore(store);
	const stored = await models.read(await models.resolve(model));
	const aliases = [...(await models.aliases(stored.name))].filter(([, digest]) => digest === stored.digest);
	if (json) return print(JSON.stringify({ ...stored, aliases: aliases.map(([alias]) => alias) }));
	print(`${titleOf(stored)}  ${stored.digest}`);
	if (aliases.length > 0) print(`aliases: ${aliases.map(([alias]) => alias).join(", ")}`);
	for (const { path, size, digest } of stored.files) print(`${path}  ${size} bytes  ${digest}`);
}

export async function alias(
	name: string,
	aliasName: string,
	version: string,
	options: ActArguments & { readonly expect?: string },
): Promise<void> {
	const models = new ModelStore(options.store);
	const model = await models.resolve(version.startsWith("sha256:") ? `${name}@${version}` : `${name}:${version}`);
	const expected = options.expect === "none" ? null : options.expect;
	const move = await models.moveAlias(model, aliasName, { actor: actorOf(options), reason: options.reason, expected });
	print(await moveLine(models, move));
}

export async function rollback(name: string, aliasName: string, options: ActArguments): Promise<void> {
	const models = new ModelStore(options.store);
	const move = await models.rollback(name, aliasName, { actor: actorOf(options), reason: options.reason });
	print(await moveLine(models, move));
}

export async function history(
	name: string,
	only: string | undefined,
	{ store, asOf, json }: StoreArguments & { readonly asOf?: string },
): Promise<void> {
	const models = new ModelStore(store);
	if (asOf !== undefined) {
		const atMs = Date.parse(asOf);
		if (Number.isNaN(atMs))
			throw new WeirError("invalid-argument", `--as-of ${asOf} is no time`, "write it as 2026-12-24T18:00:00Z");
		const pointed = [...(await models.aliases(name, atMs))].filter(([one]) => only === undefined || one === only);
		if (json) return print(JSON.stringify(Object.fromEntries(pointed)));
		for (const [one, digest] of pointed) print(`${name}@${one}  ${await versionOf(models, name, digest)}`);
		return;
	}
	const moves = (await models.moves(name)).filter((move) => only === undefined || move.alias === only).reverse();
	if (json) return print(JSON.stringify(moves));
	for (const move of moves) print(`${move.time}  ${move.actor}  ${await moveLine(models, move)}  "${move.reason}"`);
}

export async function gc(
	options: Omit<ActArguments, "reason"> & { readonly keep: string; readonly delete?: boolean },
): Promise<void> {
	const days = Number(options.keep);
	if (!(days >= 0)) throw new WeirError("invalid-argument", `--keep ${options.keep} is no number of days`);
	const remove = options.delete ?? false;
	const keepSinceMs = Date.now() - days * DAY_MS;
	const { removed, bytes } = await new ModelStore(options.store).gc(
		{ actor: actorOf(options) },
		{ keepSinceMs, remove },
	);
	for (const one of removed) print(`${titleOf(one)}  ${shortDigest(one.digest)}`);
	const what = `${removed.length} versions, ${bytes} bytes`;
	print(remove ? `removed ${what}` : `would remove ${what}; --delete removes them`);
}

async function moveLine(models: ModelStore, { name, alias: one, from, to, reverts }: AliasMove): Promise<string> {
	const before = from === null ? "new" : `was ${await versionOf(models, name, from)}`;
	const what = `${name}@${one} is ${await versionOf(models, name, to)} (${before})`;
	return reverts === null ? what : `${what}, rolled back`;
}

/** `VERSION (DIGEST)`; the digest alone where the version was removed. */
async function versionOf(models: ModelStore, name: string, digest: string): Promise<string> {
	const found = (await models.versions(name)).find((version) => version.digest === digest);
	return found === undefined ? shortDigest(digest) : `${found.version} (${shortDigest(digest)})`;
}

const titleOf = ({ name, version }: Pick<ResolvedModel, "name" | "version">): string => `${name}:${version}`;

const actorOf = ({ actor }: { readonly actor?: string }): string => actor ?? `local:${userInfo().username}`;

const print = (line: string): void => void process.stdout.write(`${line}\n`);
