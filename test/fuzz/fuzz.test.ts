/** 20,000 inputs for the parsers that read the network and declarations: none crashes, hangs, or allows a request. */
import t from "tap";
import { fuzz } from "./fuzzing.js";

t.setTimeout(180_000);

t.test("no parser crashes on, or allows, invalid input", { timeout: 180_000 }, (t) => fuzz(t, 20_000, 20_260_101));
