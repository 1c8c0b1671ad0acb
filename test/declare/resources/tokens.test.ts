/** Gateway spec.tokens: issuers with their audiences and keys, each complete and given once. */
import t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { tokenIssuer } from "../../fixtures/resources.js";
import { spoil } from "./declaration.js";
import { checkRows, type Row } from "./faultTable.js";

const at = "spec.tokens[0]";

const tokens = (written: string): string => spoil("  port: 8080", `  port: 8080\n  tokens: ${written}`);

/** A list of so many. */
const issuers = (count: number): string =>
	`[${Array.from({ length: count }, (_, index) => `{issuer: i${index}, audiences: [b], jwksFile: f}`).join(", ")}]`;

const rows: readonly Row[] = [
	["as many issuers as may be", tokens(issuers(100)), []],
	["one more", tokens(issuers(101)), ["w.yaml:19:11: spec.tokens is a list of 101"]],
	["a word", tokens("x"), [`w.yaml:19:11: spec.tokens is "x"`]],
	["nothing", tokens("null"), [`w.yaml:19:11: spec.tokens is empty`]],
	["one issuer, no list", tokens("{issuer: a}"), [`w.yaml:19:11: spec.tokens is a mapping`]],
	["a list of words", tokens("[x]"), [`w.yaml:19:12: ${at} is "x"`]],
	[
		"no field at all",
		tokens("[{}]"),
		[`w.yaml:19:12: ${at}.issuer is missing`, `w.yaml:19:12: ${at}.audiences is missing`],
	],
	["no issuer", tokens("[{audiences: [b], jwksFile: f}]"), [`w.yaml:19:12: ${at}.issuer is missing`]],
	["no audiences", tokens("[{issuer: a, jwksFile: f}]"), [`w.yaml:19:12: ${at}.audiences is missing`]],
	["no keys", tokens("[{issuer: a, audiences: [b]}]"), [`w.yaml:19:12: ${at}.jwksFile is missing`]],
	["empty issuer", tokens('[{issuer: "", audiences: [b], jwksFile: f}]'), [`w.yaml:19:21: ${at}.issuer is ""`]],
	[
		"issuer that is a number",
		tokens("[{issuer: 7, audiences: [b], jwksFile: f}]"),
		[`w.yaml:19:21: ${at}.issuer is the number 7`],
	],
	[
		"empty audiences",
		tokens("[{issuer: a, audiences: [], jwksFile: f}]"),
		[`w.yaml:19:35: ${at}.audiences is an empty list`],
	],
	[
		"one audience, no list",
		tokens("[{issuer: a, audiences: b, jwksFile: f}]"),
		[`w.yaml:19:35: ${at}.audiences is "b"`],
	],
	["empty audience", tokens('[{issuer: a, audiences: [""], jwksFile: f}]'), [`w.yaml:19:36: ${at}.audiences[0] is ""`]],
	["empty path of keys", tokens('[{issuer: a, audiences: [b], jwksFile: ""}]'), [`w.yaml:19:50: ${at}.jwksFile is ""`]],
	[
		"keys by URL as a file",
		tokens("[{issuer: a, audiences: [b], jwksFile: https://id.example/jwks.json}]"),
		[`w.yaml:19:50: ${at}.jwksFile is "https://id.example/jwks.json"`],
	],
	[
		"mistyped field",
		tokens("[{issuer: a, audience: [b], audiences: [b], jwksFile: f}]"),
		[`w.yaml:19:24: unknown field ${at}.audience`],
	],
	[
		"keys that are fetched",
		tokens("[{issuer: a, audiences: [b], jwksUrl: 'https://id/jwks', jwksCaFile: ca.pem}]"),
		[],
	],
	[
		"keys from two places",
		tokens("[{issuer: a, audiences: [b], jwksFile: f, jwksUrl: 'https://id/jwks'}]"),
		[`w.yaml:19:62: ${at}.jwksUrl is given beside jwksFile`],
	],
	[
		"keys that are fetched in plain text",
		tokens("[{issuer: a, audiences: [b], jwksUrl: 'http://id/jwks'}]"),
		[`w.yaml:19:49: ${at}.jwksUrl is "http://id/jwks"`],
	],
	[
		"a password in the keys' URL",
		tokens("[{issuer: a, audiences: [b], jwksUrl: 'https://u:p@id/jwks'}]"),
		[`w.yaml:19:49: ${at}.jwksUrl is "https://u:p@id/jwks"`],
	],
	[
		"a CA without a URL",
		tokens("[{issuer: a, audiences: [b], jwksFile: f, jwksCaFile: c}]"),
		[`w.yaml:19:65: ${at}.jwksCaFile is given without jwksUrl`],
	],
	[
		"issuer with a #, which splits users",
		tokens("[{issuer: 'a#b', audiences: [b], jwksFile: f}]"),
		[`w.yaml:19:21: ${at}.issuer is "a#b"`],
	],
	[
		"profile, lifetime and binding",
		tokens("[{issuer: a, audiences: [b], jwksFile: f, profile: JWT, maxLifetime: 0s, binding: tls}]"),
		[
			`w.yaml:19:62: ${at}.profile is "JWT"`,
			`w.yaml:19:80: ${at}.maxLifetime is "0s"`,
			`w.yaml:19:93: ${at}.binding is "tls"`,
		],
	],
	[
		"a claim with an empty step",
		tokens("[{issuer: a, audiences: [b], jwksFile: f, groupsClaim: .groups}]"),
		[`w.yaml:19:66: ${at}.groupsClaim is ".groups"`],
	],
	[
		"repeated issuer",
		tokens("[{issuer: a, audiences: [b], jwksFile: f}, {issuer: a, audiences: [c], jwksFile: g}]"),
		["w.yaml:19:63: spec.tokens[1].issuer repeats a, item 0 of the list"],
	],
];

