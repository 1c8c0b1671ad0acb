/** Files with a policy or Service whose grant was deleted, as control's state may hold them: previews accept them with a warning. */
import t from "tap";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "../../operate/guarded.js";
import { fileOf, temporaryDirectory, weir } from "../command.js";

t.setTimeout(120_000);

const grant = `apiVersion: weir.dev/v1alpha1
kind: ReferenceGrant
metadata: {name: plat, namespace: shop}
spec: {from: [{kind: AccessPolicy, namespace: platform}], to: [{kind: Service}]}
`;
const PII_GRANT = `apiVersion: weir.dev/v1alpha1
kind: ReferenceGrant
metadata: {name: pii, namespace: legal}
spec: {from: [{kind: Service, namespace: shop}], to: [{kind: DataClass}]}
`;
const denial = policyText("stop", "shop/cart", "platform").replace("allow", "deny").replace("/stop", "/own");
const rest = [RULES_GATEWAY, serviceText("cart", "shop"), policyText("own", "cart", "shop"), denial];
const NOT_GRANTED =
	"Service shop/cart is of another namespace, which grants no AccessPolicy of namespace platform to name it";
const WARNING = `warning: AccessPolicy platform/stop: ${NOT_GRANTED}: this policy does not count there\n`;

t.test(
	"policy diff and policy test accept a policy without its grant and warn; validate and compile refuse it",
	async (t) => {
		const directory = await temporaryDirectory(t);
		const before = await fileOf(directory, "before.yaml", [...rest, grant].join("---\n"));
		const after = await fileOf(directory, "after.yaml", rest.join("---\n"));
		const diff = await weir(["policy", "diff", before, after]);
		t.match(diff, { code: 1, stderr: WARNING });
		t.match(diff.stdout, /^NEWLY ALLOWED {2}shop\/cart: deny \(forbidden by policy platform\/stop\)/m);
		const table = await fileOf(
			directory,
			"table.yaml",
			"tests:\n  - {name: own, request: {service: shop/cart, principal: spiffe://a.example/own}, expect: allow}\n",
		);
		t.match(await weir(["policy", "test", "-f", after, "-t", table]), { code: 0, stderr: WARNING });
		t.match(await weir(["policy", "test", "-f", before, "-t", table]), { code: 1 });
		t.match(await weir(["explain", "-f", after]), { code: 0, stderr: WARNING });
		for (const refusing of [
			["validate", "-f", after],
			["compile", "-f", after, "--format", "table"],
		])
			t.match(await weir(refusing), { code: 1, stderr: NOT_GRANTED }, refusing.join(" "));
	},
);

t.test("assign and plan accept a policy without its grant, and warn", async (t) => {
	const directory = await temporaryDirectory(t);
	const experiment = `apiVersion: weir.dev/v1alpha1
kind: Experiment
metadata: {name: models, namespace: shop}
spec:
  service: cart
  unit: {header: x-user-id}
  layer: {name: models, slot: [0%, 100%]}
  arms: [{name: control, variant: v1, baseline: true}, {name: boosted, variant: v2}]
  goal: {metric: sold, improveBy: {absolute: 5pp}}
  rollout: {steps: [100%], every: 10s, minUnits: 500}
`;
	const held = [...rest, metricText("sold", "shop"), experiment].join("---\n");
	const file = await fileOf(directory, "held.yaml", held);
	const assigned = await weir(["assign", "-f", file, "--experiment", "shop/models", "--allocation", "100%"], "u1\n");
	t.match(assigned, { code: 0, stderr: WARNING });
	t.match(assigned.stdout.toString(), /^u1\t(control|boosted)\n$/);
	const facts = ["--traffic", "100000", "--baseline", "sold=0.5"];
	const planned = await weir(["plan", "-f", file, "--offline", ...facts]);
	t.match(planned, { code: 0, stderr: WARNING });
	t.match(planned.stdout.toString(), /shop\/models/);
});

t.test("explain accepts a Service without its DataClass or its grant, and warns once", async (t) => {
	const directory = await temporaryDirectory(t);
	const service = serviceText("cart", "shop", "  dataClass: legal/pii\n");
	const held = [RULES_GATEWAY, service, policyText("own", "cart", "shop")];
	const file = await fileOf(directory, "held.yaml", held.join("---\n"));
	const warning = /^warning: Service shop\/cart: DataClass legal\/pii [^\n]* is closed to everyone\n$/;
	t.match(await weir(["explain", "-f", file]), { code: 0, stderr: warning });
	const granted = await fileOf(directory, "granted.yaml", [...held, PII_GRANT].join("---\n"));
	t.match(await weir(["explain", "-f", granted]), { code: 0, stderr: warning }, "gone");
});

t.test("a Service without an endpoint in the regions of its DataClass is a warning", async (t) => {
	const directory = await temporaryDirectory(t);
	const away = serviceText("away", "shop", "  dataClass: legal/pii\n").replaceAll("region: eu", "region: us");
	const pii = `apiVersion: weir.dev/v1alpha1
kind: DataClass
metadata: {name: pii, namespace: legal}
spec: {regions: [eu]}
---
${PII_GRANT}`;
	const held = [RULES_GATEWAY, away, pii, policyText("away", "away", "shop")].join("---\n");
	const file = await fileOf(directory, "held.yaml", held);
	const table = await fileOf(
		directory,
		"table.yaml",
		"tests:\n  - {name: own, request: {service: shop/away, principal: spiffe://a.example/away}, expect: allow}\n",
	);
	const refused = await weir(["validate", "-f", file]);
	t.match(refused, { code: 1, stderr: /no endpoint of variant v1 is in a region/ });
	for (const preview of [
		["policy", "test", "-f", file, "-t", table],
		["explain", "-f", file],
	]) {
		const { code, stderr } = await weir(preview);
		t.equal(code, 0, preview.join(" "));
		t.match(stderr, /^warning: Service shop\/away: variants v1, v2 have no endpoint in a region[^\n]*\n$/);
	}
	const broken = await fileOf(directory, "broken.yaml", held.replace("defaultVariant: v1", "defaultVariant: v9"));
	t.match(await weir(["explain", "-f", broken]), { code: 1, stderr: /defaultVariant names "v9"/ });
});
