/** Whole files that are wrong, and what is said about them: format, bounds, and resources side by side. */
import t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { formatProblem } from "../../../src/declare/resources/resource.js";
import { experiment, GOOD, spoil } from "./declaration.js";

const layer = (seed: string): string =>
	`apiVersion: weir.dev/v1alpha1\nkind: Layer\nmetadata: {name: l}\nspec: {seed: ${seed}}\n`;
const policy = (spec: string): string =>
	`---\napiVersion: weir.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: p}\nspec: {${spec}}\n`;

const files: readonly [what: string, text: string, problems: readonly string[]][] = [
	[
		"empty file",
		"",
		["w.yaml:1:1: the file holds nothing; write at least one resource with apiVersion, kind, metadata and spec"],
	],
	[
		"only comments",
		"# nothing\n---\n",
		["w.yaml:1:1: the file holds nothing; write at least one resource with apiVersion, kind, metadata and spec"],
	],
	[
		"a list",
		"- a\n",
		[
			"w.yaml:1:1: the document is a list; write a mapping with apiVersion, kind, metadata and spec; separate resources by a line ---",
		],
	],
	[
		"a word",
		"abc",
		[
			"w.yaml:1:1: the document is a single value; write a mapping with apiVersion, kind, metadata and spec; separate resources by a line ---",
		],
	],
	[
		"JSON text is YAML",
		JSON.stringify({ apiVersion: "weir.dev/v1alpha1", kind: "Layer", metadata: { name: "l" }, spec: { seed: 7 } }),
		['w.yaml:1:89: spec.seed is the number 7; write an unsigned 64-bit integer in quotes, such as seed: "7"'],
	],
	[
		"NUL",
		"a: b\nc: \0",
		["w.yaml:2:4: control character U+0000, which YAML forbids; remove it; the file must be plain text in UTF-8"],
	],
	[
		"YAML 1.1 directive",
		`%YAML 1.1\n---\n${GOOD}`,
		["w.yaml:1:1: YAML version 1.1; remove the %YAML line: Weir reads YAML 1.2, where yes and no are text"],
	],
	[
		"nested by the thousand",
		`a: ${"[".repeat(20_000)}`,
		["w.yaml:1:69: the document is nested too deeply; nest at most 32 levels"],
	],
	[
		"nested too deeply",
		`kind: Layer\nmetadata: {name: a}\napiVersion: weir.dev/v1alpha1\nspec: ${"[".repeat(40)}${"]".repeat(40)}\n`,
		[
			"w.yaml:4:7: spec is a list of 1; write a mapping of seed",
			"w.yaml:4:39: the document is nested too deeply; nest at most 32 levels",
		],
	],
	[
		"a key that is a number",
		"1: a\n",
		[
			"w.yaml:1:1: a key of the document is not text; write a field name; put it in quotes if it looks like a number or a truth value",
			"w.yaml:1:1: kind is missing; write kind: Gateway, Service, Layer, Experiment, Metric, AccessPolicy, DataClass, ReferenceGrant, RoleBinding or ApprovalPolicy",
			"w.yaml:1:1: apiVersion is missing; write apiVersion: weir.dev/v1alpha1",
		],
	],
	[
		"an alias to itself",
		"kind: &a [*a]\n",
		[
			"w.yaml:1:1: apiVersion is missing; write apiVersion: weir.dev/v1alpha1",
			"w.yaml:1:10: unknown kind [null]; known kinds: Gateway, Service, Layer, Experiment, Metric, AccessPolicy, DataClass, ReferenceGrant, RoleBinding, ApprovalPolicy",
			"w.yaml:1:11: alias *a contains itself; write the value out",
		],
	],
	[
		"a file that is too large",
		"#".repeat(5_000_000),
		["w.yaml:1:1: the file is larger than 4194304 bytes; split it into several files"],
	],
	[
		"seed above 2⁶⁴",
		layer('"18446744073709551616"'),
		['w.yaml:4:14: spec.seed is "18446744073709551616"; write an unsigned 64-bit integer in quotes, such as seed: "7"'],
	],
	[
		"seed without quotes",
		layer("12345678901234567890"),
		[
			'w.yaml:4:14: spec.seed is the number 12345678901234567890; write an unsigned 64-bit integer in quotes, such as seed: "7"',
		],
	],
	[
		"seed with a leading zero",
		layer('"007"'),
		['w.yaml:4:14: spec.seed is "007"; write an unsigned 64-bit integer in quotes, such as seed: "7"'],
	],
	[
		"a resource twice",
		`${GOOD}---\n${GOOD.split("---\n")[1]}`,
		["w.yaml:65:18: Gateway public is declared already at w.yaml:16:18; rename one of them, or remove it"],
	],
	[
		"overlapping slots",
		`${spoil("[0%, 100%]", "[0%, 60%]")}${experiment("second", { layer: "{name: models, slot: [59.9999%, 100%]}" })}`,
		[
			"w.yaml:69:31: slot overlaps that of Experiment boosted-vs-logistic (w.yaml:47) in layer models; give experiments of one layer disjoint slots",
		],
	],
	[
		"two layers on one Service",
		`${spoil("[0%, 100%]", "[0%, 50%]")}${experiment("second", { layer: "{name: prices}" })}`,
		[
			"w.yaml:69:17: layer prices is the second to choose variants of Service employment: Experiment boosted-vs-logistic uses layer models; put both experiments into one layer, in disjoint slots",
		],
	],
	[
		"two units in one layer of a Service",
		`${spoil("[0%, 100%]", "[0%, 50%]")}${experiment("second", { unit: "x-tenant", layer: "{name: models, slot: [50%, 100%]}" })}`,
		[
			"w.yaml:68:18: unit header x-tenant differs from header x-user-id of Experiment boosted-vs-logistic in the same layer and Service; use one unit per layer of a Service",
		],
	],
	[
		"a salt twice",
		`${spoil("[0%, 100%]", "[0%, 50%]")}${experiment("second", { salt: "boosted-vs-logistic", layer: "{name: models, slot: [50%, 100%]}" })}`,
		[
			'w.yaml:74:9: salt "boosted-vs-logistic" is in use by Experiment boosted-vs-logistic, whose groups would be the same; write another spec.salt',
		],
	],
	[
		"a host of two Services",
		`${GOOD}---\n${(GOOD.split("---\n")[0] ?? "").replace("name: employment", "name: other")}`,
		["w.yaml:67:11: host employment.example is taken by Service employment; give each host to one Service, once"],
	],
	[
		"open and selected",
		`${GOOD}${policy("services: [employment], principals: [spiffe://example.org/web]")}`,
		[
			"w.yaml:6:11: Service employment is open and selected by an AccessPolicy; remove access: open, or take it out of the policy's services",
		],
	],
	[
		"selected, and no Gateway asks for certificates",
		`${spoil("  access: open\n", "")}${policy("services: [employment], principals: [spiffe://example.org/web]")}`,
		[
			"w.yaml:17:3: no Gateway asks for client certificates, so no caller could be identified at Service employment; write tls: {identity: mesh} in a Gateway, or clientCaFile beside its certificate's files, or write access: open in the Service",
		],
	],
	[
		"policy for an unknown Service",
		`${GOOD}${policy("services: [employmnt], principals: [spiffe://example.org/web]")}`,
		['w.yaml:66:19: unknown Service "employmnt"; did you mean "employment"? known Services: employment'],
	],
	[
		"policy that allows nobody",
		`${GOOD}${policy("services: [employment]")}`,
		[
			"w.yaml:66:7: spec.principals is empty, so the policy would allow no one; list at least one SPIFFE id, or name users, groups, tenants, purposes or claims, or write action: deny",
		],
	],
	[
		"policy with faults of many kinds",
		`${GOOD}${policy("action: forbid, services: [], principals: ['https://a/b'], methods: [get], pathPrefixes: [v2, /v2/, /a/../b]")}`,
		[
			'w.yaml:66:16: spec.action is "forbid"; write allow or deny',
			"w.yaml:66:34: spec.services is an empty list; write a list of at least one Service name, or ['*'] for all",
			"w.yaml:66:51: spec.principals[0] does not begin with spiffe:// (\"https://a/b\"); write a SPIFFE id such as spiffe://example.org/ns/team-a/sa/web, one that ends with /* for all below it, '*' for any, or anyone for those who prove none too",
			'w.yaml:66:77: spec.methods[0] is "get"; write an HTTP method in capitals such as GET or POST',
			'w.yaml:66:98: spec.pathPrefixes[0] is "v2"; write a path that begins with /, without a / at its end, and without //, . or .. segments, ;, %, ?, # or spaces',
			'w.yaml:66:102: spec.pathPrefixes[1] is "/v2/"; write a path that begins with /, without a / at its end, and without //, . or .. segments, ;, %, ?, # or spaces',
			'w.yaml:66:108: spec.pathPrefixes[2] is "/a/../b"; write a path that begins with /, without a / at its end, and without //, . or .. segments, ;, %, ?, # or spaces',
		],
	],
];

for (const [what, text, expected] of files) {
	t.test(what, async (t) => {
		const { problems } = loadResources([{ name: "w.yaml", text }]);
		t.same(problems.map(formatProblem), expected);
	});
}
