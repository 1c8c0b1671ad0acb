/** Both forms, on the newest and on the oldest Envoy, each spelling by HTTP/2; test/long asks each form on each version by both. */
import t from "tap";
import { conditionsHold } from "./conditionPaths.js";

t.setTimeout(300_000);

t.test("Envoy 1.40.0, ext_authz", { timeout: 240_000 }, (t) => conditionsHold(t, "1.40.0", "ext_authz", ["http2"]));
t.test("Envoy 1.36.2, ext_proc", { timeout: 240_000 }, (t) => conditionsHold(t, "1.36.2", "ext_proc", ["http2"]));
