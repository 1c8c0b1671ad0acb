/** A request that reaches several namespaces: each gives its own approval, and is told what concerns it and no more. */
import t from "tap";
import { file } from "./employment.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "./guarded.js";
import { mutualApi, operator } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const now = { dryRun: false };
const HEAD = "apiVersion: weir.dev/v1alpha1\n";
const two = (namespace: string, more = ""): string =>
	`${HEAD}kind: ApprovalPolicy\nmetadata: {name: two, namespace: ${namespace}}\nspec: {verbs: [apply], namespaces: [${namespace}]${more}}\n`;
const grant = (namespace: string): string =>
	`${HEAD}kind: ReferenceGrant\nmetadata: {name: in, namespace: ${namespace}}\nspec: {from: [{kind: AccessPolicy, namespace: security}], to: [{kind: Service}]}\n`;

async function scene(t: Parameters<typeof mutualApi>[0], ...policies: readonly string[]) {
	const made = await mutualApi(t);
	const documents = [
		RULES_GATEWAY,
		...["shop", "bank", "security"].flatMap((namespace) => [
			serviceText("cart", namespace),
			policyText("own", "cart", namespace),
		]),
		grant("shop"),
		grant("bank"),
		binding("sec", "apply", ["sec"], "[security, bank]"),
		binding("seca", "approve", ["seca"], "[security]"),
		binding("shopa", "approve", ["shopa", "shopb"], "[shop]"),
		binding("banka", "approve", ["banka"], "[bank]"),
		binding("both", "approve", ["both"], "[security, shop, bank]"),
	];
	await made.owner.apply(file(documents.join("---\n")), now);
	await made.owner.apply(file(policies.join("---\n")), now);
	return made;
}

const central = policyText("central", "shop/cart", "security").replace('["shop/cart"]', '["shop/cart", "bank/cart"]');

t.test("the named namespace's approvers see it and give it, without a word in the other", async (t) => {
	const { as, store } = await scene(t, two("shop"));
	const [sec, seca, shopa] = [await as("sec"), await as("seca"), await as("shopa")];
	const asked = await sec.apply(file(policyText("central", "shop/cart", "security")), now);
	t.match(asked, { outcome: "pending", request: { namespaces: ["security", "shop"], needsIn: { shop: 1 } } });
	if (asked.outcome !== "pending") return;
	const { id, governedBy } = asked.request;
	t.strictSame(governedBy, ["security"], "the share of what waits is its own, not that of whom it names");
	t.same(await seca.requests(), [], "where nothing waits nobody is asked");
	await t.rejects(seca.approve(id), { code: "not-found" });
	t.match(await shopa.requests(), [{ id, effects: ["created AccessPolicy security/central"] }]);
	t.match(await shopa.approve(id), { state: "done" });
	t.match(
		store.current.resources.accessPolicies.find(({ metadata }) => metadata.name === "central"),
		{},
	);
	t.match(store.audit.page(0, 1_000).records.at(-1), { verb: "apply", approvedBy: [operator("shopa")] });
});

t.test("all of them give their own; one person with both counts in both", async (t) => {
	const { as, store } = await scene(t, two("shop", ", approvals: 2"), two("security"));
	const [sec, seca, shopa, shopb, both] = [
		await as("sec"),
		await as("seca"),
		await as("shopa"),
		await as("shopb"),
		await as("both"),
	];
	const ask = async (name: string): Promise<string> => {
		const asked = await sec.apply(file(policyText(name, "shop/cart", "security")), now);
		if (asked.outcome !== "pending") throw new Error(asked.outcome);
		t.strictSame(asked.request.needsIn, { security: 1, shop: 2 });
		return asked.request.id;
	};
	const { revision } = store.current;
	const first = await ask("one");
	t.match(await seca.approve(first), { state: "pending" });
	await t.rejects(seca.approve(first), { code: "failed-precondition" });
	t.match(await shopa.approve(first), { state: "pending" }, "the policy of shop wants two of its people");
	t.equal(store.current.revision, revision);
	t.match(await shopb.approve(first), { state: "done" });
	const second = await ask("other");
	t.match(await shopa.approve(second), { state: "pending" });
	t.match(await both.approve(second), { state: "done" });
	const third = await ask("third");
	t.match(await shopa.reject(third, "no"), { state: "rejected" }, "each may end it");
	t.match(await sec.request(third), { why: /rejected by .*shopa: no/ });
});

