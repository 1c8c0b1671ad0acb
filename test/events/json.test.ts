import t from "tap";
import { parseJson } from "../../src/events/outcomes/json.js";

const broken: readonly (readonly [text: string, line: number, column: number, early?: boolean])[] = [
	["", 1, 1, true],
	["{", 1, 2, true],
	['{"a": NaN}', 1, 7],
	['{"a": 1,}', 1, 9],
	["[1,]", 1, 4],
	["[1 2]", 1, 4],
	['{"a" 1}', 1, 6],
	["{a: 1}", 1, 2],
	['{"a": 1}\n x', 2, 2],
	['{"a": 01}', 1, 8],
	['["\u0001"]', 1, 2],
	['["a', 1, 2],
	["[1}", 1, 3],
	["]", 1, 1],
	["-", 1, 1],
	['[\n{"a": "😀"},\n  +1]', 3, 3],
];

t.test("a broken text is told its place, and nothing of it is quoted", async (t) => {
	for (const [text, line, column, early] of broken) {
		const message = early === true ? "it ends early" : "an unexpected character";
		t.same(parseJson(text), { ok: false, message, line, column }, JSON.stringify(text));
	}
});

t.test("what JSON.parse takes is taken", async (t) => {
	t.same(parseJson(' {"a": [1e999, "\\u00e9", {}, [], true, null]}'), {
		ok: true,
		value: { a: [Number.POSITIVE_INFINITY, "é", {}, [], true, null] },
	});
});
