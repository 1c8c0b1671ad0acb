/** Every text that costs its reader much more than its length; test/declare/resources asks some of them. */
import t from "tap";
import { readLegitimate, readTooMuch, readWithin } from "../declare/resources/readBombs.js";

t.setTimeout(600_000);

t.test("4 MiB of small nodes are refused with one problem", (t) => readTooMuch(t));
t.test("expensive texts below the bound are read", (t) => readWithin(t));
t.test("texts as large as real declarations are read", (t) => readLegitimate(t));
