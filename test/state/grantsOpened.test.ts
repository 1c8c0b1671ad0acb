/** Who deletes or narrows a grant is told of the denials that rest on it, beforehand and with the act; so is who approves it. */
import t from "tap";
import { PROBLEMS_MAX } from "../../src/limits.js";
import { type AccessPolicy, formatProblem, type ReferenceGrant, type Service } from "../../src/resources/resource.js";
import type { ApplyAnswer } from "../../src/state/api/wire.js";
import { openedByGrants, openedEffects } from "../../src/state/consequences/grantsOpened.js";
import { accessPolicy, resourceSet, service, variant } from "../fixtures/resources.js";
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

const WAITS = `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply], namespaces: [shop], approvals: 1}
`;

/** A grant whose deletion waits for an approval, and what else happens meanwhile. */
async function waiting(t: Parameters<typeof mutualApi>[0], ...documents: readonly string[]) {
	const { owner, as } = await scene(
		t,
		...documents,
		binding("admins", "admin", ["ada"], "[shop]"),
		binding("second", "approve", ["bob"], "[shop]"),
		WAITS,
	);
	const [ada, bob] = [await as("ada"), await as("bob")];
	const pending = (answer: ApplyAnswer) => {
		if (answer.outcome !== "pending") throw new Error(refusal(answer));
		return answer.request;
	};
	const ask = async () => pending(await ada.delete("ReferenceGrant", "shop/plat", now));
	const meanwhile = async (...texts: readonly string[]) => {
		const { id } = pending(await owner.apply(file(texts.join("---\n")), now));
		if ((await bob.approve(id)).state !== "done") throw new Error(`${id} is not done`);
	};
	return { bob, asked: await ask(), ask, meanwhile };
}

const VOID = { message: /what it would change has changed/ };

t.test("who approves it is told, and what would open more meanwhile is not what was approved", async (t) => {
	const { bob, asked, ask, meanwhile } = await waiting(t);
	const effects = ["deleted ReferenceGrant shop/plat", `opens Service shop/cart: ${WORDS}`];
	t.same(asked.effects, effects);
	t.match(await bob.request(asked.id), { effects });
	await meanwhile(DENIAL.replace("no-docs", "no-more").replace("shop/cart", "shop/other"));
	await t.rejects(bob.approve(asked.id), VOID);
	const second = await ask();
	t.equal(second.effects.length, 3);
	t.match(await bob.approve(second.id), { state: "done" });
});

t.test("so it is of what the request only counts", async (t) => {
	const names = Array.from({ length: PROBLEMS_MAX + 1 }, (_, at) => `s${at + 1_000}`);
	const services = names.map((name) => serviceText(name, "shop"));
	const allow = policyText("all", "cart", "shop").replace('["cart"]', `[${names.join(", ")}]`);
	const denying = (some: readonly string[]) =>
		DENIAL.replace("no-docs", "none").replace("[shop/cart]", `[${some.map((name) => `shop/${name}`).join(", ")}]`);
	const { bob, asked, meanwhile } = await waiting(t, ...services, allow, denying(names));
	t.ok(asked.effects.includes("opens 2 more Services"));
	await meanwhile(DENIAL.replace("no-docs", "no-more").replace("shop/cart", `shop/${names.at(-1)}`));
	await t.rejects(bob.approve(asked.id), VOID);
	const other = await waiting(t, ...services, allow, denying(names.slice(0, -1)));
	t.ok(other.asked.effects.includes("opens 1 more Service"));
	await other.meanwhile(denying(names.filter((_, at) => at !== PROBLEMS_MAX - 1)));
	await t.rejects(other.bob.approve(other.asked.id), VOID, "one exchanged for another, by the same words");
});

t.test("so it is of what the rules about an opened Service say", async (t) => {
	const anyone = (text: string) => text.replace(/principals: \[[^\]]*\]/, "principals: [anyone]");
	const own = policyText("own", "cart", "shop");
	const other = DENIAL.replace("no-docs", "none").replace("shop/cart", "shop/other");
	for (const [what, text, ...documents] of [
		["a denial that ends is widened", anyone(DENIAL)],
		["the allow beneath it is widened", anyone(own)],
		["an allow is added", anyone(own.replace("name: own", "name: more"))],
		["one of another opened Service's is of it too", own.replace('["cart', '["other", "cart'), other],
	] as const) {
		const { bob, asked, meanwhile } = await waiting(t, ...documents);
		await meanwhile(text);
		await t.rejects(bob.approve(asked.id), VOID, what);
	}
	const { bob, asked, meanwhile } = await waiting(t);
	const tried = anyone(policyText("tried", "cart", "shop", "  mode: shadow\n"));
	await meanwhile(anyone(policyText("its", "other", "shop")), tried);
	t.match(await bob.approve(asked.id), { state: "done" }, "what lets nobody in there voids nothing");
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

t.test("many rules hold nobody up: those that are not compared may open it", async (t) => {
	const inNamespace = <Kind extends AccessPolicy | Service>(namespace: string, one: Kind): Kind => ({
		...one,
		metadata: { ...one.metadata, namespace },
	});
	const names = Array.from({ length: 20 }, (_, n) => `s${n}`);
	const denials = (namespace: string, services: readonly string[]) =>
		Array.from({ length: 98 }, (_, n) => {
			const pathTemplates = Array.from({ length: 98 }, (_, at) => `/${namespace}${n}/{id}/${at}`);
			return inNamespace(namespace, accessPolicy(`ban${n}`, "deny", services, { principals: ["*"], pathTemplates }));
		});
	const allow = inNamespace("shop", accessPolicy("all", "allow", ["*"], { principals: ["*"] }));
	const grant: ReferenceGrant = {
		kind: "ReferenceGrant",
		metadata: { ...allow.metadata, name: "sec" },
		spec: { from: [{ kind: "AccessPolicy", namespace: "sec" }], to: [{ kind: "Service", name: null }] },
	};
	const set = (referenceGrants: readonly ReferenceGrant[]) =>
		resourceSet({
			services: names.map((name) => inNamespace("shop", service(name, [variant("v1", 1)], { access: null }))),
			accessPolicies: [
				allow,
				...denials("shop", ["*"]),
				...denials(
					"sec",
					names.map((name) => `shop/${name}`),
				),
			],
			referenceGrants,
		});
	const from = performance.now();
	const opened = openedByGrants(set([grant]), set([]), [
		{ kind: "ReferenceGrant", name: "shop/sec", change: "deleted" },
	]);
	t.equal(opened.length, names.length);
	// All of them with all: 20 times 92 million pairs.
	t.ok(performance.now() - from < 8_000, `${performance.now() - from} ms`);
});
