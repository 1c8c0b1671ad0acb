/** x-forwarded-client-cert: the cases of Kuadrant/authorino's xfcc_test.go and more, and random text. */
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import t from "tap";
import {
	type ForwardedClient,
	forwardedClient,
	parseForwardedClientCert,
} from "../../../src/compile/access/requests/forwardedClientCert.js";
import { spiffeFault } from "../../../src/declare/resources/spiffe.js";

const ENVOY = "spiffe://weir.test/weir/envoy/gateway";
const CLIENT = "spiffe://weir.test/weir/client";
const TRUSTED = new Set([ENVOY]);
const NOTHING: ForwardedClient = { by: [], hash: null, cert: null, chain: null, subject: null, uri: [], dns: [] };

t.test("elements, pairs and quotes are parsed", async (t) => {
	const cases: readonly (readonly [string, string, readonly Partial<ForwardedClient>[]])[] = [
		["one pair", "Hash=abc", [{ hash: "abc" }]],
		[
			"all keys",
			`By=${ENVOY};Hash=ab;Cert="c%2C";Chain="d";Subject="CN=x";URI=${CLIENT};DNS=a.test;DNS=b.test`,
			[
				{
					by: [ENVOY],
					hash: "ab",
					cert: "c%2C",
					chain: "d",
					subject: "CN=x",
					uri: [CLIENT],
					dns: ["a.test", "b.test"],
				},
			],
		],
		["keys in any case", "HASH=a;uri=b", [{ hash: "a", uri: ["b"] }]],
		["several certificates", "Hash=1,Hash=2,Hash=3", [{ hash: "1" }, { hash: "2" }, { hash: "3" }]],
		["a comma in quotes", 'Subject="O=a,CN=b",Hash=2', [{ subject: "O=a,CN=b" }, { hash: "2" }]],
		["a semicolon in quotes", 'Subject="a;URI=spiffe://evil";Hash=2', [{ subject: "a;URI=spiffe://evil", hash: "2" }]],
		["an equals sign in quotes", 'Cert="MII==";Hash=2', [{ cert: "MII==", hash: "2" }]],
		["an escaped quote", 'Subject="a \\"b\\", c";Hash=2', [{ subject: 'a "b", c', hash: "2" }]],
		["an escaped backslash before the end", 'Subject="a\\\\";Hash=2', [{ subject: "a\\", hash: "2" }]],
		["a quote that would open another element", 'Subject="\\",URI=x"', [{ subject: '",URI=x' }]],
		["an empty value", 'Subject="";Hash=', [{ subject: "", hash: "" }]],
		["several URIs", "URI=a;URI=b", [{ uri: ["a", "b"] }]],
	];
	for (const [what, value, elements] of cases) {
		t.same(
			parseForwardedClientCert(value),
			elements.map((element) => ({ ...NOTHING, ...element })),
			what,
		);
	}
});

t.test("an ambiguous header is refused as a whole", async (t) => {
	const cases: Readonly<Record<string, string>> = {
		nothing: "",
		"no pair": "Hash",
		"an unknown key": "Hash=a;Role=admin",
		"a key with a space": "Hash=a; URI=b",
		"an empty element": "Hash=a,,Hash=b",
		"an empty pair": "Hash=a;;URI=b",
		"a separator at the end": "Hash=a;",
		"a comma at the end": "Hash=a,",
		"a comma at the beginning": ",Hash=a",
		"a quote that stays open": 'Subject="a',
		"an escape at the end": 'Subject="a\\',
		"text after the quote": 'Subject="a"b;Hash=c',
		"text before the quote": 'Subject=a"b"',
		"a bare equals sign": "Cert=MII==",
		"a bare backslash": "Subject=a\\,b",
		"two hashes": "Hash=a;Hash=b",
		"two subjects": 'Subject="a";Subject="b"',
		"a line break": "Hash=a\r\nURI=b",
		NUL: `URI=${CLIENT}\0.evil`,
		"beyond ASCII": "URI=spiffe://weir.test/ä",
		"too many elements": Array.from({ length: 17 }, () => "Hash=a").join(","),
		"too long": `Cert="${"a".repeat(70_000)}"`,
	};
	for (const [what, value] of Object.entries(cases)) t.equal(parseForwardedClientCert(value), null, what);
});

