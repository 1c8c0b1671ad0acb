/** References to other namespaces need that namespace's grant, for its kinds only, and end with it. */
import t from "tap";
import { authorize } from "../../../src/compile/access/rules/policy.js";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { revokedReferences } from "../../../src/declare/resources/checks/reference.js";
import { formatProblem, qualifiedName } from "../../../src/declare/resources/resource.js";
import { type ApplyResult, Store } from "../../../src/operate/state/store/store.js";
import { experiment, file, temporaryDirectory } from "../employment.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "../guarded.js";
import { mutualApi } from "../mutualApi.js";
import { binding } from "../operatorBinding.js";

const options = { by: "owner", dryRun: false, nowMs: 1_000 };

const grant = (from: string, to: string, namespace = "shop", name = "in"): string => `apiVersion: weir.dev/v1alpha1
kind: ReferenceGrant
metadata: {name: ${name}, namespace: ${namespace}}
spec: {from: [${from}], to: [${to}]}
`;
const POLICIES = "{kind: AccessPolicy, namespace: security}";
const SERVICES = "{kind: Service, namespace: shop}";
const CLASS = `apiVersion: weir.dev/v1alpha1
kind: DataClass
metadata: {name: personal, namespace: governance}
spec: {regions: [eu]}
`;
const textOf = (result: ApplyResult): string =>
	result.outcome === "refused" ? result.problems.map(formatProblem).join("\n") : "";

function opened(t: { teardown(end: () => unknown): unknown }, ...documents: readonly string[]): Store {
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	const result = store.apply(file([RULES_GATEWAY, ...documents].join("---\n")), options);
	if (result.outcome === "refused") throw new Error(textOf(result));
	return store;
}

/** Whether the caller of that policy gets through to the Service as the compiled plan has it. */
function allows(store: Store, caller: string, service = "shop/cart"): boolean {
	const { resources, status } = store.current;
	const found = resources.services.find(({ metadata }) => qualifiedName(metadata) === service);
	if (found === undefined) throw new Error(`no Service ${service}`);
	const request = {
		principal: `spiffe://a.example/${caller}`,
		method: "GET",
		path: "/",
		variant: "v1",
		token: null,
		region: null,
		nowMs: 0,
	};
	const table = compile(resources, status, { collectors: NO_COLLECTORS }).table.services.find(
		({ name }) => name === service,
	);
	const verdict = authorize(found, resources.accessPolicies, request, resources.referenceGrants).allowed;
	if (verdict !== table?.access.policies.some(({ name }) => name.endsWith(caller))) throw new Error("the plan differs");
	return verdict;
}

t.test("a reference without a grant is refused with the grant to write", async (t) => {
	const store = opened(t, serviceText("cart", "shop"), policyText("own", "cart", "shop"));
	for (const name of ["cart", "none"]) {
		const refused = textOf(store.apply(file(policyText("central", `shop/${name}`, "security")), options));
		t.equal(
			refused,
			`weir.yaml:5:14: Service shop/${name} is of another namespace, which grants no AccessPolicy of namespace security to name it; its owners may declare, in namespace shop, kind: ReferenceGrant, spec: {from: [{kind: AccessPolicy, namespace: security}], to: [{kind: Service, name: ${name}}]}`,
		);
	}
	const bare = textOf(store.apply(file(policyText("central", "cart", "security")), options));
	t.match(bare, /unknown Service "cart"; .*; Service shop\/cart is of another namespace: .*write shop\/cart and have/);
	t.match(
		textOf(store.apply(file(policyText("central", "default/none", "default")), options)),
		/unknown Service/,
		"one's own",
	);
});

t.test("the reference works only while the grant exists, whatever its author declares", async (t) => {
	const store = opened(
		t,
		serviceText("cart", "shop"),
		policyText("own", "cart", "shop"),
		grant(POLICIES, "{kind: Service, name: cart}"),
		policyText("central", "shop/cart", "security"),
	);
	t.equal(allows(store, "central"), true);
	t.equal(allows(store, "own"), true);
	const { revision } = store.current;
	t.match(store.delete([{ kind: "ReferenceGrant", name: "shop/in" }], options), { revision: revision + 1 });
	t.equal(allows(store, "central"), false, "CVE-2026-53718");
	t.equal(allows(store, "own"), true);
	t.match(revokedReferences(store.current.resources), [
		{
			resource: { kind: "AccessPolicy" },
			message: /^Service shop\/cart .* grants no AccessPolicy of namespace security/,
		},
	]);
	t.match(
		store.apply(file(metricText("other", "elsewhere")), options),
		{ outcome: "applied" },
		"no other change is held up",
	);
	const again = policyText("central", "shop/cart", "security", "  methods: [GET]\n");
	t.match(textOf(store.apply(file(again), options)), /grants no AccessPolicy/, "nor may it be written anew");
	t.match(
		store.delete(
			[
				{ kind: "Service", name: "shop/cart" },
				{ kind: "AccessPolicy", name: "shop/own" },
			],
			options,
		),
		{
			outcome: "applied",
		},
	);
});

