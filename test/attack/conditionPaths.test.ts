/** A protocol on an Envoy, over HTTP/2; test/long has each protocol on each version. */
import t from "tap";
import { inThisTier } from "../envoy/tierVersions.js";
import { conditionsHold } from "./conditionPaths.js";

t.setTimeout(300_000);

for (const [version, protocol] of inThisTier([
	["1.40.0", "ext_authz"],
	["1.36.2", "ext_proc"],
] as const))
	t.test(`path conditions, Envoy ${version}, ${protocol}`, { timeout: 240_000 }, (t) =>
		conditionsHold(t, version, protocol, ["http2"]),
	);
