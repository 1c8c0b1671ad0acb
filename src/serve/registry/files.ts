/** The files of a folder or a single file to push. */
import type { Dirent } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { WeirError } from "../../error.js";
import { quoted, unsafePath } from "./manifest.js";

export interface LocalFile {
	/** Where it lies. */
	readonly from: string;
	/** Relative path in the model, with `/`. */
	readonly path: string;
}

/** Files of one model: weights, external data, its description, golden inputs. */
const FILES_MAX = 10_000;

/**
 * @returns sorted by path
 * @throws WeirError `not-found`, or `invalid-argument` for a symbolic link, a device, or an unsafe name
 */
export async function modelFiles(path: string): Promise<readonly LocalFile[]> {
	const found = await lstat(path).catch((cause: unknown) => {
		throw new WeirError("not-found", `cannot read ${path}`, "give the path of an ONNX file, or of a folder with one", {
			cause,
		});
	});
	const files: LocalFile[] = [];
	if (found.isDirectory()) await collect(path, "", files);
	else if (found.isFile()) files.push(checked(path, basename(path)));
	else throw refused(path, found.isSymbolicLink() ? "a symbolic link" : "no regular file");
	if (files.length === 0) throw new WeirError("invalid-argument", `${path} holds no file`);
	return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function collect(folder: string, within: string, files: LocalFile[]): Promise<void> {
	for (const entry of await readdir(folder, { withFileTypes: true })) {
		const from = join(folder, entry.name);
		const path = within === "" ? entry.name : `${within}/${entry.name}`;
		if (entry.isDirectory()) await collect(from, path, files);
		else if (entry.isFile()) files.push(checked(from, path));
		else throw refused(from, kindOf(entry));
		if (files.length > FILES_MAX)
			throw new WeirError(
				"invalid-argument",
				`${folder} holds more than ${FILES_MAX} files`,
				"push the model's folder alone",
			);
	}
}

function checked(from: string, path: string): LocalFile {
	const why = unsafePath(path);
	if (why !== null) throw new WeirError("invalid-argument", `${quoted(from)} cannot be pushed: ${why}`, "rename it");
	return { from, path };
}

const kindOf = (entry: Dirent): string => (entry.isSymbolicLink() ? "a symbolic link" : "no regular file");

const refused = (path: string, kind: string): WeirError =>
	new WeirError("invalid-argument", `${path} is ${kind}`, "push the files themselves: a link could change later");
