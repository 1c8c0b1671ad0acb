/** A sample of test/long/yamlBombs.test.ts: one text of each kind. */
import t from "tap";
import { readLegitimate, readTooMuch, readWithin } from "./readBombs.js";

t.setTimeout(300_000);

t.test("4 MiB of small tokens have one problem, where they exceed the bound", (t) =>
	readTooMuch(t, ["opening brackets", "empty tags", "questions", "blank lines"]),
);

t.test("expensive texts below the bound are parsed in time", (t) =>
	readWithin(t, ["escapes", "a long alias", "pairs of a tag of 1.1", "several files"]),
);

t.test("a large valid declaration is parsed in time", (t) => readLegitimate(t, ["76,000 principals"]));