t.test("whoever approves a policy is told where it may let in more: its own namespace too", async (t) => {
	const { as } = await scene(t, two("security"), two("shop"));
	const [sec, seca, shopa] = [await as("sec"), await as("seca"), await as("shopa")];
	const asked = await sec.apply(file(policyText("one", "shop/cart", "security")), now);
	if (asked.outcome !== "pending") throw new Error(asked.outcome);
	for (const who of [seca, shopa])
		t.match(await who.request(asked.request.id), {
			effects: [
				"created AccessPolicy security/one",
				/^AccessPolicy security\/one may let in more at Services of namespace shop \(cart\): /,
			],
		});
});

t.test("what lies elsewhere is not told: by text, effect, namespace or name", async (t) => {
	const { as } = await scene(t, two("shop"), two("bank"));
	const [sec, shopa, banka, both] = [await as("sec"), await as("shopa"), await as("banka"), await as("both")];
	const text = [`# of bank\n${central}`, metricText("secret", "bank"), policyText("mine", "cart", "security")].join(
		"---\n",
	);
	const asked = await sec.apply(file(text), now);
	if (asked.outcome !== "pending") throw new Error(asked.outcome);
	t.strictSame(asked.request.needsIn, { bank: 1, shop: 1 });
	const { id } = asked.request;
	const seen = await shopa.request(id);
	t.match(seen, {
		namespaces: ["shop"],
		needsIn: { shop: 1 },
		effects: [
			/^created .*central/,
			/may let in more at Services of namespace shop/,
			"4 more effects in other namespaces",
		],
		act: { files: [{ name: "AccessPolicy security/central", text: /"shop\/cart",\s+"\(of another namespace\)"/ }] },
	});
	t.notMatch(JSON.stringify(seen), /bank|secret|mine/);
	t.match(await banka.request(id), {
		effects: [
			"created Metric bank/secret",
			"created AccessPolicy security/central",
			/may let in more/,
			/^3 more effects /,
		],
	});
	t.match(await both.request(id), { act: { files: [{ text }] } }, "who reads all sees all");
	const after = await shopa.approve(id);
	t.match(after, { state: "pending" });
	t.notMatch(JSON.stringify(after), /bank|secret|mine/);
	t.match(await banka.approve(id), { state: "done" });
});

t.test("a binding kept elsewhere that reaches a namespace is shown to those who approve it there", async (t) => {
	const { as, owner } = await scene(t, two("shop"));
	await owner.apply(file(binding("root", "admin", ["root"], "[security, shop, bank]")), now);
	const [root, shopa] = [await as("root"), await as("shopa")];
	const text = binding("reach", "apply", ["mallory"], "[security, shop, bank]").replace(
		"{name: reach}",
		"{name: reach, namespace: security}",
	);
	const asked = await root.apply(file(text), now);
	if (asked.outcome !== "pending") throw new Error(asked.outcome);
	const seen = await shopa.request(asked.request.id);
	t.match(seen, { effects: [/^created RoleBinding .*reach$/] });
	t.match(JSON.stringify(seen.act), /mallory.*"shop/);
	t.notMatch(JSON.stringify(seen), /bank/);
});

t.test("a Gateway is shown to those who approve in its own namespace", async (t) => {
	const { as, owner } = await scene(t, two("shop"));
	await owner.apply(file(binding("root", "admin", ["root"], "['*']")), now);
	const [root, shopa] = [await as("root"), await as("shopa")];
	const edge = RULES_GATEWAY.replace("name: edge", "name: edge2, namespace: shop").replace("8443", "8444");
	const asked = await root.apply(file(`${edge}---\n${policyText("other", "cart", "shop")}`), now);
	if (asked.outcome !== "pending") throw new Error(asked.outcome);
	t.match(await shopa.request(asked.request.id), {
		effects: ["created Gateway shop/edge2", "created AccessPolicy shop/other"],
	});
});
