/** A million inputs for the parsers that read the network, others on every run. */
import t from "tap";
import { fuzz } from "../fuzz/fuzzing.js";

t.setTimeout(3_600_000);

t.test("bent and senseless inputs", { timeout: 3_600_000 }, (t) => fuzz(t, 1_000_000, null));
