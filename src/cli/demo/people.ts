/** The committed sample of real people: features and the true label, years 2016 to 2018. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

export interface Person {
	readonly features: readonly number[];
	readonly employed: 0 | 1;
}

/** The repository's fixtures; the demo runs from a checkout. */
export const FIXTURES = new URL("../../../../test/fixtures/employment/", import.meta.url);

/** Columns: features, then `year`, then `employed`. */
export function readPeople(): readonly Person[] {
	const [, ...lines] = gunzipSync(readFileSync(new URL("sample.csv.gz", FIXTURES)))
		.toString("utf8")
		.trim()
		.split("\n");
	return lines.map((line) => {
		const values = line.split(",").map(Number);
		return { features: values.slice(0, -2), employed: values.at(-1) === 1 ? 1 : 0 };
	});
}
