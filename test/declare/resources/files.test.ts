/** Invalid files and their problems: format, bounds, and conflicting resources. */
import t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { formatProblem } from "../../../src/declare/resources/resource.js";
import { golden } from "../../golden/golden.js";
import { experiment, GOOD, spoil } from "./declaration.js";

const layer = (seed: string): string =>
	`apiVersion: weir.dev/v1alpha1\nkind: Layer\nmetadata: {name: l}\nspec: {seed: ${seed}}\n`;
const policy = (spec: string): string =>
	`---\napiVersion: weir.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: p}\nspec: {${spec}}\n`;

const files: readonly [what: string, text: string][] = [
	["empty file", ""],
	["only comments", "# nothing\n---\n"],
	["a list", "- a\n"],
	["a word", "abc"],
	[
		"JSON text is YAML",
		JSON.stringify({ apiVersion: "weir.dev/v1alpha1", kind: "Layer", metadata: { name: "l" }, spec: { seed: 7 } }),
	],
	["NUL", "a: b\nc: \0"],
	["YAML 1.1 directive", `%YAML 1.1\n---\n${GOOD}`],
	["nested by the thousand", `a: ${"[".repeat(20_000)}`],
	[
		"nested too deeply",
		`kind: Layer\nmetadata: {name: a}\napiVersion: weir.dev/v1alpha1\nspec: ${"[".repeat(40)}${"]".repeat(40)}\n`,
	],
	["a key that is a number", "1: a\n"],
	["an alias to itself", "kind: &a [*a]\n"],
	["a file that is too large", "#".repeat(5_000_000)],
	["seed above 2⁶⁴", layer('"18446744073709551616"')],
	["seed without quotes", layer("12345678901234567890")],
	["seed with a leading zero", layer('"007"')],
	["a resource twice", `${GOOD}---\n${GOOD.split("---\n")[1]}`],
	[
		"overlapping slots",
		`${spoil("[0%, 100%]", "[0%, 60%]")}${experiment("second", { layer: "{name: models, slot: [59.9999%, 100%]}" })}`,
	],
	[
		"two layers on one Service",
		`${spoil("[0%, 100%]", "[0%, 50%]")}${experiment("second", { layer: "{name: prices}" })}`,
	],
	[
		"two units in one layer of a Service",
		`${spoil("[0%, 100%]", "[0%, 50%]")}${experiment("second", { unit: "x-tenant", layer: "{name: models, slot: [50%, 100%]}" })}`,
	],
	[
		"a salt twice",
		`${spoil("[0%, 100%]", "[0%, 50%]")}${experiment("second", { salt: "boosted-vs-logistic", layer: "{name: models, slot: [50%, 100%]}" })}`,
	],
	[
		"a host of two Services",
		`${GOOD}---\n${(GOOD.split("---\n")[0] ?? "").replace("name: employment", "name: other")}`,
	],
	["open and selected", `${GOOD}${policy("services: [employment], principals: [spiffe://example.org/web]")}`],
	[
		"selected, and no Gateway asks for certificates",
		`${spoil("  access: open\n", "")}${policy("services: [employment], principals: [spiffe://example.org/web]")}`,
	],
	[
		"policy for an unknown Service",
		`${GOOD}${policy("services: [employmnt], principals: [spiffe://example.org/web]")}`,
	],
	["policy that allows nobody", `${GOOD}${policy("services: [employment]")}`],
	[
		"policy with faults of many kinds",
		`${GOOD}${policy("action: forbid, services: [], principals: ['https://a/b'], methods: [get], pathPrefixes: [v2, /v2/, /a/../b]")}`,
	],
];

t.test("each invalid file has all its problems reported", async (t) => {
	const said = files.map(([what, text]) => {
		const { problems } = loadResources([{ name: "w.yaml", text }]);
		t.ok(problems.length > 0, what);
		return `# ${what}\n${problems.map(formatProblem).join("\n")}\n`;
	});
	await golden(t, "validate-files", said.join(""));
});
