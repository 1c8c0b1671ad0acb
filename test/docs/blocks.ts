/** Fenced blocks of README.md and docs/*.md, and the shell commands in them. */
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

export const ROOT = new URL("../../../", import.meta.url);
export const pathOf = (name: string): string => fileURLToPath(new URL(name, ROOT));

export interface Page {
	/** From the repository's root, such as docs/access.md. */
	readonly name: string;
	readonly text: string;
}

export async function pages(): Promise<readonly Page[]> {
	const docs = (await readdir(pathOf("docs"))).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`);
	return Promise.all(
		["README.md", "DESIGN.md", "CHANGELOG.md", ...docs].map(async (name) => ({
			name,
			text: await readFile(pathOf(name), "utf8"),
		})),
	);
}

export const blocks = (text: string, language: string): readonly string[] =>
	[...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, of, body = ""]) => (of === language ? [body] : []));

/** Lines of a block, with continued ones joined and comments removed. */
export const lines = (block: string): readonly string[] =>
	block
		.replaceAll("\\\n", " ")
		.split("\n")
		.map((line) => line.replace(/(^|\s)# .*$/, "").trim())
		.filter((line) => line !== "");

/** Each simple command of a line as its words, without assignments and redirections. */
export function commands(line: string): readonly (readonly string[])[] {
	const words = line.match(/&&|[;|&]|(?:'[^']*'|"[^"]*"|[^\s;|&'"])+/g) ?? [];
	const found: string[][] = [[]];
	for (const word of words) {
		if (/^(&&|[;|&])$/.test(word)) found.push([]);
		else found.at(-1)?.push(word.replaceAll(/['"]/g, ""));
	}
	return found
		.map((one) => {
			const redirected = one.findIndex((word) => word.startsWith(">"));
			const command = redirected < 0 ? one : one.slice(0, redirected);
			return command.slice(command.findIndex((word) => !/^[A-Z_]+=/.test(word)));
		})
		.filter((one) => one.length > 0);
}