t.test("the header counts only from a trusted hop, for one client with one SPIFFE id", async (t) => {
	const good = `By=${ENVOY};Hash=a;URI=${CLIENT}`;
	t.same(forwardedClient([good], ENVOY, TRUSTED), { spiffeId: CLIENT, certificateThumbprint: null });
	const hash = createHash("sha256").update("certificate");
	const hex = hash.copy().digest("hex");
	const thumbprint = hash.digest("base64url");
	for (const [prefix, expected] of [
		[`Hash=${hex}`, thumbprint],
		[`Hash="${hex}"`, thumbprint],
		[`hash=${hex.toUpperCase()}`, thumbprint],
		[`Hash=${hex.slice(2)}`, null],
		[`Hash=${hex}00`, null],
		[`Hash=${"g".repeat(64)}`, null],
		[`Hash=${thumbprint}`, null],
		["Hash=", null],
		[`Subject="Hash=${hex}"`, null],
		['Cert="-----BEGIN%20CERTIFICATE-----"', null],
	] as const) {
		const client = forwardedClient([`${prefix};URI=${CLIENT}`], ENVOY, TRUSTED);
		t.same(client, { spiffeId: CLIENT, certificateThumbprint: expected }, prefix);
	}
	t.equal(forwardedClient([`Hash=${hex};Hash=${hex};URI=${CLIENT}`], ENVOY, TRUSTED), null, "two hashes");
	for (const by of ["", `By=spiffe://weir.test/other;By=${ENVOY};`, `By="${ENVOY}";`])
		t.match(forwardedClient([`${by}URI=${CLIENT}`], ENVOY, TRUSTED), { spiffeId: CLIENT }, by);
	const unauthenticated: readonly (readonly [string, readonly string[], string | null])[] = [
		["an unproven hop", [good], null],
		["another hop", [good], CLIENT],
		["no header", [], ENVOY],
		["two headers", [good, good], ENVOY],
		["two clients: the first is not from a trusted proxy", [`URI=spiffe://weir.test/root,${good}`], ENVOY],
		["two URIs", [`${good};URI=spiffe://weir.test/root`], ENVOY],
		["no URI", [`By=${ENVOY};Hash=a`], ENVOY],
		["no SPIFFE id", ["URI=https://weir.test/client"], ENVOY],
		["a SPIFFE id with percent-encoding", ["URI=spiffe://weir.test/%61"], ENVOY],
		["a URI only inside a quoted subject", ['Subject=",URI=spiffe://weir.test/root"'], ENVOY],
		["a client of another trust domain", ["URI=spiffe://other.test/weir/client"], ENVOY],
		["of one that begins alike", ["URI=spiffe://weir.test.evil/weir/client"], ENVOY],
		["a header that another proxy wrote", [`By=spiffe://weir.test/weir/other;URI=${CLIENT}`], ENVOY],
		["the client itself as the proxy", [`By=${CLIENT};URI=${CLIENT}`], ENVOY],
		["an empty name of the proxy", [`By=;URI=${CLIENT}`], ENVOY],
		["one that begins alike", [`By=${ENVOY}/x;URI=${CLIENT}`], ENVOY],
		["malformed", [`${good};`], ENVOY],
	];
	for (const [what, values, hop] of unauthenticated) t.equal(forwardedClient(values, hop, TRUSTED), null, what);
});

/** As Envoy writes it. */
function written(elements: readonly ForwardedClient[]): string {
	const quoted = (text: string) => `"${text.replace(/["\\]/g, "\\$&")}"`;
	const pairs = (element: ForwardedClient) => [
		...element.by.map((value) => `By=${quoted(value)}`),
		...(["hash", "cert", "chain", "subject"] as const).flatMap((key) => {
			const value = element[key];
			return value === null ? [] : [`${key}=${quoted(value)}`];
		}),
		...element.uri.map((value) => `URI=${quoted(value)}`),
		...element.dns.map((value) => `DNS=${quoted(value)}`),
	];
	return elements.map((element) => pairs(element).join(";")).join(",");
}

t.test("every written value is parsed back unchanged", async () => {
	const text = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) });
	const one = fc.option(text);
	const several = fc.array(text, { maxLength: 3 });
	const element = fc.record(
		{
			by: several,
			hash: fc.string({ unit: "grapheme-ascii" }),
			cert: one,
			chain: one,
			subject: one,
			uri: several,
			dns: several,
		},
		{ noNullPrototype: true },
	);
	fc.assert(
		fc.property(fc.array(element, { minLength: 1, maxLength: 4 }), (elements) =>
			isDeepStrictEqual(parseForwardedClientCert(written(elements)), elements),
		),
		{ numRuns: 300 },
	);
});

t.test("random text never throws, and never yields an invalid identity or one that is not in it", async (t) => {
	const pieces = fc.array(
		fc.oneof(
			fc.constantFrom("URI=", "By=", "Hash=", 'Subject="', '"', "\\", ",", ";", "=", CLIENT, ENVOY, "\0", "%2C", " "),
			fc.string({ maxLength: 5 }),
		),
		{ maxLength: 12 },
	);
	let identities = 0;
	fc.assert(
		fc.property(
			pieces.map((parts) => parts.join("")),
			(value) => {
				const id = forwardedClient([value], ENVOY, TRUSTED)?.spiffeId ?? null;
				if (id === null) return true;
				identities++;
				return spiffeFault(id) === null && (value.includes(`URI=${id}`) || value.includes(`URI="${id}"`));
			},
		),
		{ numRuns: 3_000, examples: [[`URI=${CLIENT}`], [`URI="${CLIENT}"`]] },
	);
	t.ok(identities > 0);
});

t.test("parsing a header of 60 KiB of names takes linear time", async (t) => {
	const value = "URI=a;".repeat(10_000).slice(0, -1);
	let best = Number.POSITIVE_INFINITY;
	for (let tries = 0; tries < 10; tries++) {
		const before = process.cpuUsage();
		t.equal(parseForwardedClientCert(value)?.[0]?.uri.length, 10_000);
		const { user, system } = process.cpuUsage(before);
		best = Math.min(best, (user + system) / 1_000);
	}
	t.ok(best < 60, `${best} ms of CPU`);
});
