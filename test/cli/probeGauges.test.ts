/** What stands of one Envoy's probe, as metrics. */
import t from "tap";
import { ProbeGauges } from "../../src/cli/roles/probeGauges.js";
import { createMeter } from "../../src/telemetry/meter.js";

t.test("of an Envoy that is forgotten nothing stands, whatever a round under way still finds", async (t) => {
	const meter = createMeter({ role: "xds" });
	const gauges = new ProbeGauges(meter, "east");
	const find = (): void => {
		gauges.know([{ alarm: "probe-passed", gateway: "edge" }]);
		gauges.standing(new Set(["probe-passed edge"]));
		gauges.leftOut([{ gateway: "edge", why: "it is away" }]);
	};
	const standing = async () => (await meter.text()).split("\n").filter((line) => /^weir_probe_.* 1$/.test(line)).length;
	find();
	t.equal(await standing(), 3);
	gauges.end();
	t.equal(await standing(), 0);
	find();
	t.equal(await standing(), 0);
});
