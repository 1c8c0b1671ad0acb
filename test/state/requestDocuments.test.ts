/** What it takes to tell of a request in part: its documents are read once, and in the reader's time. */
import t from "tap";
import { parseResources } from "../../src/resources/parse.js";
import { RequestDocuments } from "../../src/state/approvals/requestDocuments.js";
import { SubjectBudget } from "../../src/subjectBudget.js";
import { file, METRIC } from "./employment.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "./guarded.js";
import { mutualApi, operator } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const HEAD = "apiVersion: weir.dev/v1alpha1\n";

t.test("documents of the requests that were looked at last are not read again", async (t) => {
	let read = 0;
	const text = (name: string) => [METRIC, "# nothing\n", METRIC.replace("accuracy", name)].join("---\n");
	const bytes = Buffer.byteLength(text("a"));
	const documents = new RequestDocuments(2 * bytes, (files) => {
		read++;
		return parseResources(files);
	});
	const keys = (name: string) => documents.of(name, file(text(name))).map(({ key }) => key);
	for (let n = 0; n < 10; n++) t.same(keys("a"), ["Metric accuracy", "Metric a"]);
	t.equal(read, 2, "each document once");
	t.same(keys("b"), ["Metric accuracy", "Metric b"]);
	keys("a");
	t.equal(read, 4);
	keys("c");
	keys("a");
	t.equal(read, 6, "room is made by the one that nobody has asked for for the longest time");
	keys("b");
	t.equal(read, 8);
	const large = documents.of("large", file(`${text("a")}${"#".repeat(2 * bytes)}`));
	t.match(large, [{ text: METRIC, resource: { kind: "Metric" } }, { key: "Metric a" }]);
	keys("b");
	t.equal(read, 12, "what is larger than all of the room is not kept");
});

t.test(
	"who is told of a part has it read in their own time; to see the list, one's own, and to reject does not",
	async (t) => {
		let monotonicMs = 0;
		const readingBudget = new SubjectBudget(1, 3_600, 10, () => monotonicMs);
		const { owner, as, store } = await mutualApi(t, { readingBudget, now: () => 1_000_000_000 });
		const grant = `${HEAD}kind: ReferenceGrant\nmetadata: {name: in, namespace: shop}\nspec: {from: [{kind: AccessPolicy, namespace: security}], to: [{kind: Service}]}\n`;
		const waits = `${HEAD}kind: ApprovalPolicy\nmetadata: {name: two, namespace: shop}\nspec: {verbs: [apply], namespaces: [shop]}\n`;
		const documents = [
			RULES_GATEWAY,
			serviceText("cart", "shop"),
			policyText("own", "cart", "shop"),
			grant,
			binding("sec", "apply", ["sec"], "[security]"),
			binding("shopa", "approve", ["shopa", "shopb"], "[shop]"),
		];
		await owner.apply(file(documents.join("---\n")), { dryRun: false });
		await owner.apply(file(waits), { dryRun: false });
		const [sec, shopa, shopb] = [await as("sec"), await as("shopa"), await as("shopb")];
		const metrics = Array.from({ length: 200 }, (_, n) => metricText(`m${n}`, "security"));
		const text = [...metrics, policyText("central", "shop/cart", "security")].join("---\n");
		const asked = await sec.apply(file(text), { dryRun: false });
		if (asked.outcome !== "pending") throw new Error(asked.outcome);
		const { id } = asked.request;

		const part = {
			act: { files: [{ name: "AccessPolicy security/central" }] },
			effects: [/may let in more/, /central/, /^200 more/],
		};
		t.match(await shopa.request(id), part);
		for (let n = 0; n < 3; n++) {
			await t.rejects(shopa.request(id), {
				code: "resource-exhausted",
				message: /requests of spiffe\S+ have taken \d+ s of control's time/,
				hint: /ask again in \d+ s/,
			});
		}
		t.match(store.audit.page(0, 10, "refused").records, [
			{ subject: operator("shopa"), verb: "read", objects: [`request ${id}`], why: /control's time/ },
		]);
		t.match(await shopb.request(id), part, "others need not wait");
		t.match(await shopa.requests(), [{ id }]);
		t.match(await sec.request(id), { act: { files: [{ text }] } }, "who asked has it as it was written");
		monotonicMs += 600_000;
		t.match(await shopa.request(id), part, "by then there is time again");
		readingBudget.owe(operator("shopa"), 1_000);
		await t.rejects(shopa.request(id), { code: "resource-exhausted" });
		t.match(await shopa.reject(id), { state: "rejected" });
		t.match(await shopa.request(id), { state: "rejected" }, "nothing is left to look into");
	},
);
