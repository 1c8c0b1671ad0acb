/** Some of what test/long/yamlBombs.test.ts reads: of each way to be dear one text, and of what takes seconds one. */
import t from "tap";
import { readLegitimate, readTooMuch, readWithin } from "./readBombs.js";

t.setTimeout(300_000);

t.test("4 MiB of little things: one problem, where it is too much", (t) =>
	readTooMuch(t, ["opening brackets", "empty tags", "questions", "blank lines"]),
);

t.test("what is dear below the bound", (t) =>
	readWithin(t, ["escapes", "a long alias", "pairs of a tag of 1.1", "several files"]),
);

t.test("as large as declarations become", (t) => readLegitimate(t, ["76,000 principals"]));
