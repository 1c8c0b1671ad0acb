/** A request on several namespaces needs approvals in each, by people who can read all of them. */
import t from "tap";
import { file } from "../employment.js";
import { policyText, RULES_GATEWAY, serviceText } from "../guarded.js";
import { mutualApi, operator } from "../mutualApi.js";
import { binding } from "../operatorBinding.js";

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

t.test("a request is visible to readers of all its resources; they approve where they have the right", async (t) => {
	const { as, store } = await scene(t, two("shop"));
	const [sec, seca, shopa, both] = [await as("sec"), await as("seca"), await as("shopa"), await as("both")];
	const asked = await sec.apply(file(policyText("central", "shop/cart", "security")), now);
	t.match(asked, { outcome: "pending", request: { namespaces: ["security", "shop"], needsIn: { shop: 1 } } });
	if (asked.outcome !== "pending") return;
	const { id } = asked.request;
	for (const blind of [seca, shopa]) {
		t.same(await blind.requests(), []);
		await t.rejects(blind.request(id), { code: "not-found" });
		await t.rejects(blind.approve(id), { code: "not-found" });
		await t.rejects(blind.reject(id), { code: "not-found" });
	}
	t.match(await both.request(id), { effects: ["created AccessPolicy security/central"], operation: { verb: "apply" } });
	t.match(await both.approve(id), { state: "done", approvals: [{ by: operator("both") }] });
	t.ok(store.current.resources.accessPolicies.some(({ metadata }) => metadata.name === "central"));
});

t.test("each namespace needs its own approvals; a person with both rights counts in both", async (t) => {
	const { as, owner, store } = await scene(t, two("shop", ", approvals: 2"), two("security"));
	await owner.apply(file(binding("readers", "read", ["seca", "shopa", "shopb"], "[security, shop]")), now);
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
