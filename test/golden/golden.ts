/**
 * test/golden/COMMAND.txt holds what a command of `weir` prints on fixed input: the one place that holds its prose word for
 * word. WEIR_GOLDEN=write writes the files anew.
 */
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { type Command, run } from "../cli/operatorCommand.js";

const TEMPORARY = new RegExp(`${tmpdir()}/[\\w.-]+`, "g");

/** Placeholders for what differs from run to run. */
const masked = (text: string): string =>
	text
		.replaceAll(process.cwd(), "CWD")
		.replaceAll(TEMPORARY, "DIR")
		.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
		.replaceAll(/\b[0-9a-f]{16,64}\b/g, "ID")
		.replaceAll(/(?<=127\.0\.0\.1:)\d{5}\b/g, "PORT");

/** @returns what the file holds; `found` itself where it was just written */
export async function goldenFile(path: string, found: string): Promise<string> {
	if (process.env.WEIR_GOLDEN === "write") await writeFile(path, found);
	return readFile(path, "utf8");
}

/** Compares all that a command printed. @param name of the file, without .txt */
export async function golden(
	t: { equal(found: string, wanted: string, message: string): unknown },
	name: string,
	found: string,
): Promise<void> {
	const path = fileURLToPath(new URL(`../../../test/golden/${name}.txt`, import.meta.url));
	const text = masked(found);
	t.equal(text, await goldenFile(path, text), name);
}

/** `weir` on files alone. */
export const onFiles: Command = (...args) => run(args, {});

/** Runs the lines one after the other. @returns each with what it printed, and its exit code where that is not 0 */
export async function transcript(run: Command, ...lines: readonly string[]): Promise<string> {
	let text = "";
	for (const line of lines) {
		const { code, out, stderr } = await run(...line.split(" "));
		text += `$ weir ${line}\n${out}${stderr}${code === 0 ? "" : `exit ${code}\n`}`;
	}
	return text;
}
