/** Canonical requests: each fault in the smallest case, and Envoy's native rule against canonicalFault on what Envoy forwards. */
import fc from "fast-check";
import t from "tap";
import { canonicalFault, PROBE_PATH, type SentRequest } from "../../src/access/canonical.js";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { bootstrapOf, startEnvoy } from "../envoy/harness.js";
import { headerValues, pipelined } from "../envoy/pipeline.js";
import { startVariantServer } from "../envoy/variantServer.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { mutualTls, spiffe } from "./mutualTls.js";

type Fields = Partial<Omit<SentRequest, "headerValues">> & {
	readonly headers?: readonly (readonly [string, string])[];
};

function sent({ headers = [], ...rest }: Fields): SentRequest {
	return {
		method: "GET",
		path: "/v2/models/m1/infer",
		host: "m.test",
		...rest,
		headerValues: (name) => headers.filter(([key]) => key === name).map(([, value]) => value),
	};
}

const auth = (...values: readonly string[]): Fields => ({ headers: values.map((value) => ["authorization", value]) });

const CASES: readonly (readonly [fault: string | null, cases: readonly Fields[]])[] = [
	[
		null,
		[
			{},
			...[
				"/",
				"/?",
				"/a?b;c=//../%2f",
				"/a%20b",
				"/%C3%A9",
				"/a.b/..c/...",
				"/m:predict",
				"/a,b",
				"/a%25",
				"/a%7e",
				"/%e2%82%ac",
			].map((path) => ({ path })),
			...["PROPFIND", "M-SEARCH", "DELETE", "PATCH"].map((method) => ({ method })),
			...["m.test:8443", "10.0.0.1", "[::1]:80", "a_b.test"].map((host) => ({ host })),
			auth("Bearer a.b.c"),
			auth("Basic YTpi"),
			auth(""),
			auth("Negotiate YII="),
			auth('Digest username="a, \\"b", qop=auth,uri="/x"'),
			auth("AWS4-HMAC-SHA256 Credential=A/1/r/s3/aws4_request, SignedHeaders=host;range, Signature=ff"),
			{ headers: [["dpop", "a-_.b.c"]] },
			{ headers: [["cookie", "a=\xff"]] },
		],
	],
	[
		"path",
		[
			...[
				"",
				"*",
				"a",
				"//",
				"/a//b",
				"/./",
				"/a/..",
				"/..",
				"/a/../b",
				"/a;b",
				"/a%3Bb",
				"/a%3bb",
				"/a\\b",
				"/a#b",
				"/a?b#c",
			],
			...[
				"/%2f",
				"/%2F",
				"/%5c",
				"/%00",
				"/%0a",
				"/%1F",
				"/%7f",
				"/%252e",
				"/%c0%ae",
				"/%F8",
				"/%zz",
				"/%",
				"/%a",
				"/a%2",
			],
			...["/\xe9", "/a b", "/a\tb", "/a\0", "/a?\xe9", "/a?b c"],
		].map((path) => ({ path })),
	],
	["probe", [PROBE_PATH, `${PROBE_PATH}?x`].map((path) => ({ path }))],
	["method", ["TRACE", "TRACK", "CONNECT", "get", "", "GET ", "G\xe9", "GET,POST", "-X"].map((method) => ({ method }))],
	[
		"host",
		[
			"",
			"a,b",
			"u@m.test",
			"m.test:",
			"m.test:a",
			"m.test/x",
			"m test",
			"\xe9.test",
			"[::1",
			"m.test:1:2",
			"m.test?x",
		].map((host) => ({ host })),
	],
	[
		"authorization",
		[
			auth("Bearer a", "Bearer b"),
			auth("Bearer a,b"),
			auth("Bearer a=", "b=c"),
			auth("basic a=,b=c"),
			auth("Digest a=1", "Digest b=2"),
			auth("", "Bearer b"),
			auth("Bearer a", ""),
			auth("Bearer \xff"),
			auth("Bearer a\0"),
			auth('Digest a="b' + '"x, c=d'),
			auth("a,b"),
		],
	],
	[
		"dpop",
		[["a.b.c", "d.e.f"], ["a.b.c,d.e.f"], ["a.b c"], ["\xff"]].map((values) => ({
			headers: values.map((value) => ["dpop", value] as const),
		})),
	],
	[
		"override header",
		["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"].map((name) => ({
			headers: [[name, ""]] as const,
		})),
	],
];

t.test("each fault has its words, and what is canonical has none", async (t) => {
	for (const [fault, cases] of CASES) {
		for (const one of cases) t.equal(canonicalFault(sent(one)), fault, JSON.stringify(one));
	}
});

const pathPart = fc.oneof(
	fc.constantFrom(
		"v2",
		"a",
		"",
		".",
		"..",
		"...",
		";x",
		"a;b",
		"%2e",
		"%2E%2e",
		"%3b",
		"%3B",
		"%00",
		"%0a",
		"%25",
		"%252e",
		"%61",
		"%c0%af",
	),
	fc.constantFrom(
		"%e9",
		"%zz",
		"%",
		"%4",
		"a b",
		"\\",
		"\xe9",
		"m:p",
		"a,b",
		"*",
		"~",
		"%7e",
		"%20",
		"%7f",
		"%C3%A9",
		".well-known",
		"weir-probe",
	),
	fc.string({ maxLength: 4 }).map((text) => text.replace(/[\r\n ]/g, "x")),
);
const token = fc.constantFrom(
	"Bearer a.b.c",
	"bearer x",
	"Basic YQ==",
	'Digest a="b, c", d=e',
	"Digest a=1",
	"",
	"a=b",
	"DPoP x",
	"Bearer a=",
	"\xff",
	"Negotiate x==",
	"a,b",
	"x=1, y=2",
);
type Line = readonly [name: string, value: string];

