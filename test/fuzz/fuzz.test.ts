/** 20,000 inputs for the parsers that read the network and declarations: none crashes, hangs, or lets anybody in. */
import t from "tap";
import { fuzz } from "./fuzzing.js";

t.setTimeout(180_000);

t.test("bent and senseless inputs", { timeout: 180_000 }, (t) => fuzz(t, 20_000, 20_260_101));
