/** Both protocols on the newest and the oldest Envoy, over HTTP/2; test/long has each protocol on each version. */
import t from "tap";
import { conditionsHold } from "./conditionPaths.js";

t.setTimeout(300_000);

const LONG = { timeout: 240_000 };
t.test("path conditions, Envoy 1.40.0, ext_authz", LONG, (t) => conditionsHold(t, "1.40.0", "ext_authz", ["http2"]));
t.test("path conditions, Envoy 1.36.2, ext_proc", LONG, (t) => conditionsHold(t, "1.36.2", "ext_proc", ["http2"]));