t.test(
	"a Service that was opened by another namespace's policy alone is closed with the grant, not opened",
	async (t) => {
		const store = opened(
			t,
			serviceText("cart", "shop"),
			grant(POLICIES, "{kind: Service}"),
			policyText("central", "shop/cart", "security"),
		);
		t.equal(allows(store, "central"), true);
		t.match(store.delete([{ kind: "ReferenceGrant", name: "shop/in" }], options), { outcome: "applied" });
		t.equal(allows(store, "central"), false);
		const { services } = compile(store.current.resources, EMPTY_STATUS, { collectors: NO_COLLECTORS }).table;
		t.match(services, [{ name: "shop/cart", access: { open: false, policies: [] } }], "deny by default");
		t.match(store.apply(file(policyText("own", "cart", "shop")), options), { outcome: "applied" });
		t.equal(allows(store, "own"), true);
	},
);

t.test("a grant of one kind, name or namespace gives no other", async (t) => {
	const store = opened(t, serviceText("cart", "shop"), policyText("own", "cart", "shop"));
	const central = policyText("central", "shop/cart", "security");
	const wrong: readonly string[] = [
		grant("{kind: AccessPolicy, namespace: marketing}", "{kind: Service}"),
		grant(POLICIES, "{kind: Service, name: basket}"),
		grant(POLICIES, "{kind: Service}", "other"),
		grant("{kind: Service, namespace: security}", "{kind: DataClass}"),
		grant(
			`{kind: Service, namespace: security}, {kind: AccessPolicy, namespace: marketing}`,
			"{kind: DataClass}, {kind: Service}",
		),
	];
	for (const one of wrong)
		t.match(textOf(store.apply(file(`${one}---\n${central}`), options)), /grants no AccessPolicy/, one);
	t.equal(store.current.resources.referenceGrants.length, 0, "refused whole");
	const useless = textOf(store.apply(file(grant(POLICIES, "{kind: DataClass}")), options));
	t.match(useless, /spec\.to\[0\]\.kind would never be used: no kind under from names a DataClass/);
	const star = textOf(
		store.apply(file(`${grant(POLICIES, "{kind: Service}")}---\n${policyText("central", "*", "security")}`), options),
	);
	t.match(star, /selects nothing: there is no Service in namespace security/, "a star is of its own namespace");
});

t.test("a Service under another namespace's DataClass has its regions, and none without the grant", async (t) => {
	const cart = serviceText("cart", "shop", "  dataClass: governance/personal\n");
	const refused = opened(t, CLASS, serviceText("cart", "shop"), policyText("own", "cart", "shop"));
	t.match(
		textOf(refused.apply(file(cart), options)),
		/DataClass governance\/personal is of another namespace, which grants no Service/,
	);
	const store = opened(
		t,
		CLASS,
		grant(SERVICES, "{kind: DataClass, name: personal}", "governance"),
		cart,
		policyText("own", "cart", "shop", "  dataClasses: [governance/personal]\n"),
	);
	const clusters = () =>
		JSON.stringify(compile(store.current.resources, EMPTY_STATUS, { collectors: NO_COLLECTORS }).envoy);
	t.match(clusters(), /cart\.shop\.internal/);
	t.equal(allows(store, "own"), true, "the policy's class is the Service's");
	t.match(store.delete([{ kind: "ReferenceGrant", name: "governance/in" }], options), { outcome: "applied" });
	t.notMatch(clusters(), /cart\.shop\.internal/, "data goes nowhere, not anywhere");
	const bare = policyText("bare", "cart", "shop", "  dataClasses: [personal]\n");
	t.match(
		textOf(store.apply(file(bare), options)),
		/unknown DataClass "personal"/,
		"a bare name is the namespace's own",
	);
});

t.test("a reference of a kind that no grant allows has its own error", async (t) => {
	const store = opened(
		t,
		serviceText("cart", "shop"),
		policyText("own", "cart", "shop"),
		metricText("accuracy", "shop"),
	);
	for (const [field, text] of [
		["service", experiment("x").replace("service: employment", "service: shop/cart")],
		["goal.metric", experiment("x").replace("metric: accuracy", "metric: shop/accuracy")],
		["layer.name", experiment("x").replace("name: models", "name: shop/models")],
	] as const) {
		t.match(
			textOf(store.apply(file(text), options)),
			new RegExp(
				`spec\\.${field} names a resource of another namespace; only AccessPolicy\\.services and Service\\.dataClass may`,
			),
		);
	}
});

