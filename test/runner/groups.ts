/**
 * Which test files share a process: those of a folder that start nothing. Most of their time was the start of Node and the import of
 * what they test.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** Modules that start a process or a thread, or keep native state as long as the process runs. */
const STARTS = /^(node:(child_process|cluster|worker_threads)|esbuild|lmdb|@duckdb\/node-api|onnxruntime-node)$/;

const IMPORTED = /\b(?:from|import)\s*\(?\s*["']([^"'\n]+)["']/g;

const importsOf = new Map<string, readonly string[]>();

/** @returns what a compiled file names as imports, relative ones as paths */
function imports(path: string): readonly string[] {
	const known = importsOf.get(path);
	if (known !== undefined) return known;
	// What looks like an import in a comment or a string may name no file.
	const text = existsSync(path) ? readFileSync(path, "utf8") : "";
	const found = [...text.matchAll(IMPORTED)].map(([, name = ""]) =>
		name.startsWith(".") ? resolve(dirname(path), name) : name,
	);
	importsOf.set(path, found);
	return found;
}

/** By the imports of the file and of all that it imports. */
export function startsNothing(file: string): boolean {
	const seen = new Set([file]);
	for (const path of seen) {
		if (STARTS.test(path)) return false;
		if (path.startsWith("/")) for (const name of imports(path)) seen.add(name);
	}
	return true;
}

/** @param files in order @returns them in groups, in the order of each group's first file */
export function grouped(files: readonly string[]): readonly (readonly string[])[] {
	const groups = new Map<string, string[]>();
	for (const file of files) {
		const key = startsNothing(file) ? dirname(file) : file;
		const group = groups.get(key);
		if (group === undefined) groups.set(key, [file]);
		else group.push(file);
	}
	return [...groups.values()];
}
