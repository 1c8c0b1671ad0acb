/** `weir status` of an operator of one namespace asks for nothing that they may not read: no refusal stays behind. */
import t from "tap";
import { PROBE_ALARM } from "../../src/cli/roles/probe.js";
import { ALL } from "../state/employment.js";
import { mutualApi } from "../state/mutualApi.js";
import { binding } from "../state/operatorBinding.js";
import { operatorCommand } from "./operatorCommand.js";

t.test("alarms are for who may read everything, and nobody else asks for them", async (t) => {
	const metrics = `${PROBE_ALARM}{role="xds",alarm="probe-passed",gateway="edge"} 1\n`;
	const mutual = await mutualApi(t, { mounts: { "/metrics": (_, response) => void response.end(metrics) } });
	const rules = [binding("one", "read", ["ann"], "[default]"), binding("all", "read", ["bob"], '["*"]')].join("---\n");
	await mutual.owner.apply([{ name: "all.yaml", text: [ALL, rules].join("---\n") }], { dryRun: false });
	const before = mutual.store.audit.page(0, 100).records.length;
	const { as, local } = await operatorCommand(t, mutual);
	const ann = await (await as("ann"))("status");
	t.match(ann, { code: 0, out: /^EXPERIMENT/ });
	t.equal(mutual.store.audit.page(0, 100).records.length, before, "no record");
	for (const run of [await as("bob"), local]) t.match(await run("status"), { code: 0, out: /^ALARM probe-passed/ });
});
