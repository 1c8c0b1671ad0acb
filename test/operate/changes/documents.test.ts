import t from "tap";
import { splitDocuments } from "../../../src/operate/changes/documents.js";

const CASES: readonly { readonly what: string; readonly text: string; readonly documents: readonly string[] }[] = [
	{ what: "one document", text: "a: 1\n", documents: ["a: 1\n"] },
	{ what: "no final newline", text: "a: 1", documents: ["a: 1\n"] },
	{
		what: "markers with comments and blanks",
		text: "---\na: 1\n--- # two\nb: 2\n---\n\n",
		documents: ["a: 1\n", "# two\nb: 2\n"],
	},
	{ what: "a document on the marker's line", text: "--- {a: 1}\n", documents: ["{a: 1}\n"] },
	{ what: "an end marker", text: "a: 1\n...\n---\nb: 2\n", documents: ["a: 1\n", "b: 2\n"] },
	{ what: "only comments", text: "# nothing\n---\n# here\n", documents: [] },
	{
		what: "dashes that are no marker",
		text: "a: |\n  ---\n  x\n----: 1\n",
		documents: ["a: |\n  ---\n  x\n----: 1\n"],
	},
	{
		what: "Windows line ends and a byte order mark",
		text: "\uFEFFa: 1\r\n---\r\nb: 2\r\n",
		documents: ["a: 1\n", "b: 2\n"],
	},
];

for (const { what, text, documents } of CASES) {
	t.test(what, async (t) => {
		t.same(
			splitDocuments(text).map((one) => one.text),
			documents,
		);
	});
}

t.test("each document has the line of its marker", async (t) => {
	const text = "\uFEFF# first\na: 1\r\n---\n\n# empty\n--- {b: 2}\n...\n\nc: 3\n";
	t.same(
		splitDocuments(text).map(({ line }) => line),
		[1, 6, 7],
	);
});
