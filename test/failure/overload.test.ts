/** test/long asks the same over ext_proc. */
import t from "tap";
import { sheds } from "./overload.js";

t.setTimeout(300_000);

t.test("ext_authz: overload is shed, and passes", (t) => sheds(t, "ext_authz"));
