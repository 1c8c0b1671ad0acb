/** Who deletes or narrows a grant is told of the denials that rest on it, beforehand and with the act; so is who approves it. */
import t from "tap";
import { PROBLEMS_MAX } from "../../src/limits.js";
import { formatProblem, type Service } from "../../src/resources/resource.js";
import type { ApplyAnswer } from "../../src/state/api/wire.js";
import { openedEffects } from "../../src/state/consequences/grantsOpened.js";
import { file } from "./employment.js";
import { policyText, RULES_GATEWAY, serviceText } from "./guarded.js";
import { mutualApi } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const grantTo = (to: string): string => `apiVersion: weir.dev/v1alpha1
kind: ReferenceGrant
metadata: {name: plat, namespace: shop}
spec: {from: [{kind: AccessPolicy, namespace: platform}], to: ${to}}
`;
const GRANT = grantTo("[{kind: Service}]");
const DENIAL = `apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: no-docs, namespace: platform}
spec: {action: deny, services: [shop/cart], principals: ["spiffe://a.example/own"]}
`;
const dry = { dryRun: true };
const now = { dryRun: false };
const refusal = (answer: ApplyAnswer): string =>
	answer.outcome === "refused" ? answer.problems.map(formatProblem).join("\n") : answer.outcome;
const WORDS = "AccessPolicy platform/no-docs denies nothing there any more, for no ReferenceGrant lets it";
const CART = { resource: "Service shop/cart", words: WORDS };

async function scene(t: Parameters<typeof mutualApi>[0], ...more: readonly string[]) {
	const api = await mutualApi(t);
	const documents = [
		...[RULES_GATEWAY, GRANT, DENIAL, serviceText("cart", "shop"), serviceText("other", "shop")],
		...[policyText("own", "cart", "shop"), policyText("its", "other", "shop"), ...more],
	];
	const made = await api.owner.apply(file(documents.join("---\n")), now);
	if (made.outcome !== "applied") throw new Error(refusal(made));
	return api;
}

t.test("a grant that is deleted or narrowed: the denial that ends is told", async (t) => {
	const { owner } = await scene(t);
	const told = { opened: { services: [CART], more: 0 } };
	t.match(await owner.delete("ReferenceGrant", "shop/plat", dry), told, "a dry run of the delete");
	const narrowed = grantTo("[{kind: Service, name: other}]");
	t.match(await owner.apply(file(narrowed), dry), told, "of another Service alone");
	t.match(await owner.apply(file(GRANT.replace("namespace: platform}]", "namespace: legal}]")), dry), told, "from");
	t.notMatch(await owner.apply(file(grantTo("[{kind: Service, name: cart}]")), dry), { opened: {} }, "it stands");
	t.notMatch(await owner.apply(file(`${narrowed}---\n${policyText("x", "cart", "shop")}`), dry), { unplaced: {} });
	t.match(await owner.apply(file(narrowed), now), told, "the act");
	t.notMatch(await owner.apply(file(narrowed), now), { opened: {} }, "told once");
	const back = await owner.apply(file(GRANT), now);
	t.notMatch(back, { opened: {} }, "that it denies again opens nothing");
	t.match(await owner.delete("ReferenceGrant", "shop/plat", now), told);
});

t.test("an allow that counts again by a grant is told; a denial that goes with its own document is not", async (t) => {
	const { owner } = await scene(t, policyText("theirs", "shop/cart", "platform"));
	const both = [
		{ kind: "ReferenceGrant", name: "shop/plat" },
		{ kind: "AccessPolicy", name: "platform/no-docs" },
	] as const;
	const answer = await owner.deleteAll(both, dry);
	t.match(answer, { outcome: "applied" });
	t.notMatch(answer, { opened: {} }, "its deletion is said by itself");
	t.match(await owner.delete("ReferenceGrant", "shop/plat", now), { opened: { services: [CART] } });
	t.match(await owner.apply(file(GRANT), now), {
		opened: {
			services: [
				{
					resource: "Service shop/cart",
					words: "AccessPolicy platform/theirs lets callers in there again, by a ReferenceGrant",
				},
			],
			more: 0,
		},
	});
});