const header: fc.Arbitrary<Line> = fc.oneof(
	fc.tuple(fc.constantFrom("authorization", "Authorization"), token),
	fc.tuple(fc.constantFrom("dpop", "DPoP"), fc.constantFrom("a.b.c", "d.e.f", "", "a,b", "\xe9", "a b")),
	fc.tuple(
		fc.constantFrom("X-HTTP-Method-Override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"),
		fc.constantFrom("DELETE", ""),
	),
	fc.tuple(
		fc.constantFrom("cookie", "x-any", "x-weir-arm", "x-weir-variant", "accept"),
		fc.constantFrom("a", "\xff", "a,b", ""),
	),
);
const request = fc.record({
	method: fc.constantFrom("GET", "GET", "GET", "GET", "POST", "HEAD", "TRACE", "PATCH", "OPTIONS"),
	label: fc.constantFrom(
		"x.",
		"x.",
		"x.",
		"x.",
		"X.",
		"",
		"u@x.",
		"a,b.",
		"a_b.",
		"\xe9.",
		"x..",
		"[::1].",
		"x/y.",
		"a:1.",
	),
	port: fc.constantFrom(...Array<string>(12).fill(""), ":443", ":0", ":x", ":"),
	path: fc
		.tuple(fc.array(pathPart, { maxLength: 4 }), fc.constantFrom("", "", "?a=/../b;c", "?\xe9", "?"))
		.map(([parts, query]) => `/${parts.join("/")}${query}`),
	headers: fc.oneof(
		{ weight: 2, arbitrary: fc.constant<readonly Line[]>([]) },
		{ weight: 3, arbitrary: fc.array(header, { maxLength: 3 }).map((lines): readonly Line[] => lines) },
	),
});

type Generated = typeof request extends fc.Arbitrary<infer Value> ? Value : never;

const bytes = (host: string, { method, label, port, path, headers }: Generated): Buffer =>
	Buffer.from(
		`${method} ${path} HTTP/1.1\r\nHost: ${label}${host}${port}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
		"latin1",
	);

/** A request as it reached the upstream. */
function forwarded(head: string): SentRequest {
	const [first = "", ...lines] = head.split("\r\n");
	const [method = "", path = ""] = first.split(" ");
	const headers = lines.map(
		(line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()] as const,
	);
	const values = (name: string) => headers.filter(([key]) => key === name).map(([, value]) => value);
	return { method, path, host: values("host").join(","), headerValues: values };
}

for (const version of ["1.40.0", "1.36.2"]) {
	t.test(`Envoy ${version} refuses natively what canonicalFault refuses, and nothing else`, async (t) => {
		const tls = await mutualTls(t);
		const upstream = await startVariantServer("v1", (socket, head) => {
			const seen = Buffer.from(head, "latin1").toString("base64");
			socket.write(`HTTP/1.1 200 OK\r\nx-head: ${seen}\r\ncontent-length: 0\r\n\r\n`);
		});
		t.teardown(() => upstream.close());
		const variants = [variant("v1", upstream.port)];
		const plan = compile(
			resourceSet({
				gateways: [gateway({ tls: tls.gateway })],
				services: [
					service("judged", variants, { access: null, hosts: ["judged.test", "*.judged.test"] }),
					// The same Gateway, and so the same normalisation; nobody judges.
					service("openly", variants, { hosts: ["openly.test", "*.openly.test"] }),
				],
				accessPolicies: [accessPolicy("all", "allow", ["judged"], { principals: [spiffe("alice")] })],
			}),
			EMPTY_STATUS,
			{ collectors: NO_COLLECTORS },
		);
		const envoy = await startEnvoy(t, bootstrapOf(plan), { version });
		const alice = await tls.client(envoy.port(), "alice");
		const seen = { canonical: 0, faulty: 0, byCodec: 0 };
		await fc.assert(
			fc.asyncProperty(fc.array(request, { minLength: 50, maxLength: 50 }), async (requests) => {
				const methods = requests.map(({ method }) => method);
				const ask = (host: string) =>
					pipelined(
						alice,
						requests.map((one) => bytes(host, one)),
						{ window: 1, methods },
					);
				const [open, judged] = await Promise.all([ask("openly.test"), ask("judged.test")]);
				for (const [index, answer] of open.entries()) {
					const got = judged[index]?.status;
					const what = JSON.stringify(requests[index]);
					if (answer.status !== 200) {
						seen.byCodec++;
						if (got === 200) throw new Error(`served, though the open Service's was ${answer.status}: ${what}`);
						continue;
					}
					const head = Buffer.from(headerValues(answer, "x-head")[0] ?? "", "base64").toString("latin1");
					const fault = canonicalFault(forwarded(head));
					seen[fault === null ? "canonical" : "faulty"]++;
					if (got !== (fault === null ? 200 : 403))
						throw new Error(`${got}, and the fault is ${fault}: ${what} as ${head}`);
				}
			}),
			{ numRuns: version === "1.40.0" ? 16 : 8, seed: 5 },
		);
		t.comment(JSON.stringify(seen));
		t.ok(seen.canonical > 30 && seen.faulty > 100, "both kinds were met");
	});
}
