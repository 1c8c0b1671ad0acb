/** Every text that costs its reader much more than its length; test/declare/resources asks some of them. */
import t from "tap";
import { readLegitimate, readTooMuch, readWithin } from "../declare/resources/readBombs.js";

t.setTimeout(600_000);

t.test("4 MiB of little things: one problem, where it is too much", (t) => readTooMuch(t));
t.test("what is dear below the bound", (t) => readWithin(t));
t.test("as large as declarations become", (t) => readLegitimate(t));
