/** `weir policy shadow`: refusals have their reason, and untried policies are not reported as harmless. */
import t from "tap";
import { decisionLogMounts } from "../../../src/cli/roles/api.js";
import { forwardTo } from "../../../src/cli/roles/forward.js";
import { startRig } from "../../observe/events/rig.js";
import { policyText, RULES_GATEWAY, serviceText } from "../../operate/guarded.js";
import { mutualApi } from "../../operate/mutualApi.js";
import { binding } from "../../operate/operatorBinding.js";
import { fileOf, temporaryDirectory } from "../command.js";
import { operatorCommand } from "../operatorCommand.js";

t.setTimeout(120_000);

const GAP = /Service shop: Envoy cannot try no-v2 \(it has a CEL condition\); so of plain /;
const shop = (more = ""): string => serviceText("shop", "default", more);
const plain = policyText("plain", "shop", "default", "  mode: shadow\n");
const conditional = (name: string, services: string, namespace = "default"): string =>
	policyText(name, services, namespace, `  mode: shadow\n  condition: request.path.startsWith("/v2")\n`).replace(
		"action: allow",
		"action: deny",
	);

async function started(t: Parameters<typeof mutualApi>[0]) {
	const rig = await startRig();
	t.teardown(() => rig.close());
	return { rig, ...(await mutualApi(t, { mounts: decisionLogMounts(forwardTo(rig.httpSocket, "ingest")) })) };
}

t.test("policy shadow shows denials without a policy and their reason, also when one policy is selected", async (t) => {
	const api = await started(t);
	const { local } = await operatorCommand(t, api);
	const file = await fileOf(
		await temporaryDirectory(t),
		"all.yaml",
		[RULES_GATEWAY, shop(), policyText("web", "shop"), plain].join("---\n"),
	);
	t.match(await local("apply", "-f", file), { code: 0 });
	const tried = (path: string, rule: string) => ({
		...({ kind: "end", unit: null, requestId: path, startMs: 999_000, plan: "unknown", path } as const),
		namespace: "envoy.filters.http.rbac",
		said: { weir_deny_shadow_engine_result: "denied", weir_deny_shadow_effective_policy_id: rule },
	});
	await api.rig.send([
		tried("/a", "(invalid token) typ"),
		tried("/b", "(ambiguous path)"),
		tried("/c", "plain"),
		tried("/d", "gone"),
	]);
	const shadow = async (...more: readonly string[]) => (await local("policy", "shadow", "--all-rules", ...more)).out;
	for (const [out, ...shown] of [
		[await shadow(), "/a", "/b", "/c"],
		[await shadow("--policy", "plain"), "/a", "/b", "/c"],
		[await shadow("--policy", "default/plain"), "/a", "/b", "/c"],
		[await shadow("--service", "default/shop"), "/a", "/b", "/c"],
		[await shadow("--policy", "gone")],
	] as const) {
		const asked = ["/a", "/b", "/c", "/d"].filter((path) => out.includes(`POST ${path} `));
		t.same(asked, shown, out);
	}
	t.equal(await shadow("--policy", "gone"), "no policy gone is in shadow mode\n", "nothing was asked");
	const out = await shadow();
	t.match(out, /POST \/a {2}its token would be refused \(invalid-token\) {2}last/);
	t.match(out, /POST \/b {2}it would be refused whatever the policies say \(not-canonical\) {2}last/);
	t.match(out, /POST \/c {2}by policy plain {2}last/);
});

