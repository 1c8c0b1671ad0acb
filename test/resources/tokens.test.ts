/** Gateway spec.tokens: issuers with their audiences and keys, each complete and given once. */
import t from "tap";
import { loadResources } from "../../src/resources/parse.js";
import { spoil } from "./declaration.js";
import { checkRows, type Row } from "./faultTable.js";

const ISSUERS = "write a list of {issuer, audiences, jwksFile}";
const ISSUER = "write the issuer as it stands in the tokens, such as https://id.example.com";
const AUDIENCES = "write a list of at least one audience, as it stands in the tokens";
const KEYS = "write the path of a JSON Web Key Set";
const at = "spec.tokens[0]";

const tokens = (written: string): string => spoil("  port: 8080", `  port: 8080\n  tokens: ${written}`);

const rows: readonly Row[] = [
	["a word", tokens("x"), [`w.yaml:19:11: spec.tokens is "x"; ${ISSUERS}`]],
	["nothing", tokens("null"), [`w.yaml:19:11: spec.tokens is empty; ${ISSUERS}`]],
	["one issuer, no list", tokens("{issuer: a}"), [`w.yaml:19:11: spec.tokens is a mapping; ${ISSUERS}`]],
	["a list of words", tokens("[x]"), [`w.yaml:19:12: ${at} is "x"; write a mapping of issuer, audiences, jwksFile`]],
	[
		"no field at all",
		tokens("[{}]"),
		[
			`w.yaml:19:12: ${at}.issuer is missing; ${ISSUER}`,
			`w.yaml:19:12: ${at}.audiences is missing; ${AUDIENCES}`,
			`w.yaml:19:12: ${at}.jwksFile is missing; ${KEYS}`,
		],
	],
	["no issuer", tokens("[{audiences: [b], jwksFile: f}]"), [`w.yaml:19:12: ${at}.issuer is missing; ${ISSUER}`]],
	["no audiences", tokens("[{issuer: a, jwksFile: f}]"), [`w.yaml:19:12: ${at}.audiences is missing; ${AUDIENCES}`]],
	["no keys", tokens("[{issuer: a, audiences: [b]}]"), [`w.yaml:19:12: ${at}.jwksFile is missing; ${KEYS}`]],
	[
		"empty issuer",
		tokens('[{issuer: "", audiences: [b], jwksFile: f}]'),
		[`w.yaml:19:21: ${at}.issuer is ""; ${ISSUER}`],
	],
	[
		"issuer that is a number",
		tokens("[{issuer: 7, audiences: [b], jwksFile: f}]"),
		[`w.yaml:19:21: ${at}.issuer is the number 7; ${ISSUER}`],
	],
	[
		"empty audiences",
		tokens("[{issuer: a, audiences: [], jwksFile: f}]"),
		[`w.yaml:19:35: ${at}.audiences is an empty list; ${AUDIENCES}`],
	],
	[
		"one audience, no list",
		tokens("[{issuer: a, audiences: b, jwksFile: f}]"),
		[`w.yaml:19:35: ${at}.audiences is "b"; ${AUDIENCES}`],
	],
	[
		"empty audience",
		tokens('[{issuer: a, audiences: [""], jwksFile: f}]'),
		[`w.yaml:19:36: ${at}.audiences[0] is ""; ${AUDIENCES}`],
	],
	[
		"empty path of keys",
		tokens('[{issuer: a, audiences: [b], jwksFile: ""}]'),
		[`w.yaml:19:50: ${at}.jwksFile is ""; ${KEYS}`],
	],
	[
		"mistyped field",
		tokens("[{issuer: a, audience: [b], audiences: [b], jwksFile: f}]"),
		[`w.yaml:19:24: unknown field ${at}.audience; did you mean "audiences"? known fields: issuer, audiences, jwksFile`],
	],
	[
		"repeated issuer",
		tokens("[{issuer: a, audiences: [b], jwksFile: f}, {issuer: a, audiences: [c], jwksFile: g}]"),
		["w.yaml:19:63: spec.tokens[1].issuer repeats a, item 0 of the list; give each issuer once"],
	],
];

checkRows(t, rows);

t.test("two issuers, in their order", async (t) => {
	const text = tokens(
		"[{issuer: a, audiences: [b, c], jwksFile: f.json}, {issuer: d, audiences: [b], jwksFile: g.json}]",
	);
	const { resources, problems } = loadResources([{ name: "w.yaml", text }]);
	t.same(problems, []);
	t.same(resources.gateways[0]?.spec.tokens, [
		{ issuer: "a", audiences: ["b", "c"], jwksFile: "f.json" },
		{ issuer: "d", audiences: ["b"], jwksFile: "g.json" },
	]);
});
