/** A third of what test/long/yamlBombs.test.ts reads. */
import t from "tap";
import { readLegitimate, readTooMuch, readWithin } from "./readBombs.js";

t.setTimeout(300_000);

t.test("4 MiB of little things: one problem, where it is too much", (t) =>
	readTooMuch(t, [
		"opening brackets",
		"unknown aliases",
		"empty tags",
		"at signs",
		"questions",
		"dashes",
		"tabs",
		"blank lines",
	]),
);

t.test("what is dear below the bound", (t) =>
	readWithin(t, [
		"empty keys of empty items",
		"comments behind blank lines",
		"escapes",
		"fields below long names",
		"a long alias",
		"pairs of a tag of 1.1",
		"several files",
	]),
);

t.test("as large as declarations become", (t) => readLegitimate(t, ["5,000 Services in files", "76,000 principals"]));
