import t from "tap";
import { surviveKills } from "./crash.js";

// Every act is a durable write, and the machine may be busy.
t.test("after kill -9 every acknowledged change is stored, and none is half applied", { timeout: 300_000 }, (t) =>
	surviveKills(t, 4),
);
