/** Overload of the sidecar by each protocol. */
import t from "tap";
import { sheds } from "../failure/overload.js";
import { PROTOCOLS } from "../failure/stage.js";

t.setTimeout(600_000);

for (const protocol of PROTOCOLS) t.test(`${protocol}: overload is shed, and passes`, (t) => sheds(t, protocol));
