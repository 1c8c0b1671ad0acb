/** test/operate/state/crash.test.ts with many more kills. */
import t from "tap";
import { surviveKills } from "../operate/state/crash.js";

t.test("control's state survives forty times kill -9", { timeout: 1_200_000 }, (t) => surviveKills(t, 40));
