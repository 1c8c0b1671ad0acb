/** What a refused change tells of other namespaces: nothing, and nothing of one's own is spoiled by the hiding. */
import t from "tap";
import { formatProblem } from "../../src/resources/resource.js";
import { file } from "./employment.js";
import { policyText, RULES_GATEWAY, serviceText } from "./guarded.js";
import { mutualApi } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

t.test("names of other namespaces are hidden whole, one's own never, and as if nothing stood there", async (t) => {
	const { owner, as } = await mutualApi(t);
	const documents = [
		RULES_GATEWAY,
		serviceText("m", "hidden"),
		policyText("mp", "m", "hidden"),
		serviceText("wide", "hidden").replace("wide.hidden.example", '"*.wide.example"'),
		policyText("wp", "wide", "hidden"),
		serviceText("model"),
		policyText("p", "model"),
		binding("ada", "apply", ["ada"], "[default]"),
	];
	await owner.apply(file(documents.join("---\n")), { dryRun: false });
	const ada = await as("ada");
	const told = async (...texts: readonly string[]) => {
		const answer = await ada.apply(file(texts.join("---\n")), { dryRun: true });
		return answer.outcome === "refused" ? answer.problems.map(formatProblem) : [answer.outcome];
	};
	t.match(await ada.delete("Service", "model", { dryRun: true }), {
		outcome: "refused",
		problems: [
			{
				message: "AccessPolicy p names Service model",
				hint: /weir delete Service model AccessPolicy p$/,
			},
		],
	});
	const [there, not] = [await told(policyText("q", "hidden/m")), await told(policyText("q", "hidden/none"))];
	t.match(there, [/Service hidden\/m is of another namespace, which grants no AccessPolicy/]);
	t.same(
		there.map((line) => line.replaceAll(/\bm\b/g, "none")),
		not,
	);
	const bare = (name: string) => policyText("q", name);
	t.same(
		(await told(bare("m"))).map((line) => line.replace('"m"', '"none"')),
		await told(bare("none")),
		"a bare name finds nothing there",
	);
	t.match(await told(serviceText("x").replace("x.default.example", "m.hidden.example"), policyText("px", "x")), [
		/host m\.hidden\.example is taken by a resource of another namespace; give each/,
	]);
	t.match(await told(serviceText("x").replace("x.default.example", "m.wide.example"), policyText("px", "x")), [
		/host m\.wide\.example lies under \*\.wide\.example of a resource of another namespace; choose a host/,
	]);
	const twice = serviceText("x").replace("x.default.example", "model.default.example");
	t.match(await told(twice, policyText("px", "x")), [/is taken by Service model;/]);
});
