import t from "tap";
import { impliedAttributes } from "../../../src/observe/telemetry/attribution.js";

t.test("arm header and cluster imply experiment, feature flag, service and variant, namespaces kept", (t) => {
	t.same(impliedAttributes({ "weir.arm": "team/exp/control", upstream_cluster: "team/model/v2" }), {
		"weir.experiment": "team/exp",
		"feature_flag.key": "team/exp",
		"feature_flag.result.variant": "control",
		"feature_flag.provider.name": "weir",
		"weir.service": "team/model",
		"weir.variant": "v2",
	});
	t.end();
});

t.test("attributes that a span has are not repeated, and a value without a slash implies none", (t) => {
	t.same(impliedAttributes({ upstream_cluster: "model/v2", "weir.service": "own" }), { "weir.variant": "v2" });
	t.same(impliedAttributes({ "weir.arm": "odd", upstream_cluster: "/x" }), {});
	t.end();
});
