/** What it costs to tell of shadow policies: every reader may ask, and every change is told. */
import t from "tap";
import { resourcesOf } from "../../src/resources/kinds.js";
import { visibleShadowGaps } from "../../src/state/shadowGaps.js";
import { SubjectBudget } from "../../src/subjectBudget.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { file } from "./employment.js";
import { policyText, RULES_GATEWAY, serviceText } from "./guarded.js";
import { mutualApi, operator } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

t.test(
	"what is stored is looked at once, however much there is to tell, and not at all of a change of nothing",
	async (t) => {
		const shadow = { mode: "shadow", condition: "request.path == '/x'" } as const;
		const names = Array.from({ length: 20 }, (_, at) => `s${at}`);
		const resources = resourceSet({
			gateways: [gateway({})],
			services: names.map((name) => service(name, [variant("v1", 1)], { access: null })),
			accessPolicies: [
				accessPolicy("all", "allow", ["*"], { principals: ["anyone"] }),
				...names.map((name) => accessPolicy(`no-${name}`, "deny", ["*"], { principals: ["anyone"], ...shadow })),
			],
		});
		const state = { revision: 1, resources, status: { experiments: {}, services: {} } };
		let asked = 0;
		const mayRead = () => {
			asked++;
			return true;
		};
		const gaps = visibleShadowGaps(state, mayRead, null);
		const named = gaps.reduce((sum, { untried, tried }) => sum + 1 + untried.length + tried.length, 0);
		t.ok(named > 400, `${named} names are told`);
		const stored = resourcesOf(resources).length;
		t.ok(asked <= 2 * named + stored, `${asked} questions for ${named} names and ${stored} resources`);
		asked = 0;
		t.same(visibleShadowGaps(state, mayRead, [{ kind: "AccessPolicy", name: "no-s0", change: "unchanged" }]), []);
		t.equal(asked, 0);
		t.equal(visibleShadowGaps(state, mayRead, [{ kind: "Service", name: "s3", change: "configured" }]).length, 1);
	},
);

t.test("to tell of them is in the reader's time, and a rollback wholly in its subject's", async (t) => {
	const readingBudget = new SubjectBudget(1_000, 3_600, 10, () => 0);
	const { owner, as, store } = await mutualApi(t, { readingBudget });
	const roles = [binding("ada", "apply", ["ada"], "[default]"), binding("rita", "read", ["rita"], "[default]")];
	const declared = [RULES_GATEWAY, serviceText("shop"), policyText("web", "shop"), ...roles].join("---\n");
	await owner.apply(file(declared), { dryRun: false });
	await owner.apply(file(policyText("more", "shop")), { dryRun: false });
	const [ada, rita] = [await as("ada"), await as("rita")];
	t.same(await rita.shadowGaps(), []);
	t.ok(readingBudget.taken(operator("rita")) > 0);
	const told = readingBudget.taken(operator("rita"));
	t.match(await rita.policyHistory(null), { changes: [{ revision: 2 }, { revision: 1 }] });
	const listed = readingBudget.taken(operator("rita"));
	t.ok(listed > told, "nor to list earlier rules");
	await rita.status();
	t.ok(readingBudget.taken(operator("rita")) > listed, "nor how all stands");
	readingBudget.owe(operator("rita"), 10_000);
	const asked: readonly Promise<unknown>[] = [rita.shadowGaps(), rita.policyHistory(null), rita.status()];
	for (const one of asked) await t.rejects(one, { code: "resource-exhausted" });
	t.match(await owner.status(), { revision: 2 }, "the owner of the machine need not wait");

	const restoration = store.restoration.bind(store);
	store.restoration = (...args) => {
		const { user } = process.cpuUsage();
		while (process.cpuUsage().user - user < 300_000);
		return restoration(...args);
	};
	t.match(await ada.rollback(null, "default", { dryRun: true }), { outcome: "applied" });
	const taken = readingBudget.taken(operator("ada"));
	t.ok(taken >= 290, `${taken} ms`);
});
