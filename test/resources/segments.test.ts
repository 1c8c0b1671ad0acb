/** Segments of an Experiment: headers that many units share, and never one that carries units. */
import t from "tap";
import { loadResources } from "../../src/resources/parse.js";
import { GOOD, spoil } from "./declaration.js";
import { checkRows } from "./faultTable.js";

const segmented = (written: string, text = GOOD): string =>
	spoil("  rollout:\n", `  segments: ${written}\n  rollout:\n`, text);

t.test("segments as declared", async (t) => {
	const text = segmented("[{name: country, header: X-Country}, {name: plan, header: x-plan}]");
	const { resources, problems } = loadResources([{ name: "w.yaml", text }]);
	t.same(problems, []);
	t.same(resources.experiments[0]?.spec.segments, [
		{ name: "country", header: "x-country" },
		{ name: "plan", header: "x-plan" },
	]);
});

checkRows(t, [
	[
		"the header of its own units",
		segmented("[{name: user, header: X-User-Id}]"),
		[
			"w.yaml:55:35: segment user is of header x-user-id, which carries units; name a header that many units share, such as x-country",
		],
	],
	[
		"the header that units are usually in",
		segmented("[{name: user, header: x-user-id}]", spoil("{header: x-user-id}", "{header: x-tenant}")),
		[
			"w.yaml:55:35: segment user is of header x-user-id, which carries units; name a header that many units share, such as x-country",
		],
	],
]);