t.test("shadow, apply and validate name what Envoy cannot try, and what that hides", async (t) => {
	const api = await started(t);
	const { local } = await operatorCommand(t, api);
	const directory = await temporaryDirectory(t);
	const apply = async (...documents: readonly string[]) =>
		local("apply", "-f", await fileOf(directory, "next.yaml", documents.join("---\n")));

	t.match(await apply(RULES_GATEWAY, shop(), policyText("web", "shop"), plain), { code: 0, stderr: "" });
	const harmless = /^the shadow policies have changed no verdict so far/;
	t.match(await local("policy", "shadow"), { code: 0, out: harmless });

	t.match(await apply(conditional("no-v2", "shop")), { code: 0, stderr: GAP });
	const { out } = await local("policy", "shadow");
	t.match(out, GAP);
	t.match(out, /^NOT TRIED .*\nthe shadow policies have changed no verdict so far/);
	t.notMatch(out, harmless);
	t.match(
		(await local("policy", "shadow", "--policy", "plain")).out,
		"NOT TRIED",
		"an untried policy hides the requested one",
	);
	t.notMatch((await local("policy", "shadow", "--service", "other")).out, "NOT TRIED");
	t.match(JSON.parse((await local("policy", "shadow", "--json")).out), {
		changes: [],
		gaps: [{ service: "shop", untried: [{ name: "no-v2" }], tried: ["plain"], hidden: [/would be allowed/] }],
	});
	const whole = [RULES_GATEWAY, shop(), policyText("web", "shop"), plain, conditional("no-v2", "shop")];
	const file = await fileOf(directory, "whole.yaml", whole.join("---\n"));
	t.match(await local("validate", "-f", file), { code: 0, out: "valid: 5 resources\n", stderr: GAP });

	t.match(await apply(policyText("other", "shop")), { code: 0, stderr: "" }, "a change that has nothing to do with it");
	t.match(await apply(shop("  callout: {access: sidecar}\n")), { code: 0, stderr: "" });
	t.match(await local("policy", "shadow"), { code: 0, out: harmless });

	const open = await apply(serviceText("free", "default", "  access: open\n"), conditional("later", "free"));
	t.match(open.stderr, /Service free: Envoy cannot try later .* judges no open Service\n$/);
});

t.test("readers of the policy or its Service see the changes, with the names that they may read", async (t) => {
	const api = await started(t);
	const grant = `apiVersion: weir.dev/v1alpha1
kind: ReferenceGrant
metadata: {name: in}
spec: {from: [{kind: AccessPolicy, namespace: security}], to: [{kind: Service, name: shop}]}
`;
	await api.owner.apply(
		[
			{
				name: "all.yaml",
				text: [
					RULES_GATEWAY,
					shop(),
					grant,
					policyText("web", "shop"),
					plain,
					conditional("central", "default/shop", "security"),
					binding("ada", "read", ["ada"], "[default]"),
					binding("eve", "read", ["eve"], "[security]"),
					binding("mia", "read", ["mia"], "[other]"),
				].join("---\n"),
			},
		],
		{ dryRun: false },
	);
	const gapsOf = async (name: string) => (await api.as(name)).shadowGaps();
	t.match(await gapsOf("ada"), [{ service: "shop", untried: [{ name: "a policy of another namespace" }] }]);
	const [seen] = await gapsOf("eve");
	t.match(seen, { service: "shop", untried: [{ name: "security/central" }] });
	t.same(seen?.tried, ["a policy of another namespace"]);
	t.same(await gapsOf("mia"), []);
});

t.test("policy shadow names Services that the caller may not read, without their changes", async (t) => {
	const api = await started(t);
	const { as, local } = await operatorCommand(t, api);
	const directory = await temporaryDirectory(t);
	const grant = `apiVersion: weir.dev/v1alpha1
kind: ReferenceGrant
metadata: {name: in}
spec: {from: [{kind: AccessPolicy, namespace: security}], to: [{kind: Service, name: shop}]}
`;
	const shared = [RULES_GATEWAY, shop(), policyText("web", "shop")];
	const tried = policyText("central", "default/shop", "security", "  mode: shadow\n");
	const roles = [binding("eve", "read", ["eve"], "[security]"), binding("ada", "read", ["ada"], "['*']")];
	const all = await fileOf(directory, "all.yaml", [...shared, grant, tried, ...roles].join("---\n"));
	t.match(await local("apply", "-f", all), { code: 0 });
	const [eve, ada] = [await as("eve"), await as("ada")];
	t.match(await eve("policy", "shadow"), {
		code: 0,
		out: /^NO ACCESS {4}Service shop: .*\nthe shadow policies have changed no verdict so far that you may read/,
	});
	t.match(JSON.parse((await eve("policy", "shadow", "--json")).out), { untold: ["shop"] });
	t.match(await ada("policy", "shadow"), {
		out: /^the shadow policies have changed no verdict so far/,
	});

	const file = await fileOf(directory, "shared.yaml", shared.join("---\n"));
	const request = '{service: shop, method: GET, path: /, principal: "spiffe://a.example/web"}';
	const table = await fileOf(directory, "t.yaml", `tests: [{name: web, request: ${request}, expect: allow}]\n`);
	const judged = ["policy", "test", "-f", file, "-t", table];
	t.match(await ada(...judged, "--live"), { code: 0 });
	t.match(await eve(...judged, "--live"), {
		code: 1,
		stderr: /control does not say what it serves of shop.*leave --live out/s,
	});
	t.match(await eve(...judged), { code: 0 });
});
