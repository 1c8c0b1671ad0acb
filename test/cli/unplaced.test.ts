/** `weir apply` and `weir delete` of a DataClass warn of Services that lose endpoints by it, and `weir status` tells their owners. */
import t from "tap";
import { policyText, RULES_GATEWAY, serviceText } from "../state/guarded.js";
import { mutualApi } from "../state/mutualApi.js";
import { binding } from "../state/operatorBinding.js";
import { fileOf, temporaryDirectory, weirUp } from "./command.js";
import { operatorCommand } from "./operatorCommand.js";

const classOf = (regions: string): string => `apiVersion: weir.dev/v1alpha1
kind: DataClass
metadata: {name: pii, namespace: legal}
spec: {regions: [${regions}]}
`;
const grant = `apiVersion: weir.dev/v1alpha1
kind: ReferenceGrant
metadata: {name: in, namespace: legal}
spec: {from: [{kind: Service, namespace: shop}], to: [{kind: DataClass, name: pii}]}
`;

t.setTimeout(120_000);

t.test("by name to who may read the Service, else how many", async (t) => {
	const api = await mutualApi(t);
	const { as, local } = await operatorCommand(t, api);
	const directory = await temporaryDirectory(t);
	const documents = [
		...[RULES_GATEWAY, classOf("eu, us"), grant, serviceText("cart", "shop", "  dataClass: legal/pii\n")],
		...[policyText("own", "cart", "shop"), binding("legal", "admin", ["lea"], "[legal]")],
	];
	const all = await fileOf(directory, "all.yaml", documents.join("---\n"));
	t.match(await local("apply", "-f", all), { code: 0, stderr: "" });
	const lea = await as("lea");
	const narrowed = await fileOf(directory, "n.yaml", classOf("us"));
	const words =
		"Service shop/cart: variants v1, v2 have no endpoint in a region of DataClass legal/pii (us) any more, and serve nothing";
	t.match(await local("apply", "--dry-run", "-f", narrowed), { code: 0, stderr: `warning: ${words}\n` });
	t.match(await lea("apply", "-f", narrowed), {
		code: 0,
		out: "configured DataClass legal/pii\n",
		stderr: "warning: Variants of 1 Service have no endpoint by it any more\n",
	});
	t.match((await local("status")).out, words);
	t.match(await local("delete", "DataClass", "legal/pii"), {
		code: 0,
		stderr:
			"warning: Service shop/cart: DataClass legal/pii is not declared any more: it has no endpoint that its data may go to, and is closed to everyone\n",
	});
});

t.test("a grant that a denial rests on: the delete and its dry run warn that it ends", async (t) => {
	const api = await mutualApi(t);
	const { local } = await operatorCommand(t, api);
	const directory = await temporaryDirectory(t);
	const door = grant
		.replace("namespace: legal}\n", "namespace: shop}\n")
		.replace(/spec: .*/, "spec: {from: [{kind: AccessPolicy, namespace: legal}], to: [{kind: Service}]}");
	const denial = policyText("stop", "shop/cart", "legal").replace("allow", "deny").replace("/stop", "/own");
	const documents = [RULES_GATEWAY, door, serviceText("cart", "shop"), policyText("own", "cart", "shop"), denial];
	const all = await fileOf(directory, "all.yaml", documents.join("---\n"));
	t.match(await local("apply", "-f", all), { code: 0, stderr: "" });
	const stderr =
		"warning: Service shop/cart: AccessPolicy legal/stop denies nothing there any more, for no ReferenceGrant lets it\n";
	t.match(await local("delete", "--dry-run", "ReferenceGrant", "shop/in"), { code: 0, stderr });
	t.match(await local("delete", "ReferenceGrant", "shop/in"), { code: 0, stderr });
});

t.test(
	"weir up starts with a Service as it stood, whatever became of its class, and warns where its files take it",
	async (t) => {
		const directory = await temporaryDirectory(t);
		const data = `${directory}/data`;
		const service = serviceText("cart", "shop", "  access: open\n  dataClass: legal/pii\n").replaceAll(".internal", "");
		const gateway = `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {address: 127.0.0.1, port: 0}
`;
		const filesWith = (regions: string) =>
			fileOf(directory, "up.yaml", [gateway, service, grant, classOf(regions)].join("---\n"));
		let up = await weirUp(await filesWith("eu, us"), data);
		t.notMatch(up.log(), /weir: warning/);
		t.equal(await up.stop(), 0);
		up = await weirUp(await filesWith("us"), data);
		t.match(
			up.log(),
			/weir: warning: Service shop\/cart: variants v1, v2 have no endpoint in a region of DataClass legal\/pii/,
		);
		t.equal(await up.stop(), 0);
		const own = await fileOf(directory, "own.yaml", [gateway, service].join("---\n"));
		up = await weirUp(own, data);
		t.equal(await up.stop(), 0);
	},
);
