/** A part of test/long/yamlBombs.test.ts: one text of each kind, and one that takes seconds. */
import t from "tap";
import { readLegitimate, readTooMuch, readWithin } from "./readBombs.js";

t.setTimeout(300_000);

t.test("a text with too many tokens is refused at the first one too many", (t) =>
	readTooMuch(t, ["opening brackets", "empty tags", "questions", "blank lines"]),
);

t.test("expensive texts below the limit of tokens are refused", (t) =>
	readWithin(t, ["escapes", "a long alias", "pairs of a tag of 1.1", "several files"]),
);

t.test("texts as large as real declarations are accepted", (t) => readLegitimate(t, ["76,000 principals"]));