checkRows(t, rows);

t.test("two issuers are parsed in their order", async (t) => {
	const text = tokens(
		"[{issuer: a, audiences: [b, c], jwksFile: f.json}, {issuer: d, audiences: [b], jwksFile: g.json}]",
	);
	const { resources, problems } = loadResources([{ name: "w.yaml", text }]);
	t.same(problems, []);
	t.same(resources.gateways[0]?.spec.tokens, [
		tokenIssuer("a", ["b", "c"], "f.json"),
		tokenIssuer("d", ["b"], "g.json"),
	]);
});

t.test("an issuer is parsed with all its fields", async (t) => {
	const text = tokens(
		"[{issuer: a, audiences: [b], jwksUrl: 'https://id/jwks', profile: at+jwt, maxLifetime: 5m, binding: either, groupsClaim: realm_access.roles, tenantClaim: 'https://example.com/tenant', purposeClaim: p}]",
	);
	const { resources, problems } = loadResources([{ name: "w.yaml", text }]);
	t.same(problems, []);
	t.same(resources.gateways[0]?.spec.tokens, [
		{
			issuer: "a",
			audiences: ["b"],
			keys: { from: "url", url: "https://id/jwks", caFile: null },
			profile: "at+jwt",
			maxLifetimeMs: 300_000,
			binding: "either",
			groupsClaim: "realm_access.roles",
			tenantClaim: "https://example.com/tenant",
			purposeClaim: "p",
		},
	]);
});

t.test("two Gateways may declare one issuer differently", async (t) => {
	const second = `---
apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: second}
spec: {port: 8081, tokens: [{issuer: a, audiences: [c], jwksUrl: "https://id/jwks", binding: dpop}]}
`;
	const { problems } = loadResources([
		{ name: "w.yaml", text: tokens("[{issuer: a, audiences: [b], jwksFile: f}]") + second },
	]);
	t.same(problems, []);
});
