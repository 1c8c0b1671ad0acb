/** Limits of tenants and principals are refused if nothing would enforce them. */
import t from "tap";
import { GOOD, spoil } from "./declaration.js";
import { checkRows, type Row } from "./faultTable.js";

const TOKENS = "tokens: [{issuer: 'https://id.test', audiences: [weir], jwksFile: /k.json}]";
const believing = (text: string): string => spoil("  port: 8080\n", `  port: 8080\n  ${TOKENS}\n`, text);
const policy = (name: string, spec: string): string =>
	`---\napiVersion: weir.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: ${name}}\nspec: {services: ['*'], action: allow, ${spec}}\n`;
/** The Service with a limit of tenants, and a policy. */
const limited = (spec: string, more = ""): string =>
	believing(spoil("  access: open\n", `  rateLimits: {tenant: {requests: 1}}\n${more}`, GOOD)) + policy("p", spec);
const PROXIES = '  trustedProxies: ["spiffe://weir.test/proxy"]\n';
const PLACE = "w.yaml:6:24: spec.rateLimits.tenant is given, but";
const SIDECAR = "and Envoy, which holds the limits, verifies no token then";
const NO_USERS = `${PLACE} no enforced AccessPolicy of the Service is about users: no token is required, and callers without one have no tenant limit`;

/** The Service with a limit of principals, and proxies that speak for theirs. */
const behind = (proxies: string): string =>
	spoil("  access: open\n", "  access: open\n  rateLimits: {principal: {requests: 1}}\n", GOOD).replace(
		"  port: 8080\n",
		`  port: 8080\n  tls: {identity: mesh}\n${proxies}`,
	);

const NO_CERTIFICATES = (gateway: string): string =>
	`w.yaml:7:27: spec.rateLimits.principal is given, but Gateway ${gateway} demands no client certificates: all its callers would share one limit, and one of them could use it up`;
const inFiles = (more: string): string =>
	behind("").replace("{identity: mesh}", `{certificateFile: a.pem, privateKeyFile: a.key${more}}`);
const another = (spec: string): string =>
	`---\napiVersion: weir.dev/v1alpha1\nkind: Gateway\nmetadata: {name: other, namespace: prod}\nspec: {port: 8081${spec}}\n`;

const rows: readonly Row[] = [
	["principals without certificates", behind("").replace("  tls: {identity: mesh}\n", ""), [NO_CERTIFICATES("public")]],
	["principals where the server alone shows one", inFiles(""), [NO_CERTIFICATES("public")]],
	["principals with certificates of a CA", inFiles(", clientCaFile: ca.pem"), []],
	[
		"principals of two Gateways, one of which identifies no client",
		behind("") + another(""),
		[NO_CERTIFICATES("prod/other")],
	],
	["principals of two Gateways that know all", behind("") + another(", tls: {identity: mesh}"), []],
	[
		"principals, and no Gateway",
		behind("").replace(/^kind: Gateway.*?^---$/ms, "kind: Layer\nmetadata: {name: l}\nspec: {}\n---"),
		[],
	],
	["a policy about users", limited("groups: [a]"), []],
	["a policy on anyone", limited("principals: [anyone]"), [NO_USERS]],
	[
		"only a shadow policy about users",
		`${limited("principals: [anyone]")}${policy("dry", "groups: [a], mode: shadow")}`,
		[NO_USERS],
	],
	[
		"the sidecar decides",
		limited("groups: [a]", "  callout: {access: sidecar}\n"),
		[`${PLACE} the sidecar decides access: the Service asks for it (callout.access: sidecar), ${SIDECAR}`],
	],
	[
		"each decision is signed",
		limited("groups: [a]", "  callout: {sign: true}\n"),
		[
			`${PLACE} the sidecar decides access: the Service wants each decision signed (callout.sign), and Envoy signs none, ${SIDECAR}`,
		],
	],
	[
		"a policy that Envoy cannot judge",
		limited("groups: [a], condition: 'true'"),
		[`${PLACE} the sidecar decides access: AccessPolicy p has a CEL condition, ${SIDECAR}`],
	],
	[
		"clients behind a trusted proxy",
		limited("groups: [a]").replace("  tokens:", `  tls: {identity: mesh}\n${PROXIES}  tokens:`),
		[
			`${PLACE} the sidecar decides access: Gateway public has trusted proxies, and Envoy's rules see the proxy, not the client that it names, ${SIDECAR}`,
		],
	],
	[
		"an open Service",
		believing(spoil("  access: open\n", "  access: open\n  rateLimits: {tenant: {requests: 1}}\n", GOOD)),
		[NO_USERS.replace(":6:", ":7:")],
	],
	["principals that call themselves", behind(""), []],
	[
		"principals behind a trusted proxy",
		behind(PROXIES),
		[
			"w.yaml:7:27: spec.rateLimits.principal is given, but Gateway public has trustedProxies: Envoy, which holds the limits, would count all clients of a proxy as one",
		],
	],
];

checkRows(t, rows);
