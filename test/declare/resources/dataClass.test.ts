/** DataClass, and the endpoints of Services that have one; a Gateway's identity; limits; identities. */
import t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { GOOD, spoil } from "./declaration.js";
import { checkRows, problemsOf, type Row } from "./faultTable.js";

const document = (kind: string, name: string, spec: string): string =>
	`---\napiVersion: weir.dev/v1alpha1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: {${spec}}\n`;
const service = (written: string): string => spoil("  access: open\n", `  access: open\n  ${written}\n`);
const gateway = (written: string): string => spoil("  port: 8080\n", `  port: 8080\n  ${written}\n`);
/** The Service, where callers show certificates. */
const called = (written: string): string =>
	spoil("  port: 8080\n", "  port: 8080\n  tls: {identity: mesh}\n", service(written));
const ENDPOINT = "[{address: localhost, port: 9002}]";
const classed = (endpoints: string): string =>
	spoil(ENDPOINT, endpoints, service("dataClass: personal")) + document("DataClass", "personal", "regions: [here, eu]");

const rows: readonly Row[] = [
	[
		"no region",
		GOOD + document("DataClass", "personal", "regions: []"),
		[`w.yaml:66:17: spec.regions is an empty list`],
	],
	[
		"one region, no list",
		GOOD + document("DataClass", "personal", "regions: eu"),
		[`w.yaml:66:17: spec.regions is "eu"`],
	],
	[
		"region twice",
		GOOD + document("DataClass", "personal", "regions: [eu, eu]"),
		["w.yaml:66:22: spec.regions[1] repeats eu, item 0 of the list"],
	],
	["unknown DataClass", service("dataClass: personal"), ['w.yaml:7:14: unknown DataClass "personal"']],
	["each Variant within", classed("[{address: localhost, port: 9002, locality: {region: eu}}]"), []],
	[
		"a Variant with an endpoint within and one outside",
		classed(
			"[{address: a.internal, port: 1, locality: {region: eu}}, {address: b.internal, port: 1, locality: {region: us}}]",
		),
		[],
	],
	["a Variant without endpoints", classed("[]"), []],
	[
		"a Variant with none within",
		classed("[{address: localhost, port: 9002, locality: {region: us}}]"),
		["w.yaml:13:18: no endpoint of variant v2 is in a region of DataClass personal (here, eu)"],
	],
	[
		"an endpoint that does not say where it is",
		classed(ENDPOINT),
		[
			"w.yaml:13:19: endpoint localhost:9002 does not say where it is, so that data of DataClass personal is never sent there",
		],
	],
	[
		"a server in two regions",
		spoil(
			ENDPOINT,
			"[{address: '::ffff:10.0.0.2', port: 1, locality: {region: us}}, {address: '::ffff:a00:2', port: 1, locality: {region: us, zone: b}}]\n    - {name: v3, endpoints: [{address: 10.0.0.2, port: 1, locality: {region: eu}}, {address: 10.0.0.2, port: 2, locality: {region: eu}}]}",
		),
		["w.yaml:13:78: endpoint 10.0.0.2:1 is in region eu here, and in us at 12:76"],
	],
	["a Gateway's own identity", gateway("tls: {identity: mesh}"), []],
	["another word for it", gateway("tls: {identity: spire}"), ['w.yaml:19:19: spec.tls.identity is "spire"']],
	[
		"identity beside files",
		gateway("tls: {identity: mesh, clientCaFile: c}"),
		["w.yaml:19:19: spec.tls.identity is given beside files"],
	],
	["tls that is a word", gateway("tls: mesh"), [`w.yaml:19:8: spec.tls is "mesh"`]],
	["region", gateway("region: ''"), ['w.yaml:19:11: spec.region is ""']],
	[
		"regions with what cannot be seen",
		gateway('region: "eu\\n"') + document("DataClass", "personal", 'regions: ["eu west", " eu", "a\\nb", "a\\tb "]'),
		[
			`w.yaml:19:11: spec.region is "eu\\n"`,
			`w.yaml:67:29: spec.regions[1] is " eu"`,
			`w.yaml:67:36: spec.regions[2] is "a\\nb"`,
			`w.yaml:67:44: spec.regions[3] is "a\\tb "`,
		],
	],
	[
		"regions with what cannot be seen, of an endpoint",
		spoil(ENDPOINT, "[{address: 10.0.0.2, port: 1, locality: {region: 'eu '}}]"),
		[`w.yaml:12:67: spec.variants[1].endpoints[0].locality.region is "eu "`],
	],
	["limits", called("rateLimits: {service: {requests: 100}, principal: {requests: 5, per: 10s}}"), []],
	[
		"a limit of nothing",
		service("rateLimits: {service: {requests: 0}}"),
		["w.yaml:7:36: spec.rateLimits.service.requests is the number 0"],
	],
	[
		"a limit in less time than Envoy's buckets take",
		called("rateLimits: {service: {requests: 1, per: 49ms}, principal: {requests: 1, per: 50ms}}"),
		['w.yaml:7:44: spec.rateLimits.service.per is "49ms"'],
	],
	["half of a character", gateway('region: "\\ud800"'), ['w.yaml:19:11: spec.region is "\\ud800"']],
	[
		"a limit per tenant, and no tenant is known",
		service("rateLimits: {tenant: {requests: 1}}"),
		["w.yaml:7:24: spec.rateLimits.tenant is given, but no Gateway trusts any token issuer: no tenant is known"],
	],
	["identities of endpoints", service("identities: ['spiffe://a/b']"), []],
	[
		"identities that are patterns",
		service("identities: ['spiffe://a/*']"),
		['w.yaml:7:16: spec.identities[0] has a character in its path that SPIFFE forbids ("spiffe://a/*")'],
	],
	["no identity", service("identities: []"), ["w.yaml:7:15: spec.identities is an empty list"]],
	["senders", spoil("  type: mean\n", "  type: mean\n  senders: ['spiffe://a/b']\n"), []],
	[
		"senders of a Metric without outcomes",
		spoil("  source: errors\n", "  source: errors\n  senders: ['spiffe://a/b']\n"),
		["w.yaml:40:12: spec.senders is given for source errors"],
	],
	[
		"gates",
		spoil(
			"    every: 10s",
			"    gates: [{at: before-step, url: 'https://ci/gate'}, {at: after-rollback, url: 'http://127.0.0.1:1/', timeout: 1s}]",
		),
		[],
	],
];

checkRows(t, rows);

t.test("gates on other machines need TLS, and no URL has credentials", async (t) => {
	for (const url of [
		"http://ci/gate",
		"ftp://ci/gate",
		"https://u:p@ci/gate",
		"/gate",
		"https://ci/#a",
		"http://127.0.0.1.evil/",
	]) {
		const text = spoil("    every: 10s", `    gates: [{at: before-step, url: '${url}'}]`);
		t.match(problemsOf(text), [/^w\.yaml:57:36: spec\.rollout\.gates\[0\]\.url is ".*"; write an https URL/], url);
	}
});

t.test("a parsed DataClass has its defaults", async (t) => {
	const text = service(
		"rateLimits: {service: {requests: 100}, principal: {requests: 5, per: 10s}}\n  identities: ['spiffe://a/b']",
	);
	const [one] = loadResources([
		{ name: "w.yaml", text: text.replace("  port: 8080\n", "  port: 8080\n  region: eu\n  tls: {identity: mesh}\n") },
	]).resources.services;
	t.same(one?.spec.rateLimits, {
		service: { requests: 100, perMs: 1_000 },
		principal: { requests: 5, perMs: 10_000 },
		tenant: null,
	});
	t.same(one?.spec.identities, ["spiffe://a/b"]);
});