t.test("who approves it is told, and what would open more meanwhile is not what was approved", async (t) => {
	const waits = `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply], namespaces: [shop], approvals: 1}
`;
	const { owner, as } = await scene(
		t,
		binding("admins", "admin", ["ada"], "[shop]"),
		binding("second", "approve", ["bob"], "[shop]"),
		waits,
	);
	const [ada, bob] = [await as("ada"), await as("bob")];
	const asked = async () => {
		const answer = await ada.delete("ReferenceGrant", "shop/plat", now);
		if (answer.outcome !== "pending") throw new Error(refusal(answer));
		return answer.request;
	};
	const first = await asked();
	const effects = ["deleted ReferenceGrant shop/plat", `opens Service shop/cart: ${WORDS}`];
	t.same(first.effects, effects);
	t.match(await bob.request(first.id), { effects });
	const further = DENIAL.replace("no-docs", "no-more").replace("shop/cart", "shop/other");
	const denial = await owner.apply(file(further), now);
	if (denial.outcome !== "pending") throw new Error(refusal(denial));
	t.match(await bob.approve(denial.request.id), { state: "done" });
	await t.rejects(bob.approve(first.id), { message: /what it would change has changed/ });
	const second = await asked();
	t.equal(second.effects.length, 3);
	t.match(await bob.approve(second.id), { state: "done" });
});

t.test("so it is of what the request only counts", async (t) => {
	const names = Array.from({ length: PROBLEMS_MAX + 1 }, (_, at) => `s${at + 1_000}`);
	const all = `[${names.map((name) => `shop/${name}`).join(", ")}]`;
	const { owner, as } = await scene(
		t,
		...names.map((name) => serviceText(name, "shop")),
		policyText("all", "cart", "shop").replace('["cart"]', `[${names.join(", ")}]`),
		DENIAL.replace("no-docs", "none").replace("[shop/cart]", all),
		binding("admins", "admin", ["ada"], "[shop]"),
		binding("second", "approve", ["bob"], "[shop]"),
		`apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply], namespaces: [shop], approvals: 1}
`,
	);
	const [ada, bob] = [await as("ada"), await as("bob")];
	const asked = await ada.delete("ReferenceGrant", "shop/plat", now);
	if (asked.outcome !== "pending") throw new Error(refusal(asked));
	t.ok(asked.request.effects.includes("opens 2 more Services"));
	const further = DENIAL.replace("no-docs", "no-more").replace("shop/cart", `shop/${names.at(-1)}`);
	const denial = await owner.apply(file(further), now);
	if (denial.outcome !== "pending") throw new Error(refusal(denial));
	t.match(await bob.approve(denial.request.id), { state: "done" });
	await t.rejects(bob.approve(asked.request.id), { message: /what it would change has changed/ });
});

t.test("of many the first are named, and how many more there are", async (t) => {
	const denials = Array.from({ length: 6 }, (_, at) => DENIAL.replace("no-docs", `no-more-${at}`));
	const { owner } = await scene(t, ...denials);
	const told = await owner.delete("ReferenceGrant", "shop/plat", dry);
	if (told.outcome !== "applied") throw new Error(refusal(told));
	const [{ words = "" } = {}] = told.opened?.services ?? [];
	t.equal(words.match(/denies nothing there/g)?.length, 5);
	t.match(words, /; and 2 more$/);
	const services = Array.from({ length: PROBLEMS_MAX + 2 }, (_, at) => ({
		resource: { kind: "Service", metadata: { name: `s${at}`, namespace: "shop" } } as Service,
		words: WORDS,
	}));
	const effectsOf = (count: number) => openedEffects(services.slice(0, count));
	t.equal(effectsOf(PROBLEMS_MAX).at(-1)?.effect, `opens Service shop/s${PROBLEMS_MAX - 1}: ${WORDS}`);
	t.same(effectsOf(PROBLEMS_MAX + 1).at(-1), { effect: "opens 1 more Service", namespace: "shop" });
	t.same(effectsOf(PROBLEMS_MAX + 2).at(-1), { effect: "opens 2 more Services", namespace: "shop" });
	t.equal(effectsOf(PROBLEMS_MAX + 2).length, PROBLEMS_MAX + 1);
});