t.test("only an admin creates a grant, as it gives rights to others", async (t) => {
	const { owner, as } = await mutualApi(t);
	const rules = [binding("ada", "apply", ["ada"], "[shop]"), binding("eve", "apply", ["eve"], "[security]")];
	const shop = [RULES_GATEWAY, serviceText("cart", "shop"), policyText("own", "cart", "shop")];
	await owner.apply(file([...rules, ...shop].join("---\n")), { dryRun: false });
	const [ada, eve] = [await as("ada"), await as("eve")];
	const now = { dryRun: false };
	const text = grant(POLICIES, "{kind: Service, name: cart}");
	await t.rejects(ada.apply(file(text), now), { code: "permission-denied", message: /admin in namespace shop/ });
	const refused = await eve.apply(file(policyText("central", "shop/cart", "security")), now);
	t.match(refused, { outcome: "refused", problems: [{ message: /grants no AccessPolicy/ }] });
	await owner.apply(file(text), now);
	t.match(await eve.apply(file(policyText("central", "shop/cart", "security")), now), { outcome: "applied" });
	await t.rejects(ada.delete("ReferenceGrant", "shop/in", now), { code: "permission-denied" });
});

t.test("a grant is no way around the approvals of the namespace that gave it", async (t) => {
	const { owner, as } = await mutualApi(t);
	const now = { dryRun: false };
	const two = `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two, namespace: shop}
spec: {verbs: [apply], namespaces: [shop], approvals: 1}
`;
	const rules = [
		binding("ada", "admin, apply", ["ada"], "[shop]"),
		binding("eve", "apply, approve", ["eve", "eva"], "[security]"),
		binding("carol", "approve", ["carol"], "[shop, security]"),
	];
	const shop = [RULES_GATEWAY, serviceText("cart", "shop"), policyText("own", "cart", "shop")];
	const documents = [
		...rules,
		...shop,
		grant(POLICIES, "{kind: Service, name: cart}"),
		policyText("local", "own", "security"),
		serviceText("own", "security"),
	];
	await owner.apply(file(documents.join("---\n")), now);
	await owner.apply(file(two), now);
	const [ada, eve, eva, carol] = [await as("ada"), await as("eve"), await as("eva"), await as("carol")];
	const ask = async (text: string): Promise<string> => {
		const answer = await eve.apply(file(text), now);
		if (answer.outcome !== "pending") throw new Error(`not pending: ${answer.outcome}`);
		t.match(answer.request, { needs: 1, namespaces: ["security", "shop"] });
		return answer.request.id;
	};
	const opening = await ask(policyText("central", "shop/cart", "security"));
	await t.rejects(eva.approve(opening), { code: "not-found" }, "the Service's own people approve");
	t.match(await carol.approve(opening), { state: "done" });
	await ask(policyText("central", "own", "security"));
	t.match(
		await eve.apply(file(policyText("other", "own", "security")), now),
		{ outcome: "applied" },
		"a policy without their Services",
	);

	const gone = await eve.delete("AccessPolicy", "security/central", now);
	if (gone.outcome !== "pending") throw new Error(gone.outcome);
	t.match(await carol.approve(gone.request.id), { state: "done" });
	t.match(await ada.delete("ReferenceGrant", "shop/in", now), { outcome: "pending" });
});

t.test("deleting a DataClass's grant closes its Services, and status reports it", async (t) => {
	const { owner, as } = await mutualApi(t);
	const now = { dryRun: false };
	const documents = [
		RULES_GATEWAY,
		CLASS,
		grant(SERVICES, "{kind: DataClass}", "governance"),
		serviceText("cart", "shop", "  dataClass: governance/personal\n"),
		policyText("own", "cart", "shop"),
		binding("dan", "admin", ["dan"], "[governance]"),
		binding("ada", "read", ["ada"], "[shop]"),
	];
	await owner.apply(file(documents.join("---\n")), now);
	const [dan, ada] = [await as("dan"), await as("ada")];
	t.strictSame((await ada.status()).faults, []);
	t.match(await dan.delete("ReferenceGrant", "governance/in", now), { outcome: "applied" });
	t.strictSame((await ada.status()).faults, [
		{
			resource: "Service shop/cart",
			message:
				"DataClass governance/personal is of another namespace, which grants no Service of namespace shop to name it: it has no endpoint that its data may go to, and is closed to everyone",
		},
	]);
	t.strictSame((await dan.status()).faults, [], "for who may read the Service");
});
