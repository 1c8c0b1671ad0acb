/** The refusal of a declaration that needs `admin` names the document and the reason. */
import t from "tap";
import { file } from "../employment.js";
import { policyText, RULES_GATEWAY, serviceText } from "../guarded.js";
import { mutualApi, operator } from "../mutualApi.js";
import { binding } from "../operatorBinding.js";

const HEAD = "apiVersion: weir.dev/v1alpha1\n";
const GRANT = `${HEAD}kind: ReferenceGrant
metadata: {name: plat}
spec: {from: [{kind: AccessPolicy, namespace: platform}], to: [{kind: Service}]}
`;
const CLASS = `${HEAD}kind: DataClass
metadata: {name: pii}
spec: {regions: [eu]}
`;
const TWO = `${HEAD}kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply], namespaces: [default], approvals: 1}
`;
const service = (more: string): string => serviceText("nat", "default", more);
const now = { dryRun: false };

t.test("the refusal names each document that needs admin, and the reason", async (t) => {
	const { owner, as } = await mutualApi(t);
	const documents = [RULES_GATEWAY, GRANT, CLASS, service("  dataClass: pii\n"), policyText("own", "nat")];
	const made = await owner.apply(
		file([...documents, binding("writers", "apply", ["eve"], "[default]")].join("---\n")),
		now,
	);
	t.match(made, { outcome: "applied" });
	const eve = await as("eve");
	const needsAdmin = (to: string, where = "namespace default") => ({
		code: "permission-denied",
		message: `${operator("eve")} needs the verb admin in ${where} to ${to}`,
		hint: "ask an admin for a RoleBinding",
	});
	const other = policyText("more", "nat");
	await t.rejects(
		eve.apply(file(`${other}---\n${GRANT.replace("platform", "p")}`), now),
		needsAdmin("change ReferenceGrant plat"),
	);
	await t.rejects(eve.delete("ReferenceGrant", "plat", now), needsAdmin("delete ReferenceGrant plat"));
	await t.rejects(eve.apply(file(CLASS.replace("eu", "us")), now), needsAdmin("change DataClass pii"));
	await t.rejects(eve.apply(file(TWO), now), needsAdmin("create ApprovalPolicy two"));
	await t.rejects(
		eve.apply(file(binding("x", "admin", ["eve"], "[default]")), now),
		needsAdmin("create RoleBinding x"),
	);
	const gateway = RULES_GATEWAY.replace("port: 0", "port: 1");
	await t.rejects(eve.apply(file(gateway), now), needsAdmin("change Gateway edge", "all namespaces ('*')"));
	await t.rejects(
		eve.apply(file(`${other}---\n${service("")}`), now),
		needsAdmin("take Service nat out of its DataClass pii"),
	);
	await t.rejects(
		eve.deleteAll(
			[
				{ kind: "Service", name: "nat" },
				{ kind: "AccessPolicy", name: "own" },
			],
			now,
		),
		needsAdmin("take Service nat out of its DataClass pii"),
	);
	t.match(await eve.apply(file(other), now), { outcome: "applied" });
});
