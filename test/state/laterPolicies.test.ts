/** ApprovalPolicies that come while a request waits: whose approvals it takes then, they see it and can give them. */
import t from "tap";
import type { ApiClient } from "../../src/state/api/apiClient.js";
import { ALL, file, SERVICE } from "./employment.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "./guarded.js";
import { mutualApi } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const now = { dryRun: false };
const policy = (namespace: string, verbs = "apply"): string => `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: own, namespace: ${namespace}}
spec: {verbs: [${verbs}], namespaces: [${namespace}]}
`;
const GRANT = `apiVersion: weir.dev/v1alpha1
kind: ReferenceGrant
metadata: {name: in, namespace: shop}
spec: {from: [{kind: AccessPolicy, namespace: team}], to: [{kind: Service}]}
`;

async function scene(t: Parameters<typeof mutualApi>[0], ...rights: readonly string[]) {
	const made = await mutualApi(t);
	const people = [binding("bob", "approve", ["bob"], "[team]"), binding("shopa", "approve", ["shopa"], "[shop]")];
	await made.owner.apply(file([RULES_GATEWAY, ...people, ...rights, policy("team")].join("---\n")), now);
	return { ...made, ann: await made.as("ann"), bob: await made.as("bob"), shopa: await made.as("shopa") };
}

async function asked(client: ApiClient, text: string): Promise<string> {
	const made = await client.apply(file(text), now);
	if (made.outcome !== "pending") throw new Error(JSON.stringify(made));
	return made.request.id;
}

t.test("of a Service that an AccessPolicy names", async (t) => {
	const { owner, ann, bob, shopa, store } = await scene(t, binding("ann", "apply", ["ann"], "[team]"), GRANT);
	await owner.apply(file([serviceText("cart", "shop"), policyText("own", "cart", "shop")].join("---\n")), now);
	const id = await asked(ann, policyText("central", "shop/cart", "team"));
	t.same(await shopa.requests(), [], "where nothing waits nobody is asked");
	await owner.apply(file(policy("shop")), now);
	t.match(await bob.approve(id), { state: "pending" });
	t.match(await shopa.requests(), [{ id, effects: ["created AccessPolicy team/central"] }]);
	t.match(await shopa.approve(id), { state: "done" });
	t.equal(store.current.resources.accessPolicies.length, 2);
});

t.test("of a namespace whose rules it changes, whatever the policy's verbs", async (t) => {
	const { owner, ann, bob, shopa } = await scene(t, binding("ann", "admin", ["ann"], "[team, shop]"));
	const second = binding("second", "read", ["eve"], "[team, shop]").replace("name: ", "namespace: team, name: ");
	const id = await asked(ann, second);
	await owner.apply(file(policy("shop", "abort")), now);
	t.match(await bob.approve(id), { state: "pending" });
	t.match(await shopa.requests(), [{ id }]);
	t.match(await shopa.approve(id), { state: "done" });
});

t.test("of a namespace where it promotes", async (t) => {
	const everything = binding("ann", "apply, promote", ["ann"], "[team, default]");
	const here = binding("here", "approve", ["shopa"], "[default]");
	const { owner, ann, bob, shopa } = await scene(t, everything, here, ALL);
	const promotion = SERVICE.replace("9001", "9003").replace("9002", "9001").replace("9003", "9002");
	const id = await asked(ann, [promotion, metricText("m", "team")].join("---\n"));
	await owner.apply(file(policy("default", "promote")), now);
	t.match(await bob.approve(id), { state: "pending" });
	t.match(await shopa.requests(), [{ id }]);
	t.match(await shopa.approve(id), { state: "done" });
});

t.test("a policy of another verb asks nobody about what is no rule", async (t) => {
	const { owner, ann, bob, shopa } = await scene(t, binding("ann", "apply", ["ann"], "[team, shop]"));
	const id = await asked(ann, [metricText("m", "team"), metricText("m", "shop")].join("---\n"));
	await owner.apply(file(policy("shop", "abort")), now);
	t.same(await shopa.requests(), []);
	t.match(await bob.approve(id), { state: "done" });
});
