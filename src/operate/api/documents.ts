/**
 * Cuts a YAML stream into its documents, as text, so that each resource keeps the source it was written in.
 * No parser is needed: a line that begins with `---` or `...` followed by white space or its end is a document
 * marker everywhere, even inside a block scalar (YAML 1.2.2, 9.1.2 and production [206] c-forbidden).
 */
import type { FileReadings } from "../../declare/resources/fileReading.js";
import type { StoredResource } from "../state/store/database.js";

export interface SourceDocument {
	readonly text: string;
	/** Where it begins, from 1: its marker's, or the first of the file. All lines up to the next one's are its. */
	readonly line: number;
}

/**
 * The documents that hold more than comments and blank lines, in order, without their markers; each ends with a
 * newline.
 */
export function splitDocuments(text: string): readonly SourceDocument[] {
	const documents: SourceDocument[] = [];
	let lines: string[] = [];
	let first = 1;
	const end = (): void => {
		if (lines.some((line) => line.trim() !== "" && !/^\s*#/.test(line) && !/^%/.test(line))) {
			documents.push({ text: `${lines.join("\n").replace(/^\n+/, "").trimEnd()}\n`, line: first });
		}
		lines = [];
	};
	for (const [index, line] of text
		.replace(/^\uFEFF/, "")
		.split(/\r?\n/)
		.entries()) {
		const marker = /^(---|\.\.\.)(?=\s|$)/.exec(line);
		if (marker === null) {
			lines.push(line);
			continue;
		}
		end();
		first = index + 1;
		// `--- {kind: …}`: what follows the marker on its line belongs to the new document.
		const rest = line.slice(3).trim();
		if (marker[1] === "---" && rest !== "") lines.push(rest);
	}
	end();
	return documents;
}

/** What the files declare, each with the text of its document. @param readings of these files, which were read */
export function declaredIn(
	files: readonly { readonly name: string; readonly text: string }[],
	readings: FileReadings,
): readonly StoredResource[] {
	return files.flatMap((file) => {
		const texts = splitDocuments(file.text);
		let at = 0;
		return readings.resources(file).map(({ resource, line }) => {
			while ((texts[at + 1]?.line ?? Number.POSITIVE_INFINITY) <= line) at++;
			return { resource, source: texts[at]?.text ?? "" };
		});
	});
}
