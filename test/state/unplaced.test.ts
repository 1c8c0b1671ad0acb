/** The owners of a DataClass narrow or delete it, and no Service of another namespace holds that up: it is closed, and told of. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { formatProblem } from "../../src/resources/resource.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import type { ApplyAnswer } from "../../src/state/api/wire.js";
import { file } from "./employment.js";
import { policyText, RULES_GATEWAY, serviceText } from "./guarded.js";
import { mutualApi } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const classOf = (regions: string, namespace = "legal"): string => `apiVersion: weir.dev/v1alpha1
kind: DataClass
metadata: {name: pii, namespace: ${namespace}}
spec: {regions: [${regions}]}
`;
const GRANT = `apiVersion: weir.dev/v1alpha1
kind: ReferenceGrant
metadata: {name: in, namespace: legal}
spec: {from: [{kind: Service, namespace: shop}, {kind: Service, namespace: bank}], to: [{kind: DataClass, name: pii}]}
`;
const under = (name: string, namespace: string): string =>
	[
		serviceText(name, namespace, "  dataClass: legal/pii\n").replace("region: eu", "region: us"),
		policyText(name, name, namespace),
	].join("---\n");
/** The same Service with its endpoints elsewhere on the machine: a change of where its data goes. */
const elsewhere = (name: string, namespace: string): string => under(name, namespace).replace("9001", "9003");
const DENIAL = `apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: stop, namespace: shop}
spec: {action: deny, services: [cart], principals: ["*"]}
`;
const now = { dryRun: false };
const refusal = (answer: ApplyAnswer): string =>
	answer.outcome === "refused" ? answer.problems.map(formatProblem).join("\n") : answer.outcome;

async function scene(t: Parameters<typeof mutualApi>[0]) {
	const api = await mutualApi(t);
	const roles = [
		binding("legal", "admin", ["lea"], "[legal]"),
		binding("shop", "apply", ["sam"], "[shop]"),
		binding("both", "admin", ["ada"], "[legal, shop]"),
	];
	const documents = [RULES_GATEWAY, classOf("eu, us"), GRANT, under("cart", "shop"), under("loans", "bank"), ...roles];
	const made = await api.owner.apply(file(documents.join("---\n")), now);
	if (made.outcome !== "applied") throw new Error(refusal(made));
	const envoys = (): string => {
		const { resources } = api.store.current;
		return JSON.stringify(compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS }).envoy);
	};
	return { ...api, envoys };
}

const WITHOUT = "variant v1 has no endpoint in a region of DataClass legal/pii (eu) any more, and serves nothing";
const GONE =
	"DataClass legal/pii is not declared any more: it has no endpoint that its data may go to, and is closed to everyone";

t.test("narrowed: data stops in that revision, and who may read the Service is told its name", async (t) => {
	const { as, envoys } = await scene(t);
	const [lea, ada, sam] = [await as("lea"), await as("ada"), await as("sam")];
	const cart = { resource: "Service shop/cart", words: WITHOUT };
	const dry = await ada.apply(file(classOf("eu")), { dryRun: true });
	t.match(dry, { outcome: "applied", unplaced: { services: [cart], more: 1 } }, "a dry run tells it");
	t.match(envoys(), /cart\.shop\.internal.{1,40}9001/);

	const done = await lea.apply(file(classOf("eu")), now);
	t.match(done, { outcome: "applied", unplaced: { services: [], more: 2 } }, "of others no name");
	t.notMatch(envoys(), /cart\.shop\.internal.{1,40}9001/);
	t.match(envoys(), /cart\.shop\.internal.{1,40}9002/, "of the other Variant's endpoint it was not about");
	t.match((await sam.status()).faults, [cart], "its owners see it");
	t.same((await lea.status()).faults, []);

	t.notMatch(await lea.apply(file(classOf("eu").replace("[eu]", "[eu, ap]")), now), { unplaced: {} }, "told once");
	t.match(await sam.apply(file(policyText("more", "cart", "shop")), now), { outcome: "applied" }, "no change waits");
	t.match(refusal(await sam.apply(file(elsewhere("cart", "shop")), now)), /no endpoint of variant v1 is in a region/);
	const moved = await sam.apply(file(under("cart", "shop").replace("region: us", "region: eu")), now);
	t.match(moved, { outcome: "applied" });
	t.same((await sam.status()).faults, []);
});

t.test("deleted, or its grant is: closed, and told of", async (t) => {
	const { as, envoys } = await scene(t);
	const [lea, sam] = [await as("lea"), await as("sam")];
	t.match(await lea.delete("DataClass", "legal/pii", now), {
		outcome: "applied",
		unplaced: { services: [], more: 2 },
	});
	t.notMatch(envoys(), /internal/, "data goes nowhere");
	t.match((await sam.status()).faults, [{ resource: "Service shop/cart", words: GONE }]);
	t.match(await sam.apply(file(policyText("more", "cart", "shop")), now), { outcome: "applied" }, "no change waits");
	t.match(refusal(await sam.apply(file(elsewhere("cart", "shop")), now)), /unknown DataClass "pii"/);
	t.match(await lea.apply(file(classOf("us, eu")), now), { outcome: "applied" });
	t.match(envoys(), /cart\.shop\.internal/, "and comes back with it");
	t.match(await lea.delete("ReferenceGrant", "legal/in", now), { unplaced: { services: [], more: 2 } });
});

