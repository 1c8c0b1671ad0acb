/**
 * Splits a YAML stream into the texts of its documents, so that each resource keeps its source. No parser is needed: a
 * line that begins with `---` or `...` followed by white space or its end is a document marker everywhere, even inside
 * a block scalar (YAML 1.2.2, 9.1.2 and production [206] c-forbidden).
 */
import type { FileReadings } from "../../declare/resources/fileReading.js";
import type { StoredResource } from "./stored.js";

export interface SourceDocument {
	readonly text: string;
	/** The line of its marker, from 1, or the first line of the file. */
	readonly line: number;
}

/** The non-empty documents in order, without their markers; each ends with a newline. */
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
		// `--- {kind: …}`: the rest of the line belongs to the new document.
		const rest = line.slice(3).trim();
		if (marker[1] === "---" && rest !== "") lines.push(rest);
	}
	end();
	return documents;
}

/** The resources of the files, each with the text of its document. @param readings the parsed files */
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