t.test(
	"where it waits for approval, others know what it takes, and a Service more or less does not void it",
	async (t) => {
		const { owner, as } = await scene(t);
		const waits = `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply], namespaces: [legal], approvals: 1}
`;
		const documents = [waits, binding("second", "approve", ["bob"], "[legal]")];
		t.equal(refusal(await owner.apply(file(documents.join("---\n")), now)), "applied");
		const [lea, sam, bob] = [await as("lea"), await as("sam"), await as("bob")];
		const asked = await lea.apply(file(classOf("eu")), now);
		const effects = ["configured DataClass legal/pii: spec.regions", "takes endpoints away from 2 Services"];
		t.match(asked, { outcome: "pending", request: { effects } });
		if (asked.outcome !== "pending") return;
		t.match(await bob.request(asked.request.id), { effects }, "without their names");
		t.equal(refusal(await sam.apply(file(under("more", "shop")), now)), "applied");
		t.match(await bob.approve(asked.request.id), { state: "done" });
		t.match((await sam.status()).faults, [{ resource: "Service shop/cart" }, { resource: "Service shop/more" }]);
		const wider = await lea.apply(file(classOf("eu, us")), now);
		t.match(wider, { outcome: "pending", request: { effects: [effects[0]] } }, "where it takes none, nothing is said");
	},
);

t.test("the files that stood hold up nobody: neither a denial beside them nor the next start", async (t) => {
	const { owner, as } = await scene(t);
	const [lea, sam] = [await as("lea"), await as("sam")];
	const same = under("cart", "shop");
	const urgent = async (what: string): Promise<void> => {
		const answer = await sam.apply(file([same, DENIAL].join("---\n")), { dryRun: true });
		t.match(answer, { outcome: "applied", changes: [{ change: "unchanged" }, {}, { change: "created" }] }, what);
		const start = [RULES_GATEWAY, same, under("loans", "bank")].join("---\n");
		t.equal(refusal(await owner.apply(file(start), { dryRun: true })), "applied", what);
	};
	const narrowed = await lea.apply(file(classOf("eu")), now);
	t.match(narrowed, { outcome: "applied" });
	await urgent("narrowed");
	const later = same.replace("dataClass: legal/pii", "dataClass: legal/pii\n  timeout: 3s");
	t.equal(refusal(await sam.apply(file(later), { dryRun: true })), "applied", "nor what is not about where data goes");
	t.match(await lea.delete("DataClass", "legal/pii", now), { outcome: "applied" });
	await urgent("deleted");
	t.match(await lea.delete("ReferenceGrant", "legal/in", now), { outcome: "applied" });
	await urgent("no grant any more");
	t.equal((await sam.status()).faults?.length, 1, "of a class and a grant that are gone it is told once");
	t.match(refusal(await sam.apply(file(under("new", "shop")), now)), /grants no Service of namespace shop to name it/);
});

t.test("nor does a policy that stood, of a Service whose grant is gone", async (t) => {
	const { owner, as } = await scene(t);
	const grant = GRANT.replace("name: in", "name: door")
		.replace(/spec: .*/, "spec: {from: [{kind: AccessPolicy, namespace: legal}], to: [{kind: Service, name: bare}]}")
		.replace("namespace: legal}\n", "namespace: shop}\n");
	const policy = policyText("theirs", "shop/bare", "legal");
	// No other one says who may call it.
	const documents = [grant, serviceText("bare", "shop"), policy];
	t.equal(refusal(await owner.apply(file(documents.join("---\n")), now)), "applied");
	t.match(await owner.delete("ReferenceGrant", "shop/door", now), { outcome: "applied" });
	const lea = await as("lea");
	t.equal(refusal(await lea.apply(file(policy), { dryRun: true })), "applied");
	const wider = policy.replace("services:", 'pathPrefixes: ["/x"]\n  services:');
	t.match(
		refusal(await lea.apply(file(wider), { dryRun: true })),
		/grants no AccessPolicy of namespace legal to name it/,
	);
});

t.test("in one's own namespace it is refused as before", async (t) => {
	const { owner } = await scene(t);
	const own = [classOf("eu, us", "shop"), under("own", "shop").replace("legal/pii", "pii")];
	t.equal(refusal(await owner.apply(file(own.join("---\n")), now)), "applied");
	t.match(
		refusal(await owner.apply(file(classOf("eu", "shop")), now)),
		/^stored Service shop\/own:10:\d+: no endpoint of variant v1 is in a region of DataClass shop\/pii \(eu\)/,
	);
	t.match(refusal(await owner.delete("DataClass", "shop/pii", now)), /Service shop\/own names DataClass shop\/pii/);
});
