/** Canonical requests: each fault in the smallest case, and Envoy's native rule compared with canonicalFault. */
import fc from "fast-check";
import t from "tap";
import {
	canonicalFault,
	OVERRIDE_HEADERS,
	PROBE_PATH,
	type SentRequest,
} from "../../../src/compile/access/requests/canonical.js";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { headerValues, pipelined } from "../../envoy/pipeline.js";
import { inThisTier } from "../../envoy/tierVersions.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
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
				"/%e0%a4%85",
				"/%ed%95%9c",
				"/%F0%9F%98%80",
				"/%c3%a9%e2%82%ac%f0%9f%98%80%20a%c3%a9?%80%c3",
				"/%f4%8f%bf%bf",
				PROBE_PATH,
			].map((path) => ({ path })),
			...["PROPFIND", "M-SEARCH", "DELETE", "PATCH"].map((method) => ({ method })),
			...["m.test:8443", "10.0.0.1", "[::1]:80", "a_b.test"].map((host) => ({ host })),
			auth("Bearer a.b.c"),
			auth("Basic YTpi"),
			auth(""),
			auth("Negotiate YII="),
			auth('Digest username="a, \\"b", qop=auth,uri="/x"'),
			auth("AWS4-HMAC-SHA256 Credential=A/1/r/s3/aws4_request, SignedHeaders=host;range, Signature=ff"),
			auth('Signature keyId="k",algorithm="rsa-sha256",headers="(request-target) date",signature="YQ=="'),
			auth('hawk id="d", ts="1", nonce="j", mac="6R4rV5="'),
			auth('OAuth realm="r", oauth_signature=YQ=='),
			// Undecidable, and harmless: the Service gets the joined text (canonical.ts).
			auth("Digest a=b", "Bearer=c"),
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
				"/v2/%e0%80%ae%e0%80%ae/admin",
				"/v2/%E0%80%AF..",
				"/%e0%9f%bf",
				"/%f0%80%80%af",
				"/%F0%8F%BF%BF",
				"/%ed%a0%80",
				"/%ED%BF%BF",
				"/%f4%90%80%80",
				"/%F8",
				"/v2/echo%80",
				"/%bf",
				"/%c3",
				"/%c3/",
				"/%c3%28",
				"/%C3a",
				"/%c3%a9%a9",
				"/%e2%82",
				"/%e2%82%ac%ac",
				"/%e2%82%2",
				"/%f0%9f%98",
				"/%f0%9f%98%80%80",
				"/%f0%9f%c3%a9",
				"/%e9t%e9",
				"/%zz",
				"/%0z",
				"/%7g/a",
				"/%",
				"/%a",
				"/a%2",
			],
			...["/\xe9", "/a b", "/a\tb", "/a\0", "/a?\xe9", "/a?b c"],
		].map((path) => ({ path })),
	],
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
			auth("Token a=b", "Token=c"),
			auth("Negotiate a=", "b=c"),
			auth("X a=b, c=d"),
			auth("Digest a=b", "Bearer tok"),
			auth("Digest a=b", "Bearer =tok"),
			auth("Digest a=b", 'Hawk id="x"'),
			auth("Digest a=b", "Digest"),
			auth("Digest a=b=c, d=e"),
			auth("Digest a=b c=d, e=f"),
			auth(`Digest ${"a=".repeat(40)},a"`),
		],
	],
	[
		"dpop",
		[["a.b.c", "d.e.f"], ["a.b.c,d.e.f"], ["a.b c"], ["\xff"]].map((values) => ({
			headers: values.map((value) => ["dpop", value] as const),
		})),
	],
	[
		"override parameter",
		[
			"_method=DELETE",
			"_method",
			"x=1&_method=DELETE",
			"x=1;_method=DELETE&y",
			"%5fMETHOD=1&%5f%6D%65%74%68%6f%64=DELETE",
			"+%20_method=DELETE",
			".method=DELETE",
			"_method%00=DELETE",
			"_method%00z=DELETE",
			"%2emethod&x",
			"?&_method=DELETE",
		].map((query) => ({ path: `/v2/models/m1/infer?${query}` })),
	],
	[
		null,
		[
			"x_method=1",
			"[method=1",
			"_method%0=1",
			"_methods=1",
			"x=_method=1",
			"method=DELETE",
			"_METHOD=1",
			"__method=1",
			"_method%3d",
		].map((query) => ({
			path: `/_method=1?${query}`,
		})),
	],
	[
		"override header",
		[
			...OVERRIDE_HEADERS,
			...[
				"x-override-url",
				"x-http-methodoverride",
				"x-original-uri",
				"x-forwarded-path",
				"x-http-method-override",
				"x-original-url",
			],
		].map((name) => ({
			headers: [[name, ""]] as const,
		})),
	],
];

t.test("each fault has a message, and a canonical request has no fault", async (t) => {
	for (const [fault, cases] of CASES) {
		for (const one of cases) t.equal(canonicalFault(sent(one)), fault, JSON.stringify(one));
	}
});

t.test("a path or credential of 60 KiB is judged in linear time", async (t) => {
	const LENGTH = 60 * 1024;
	const filled = (begin: string, part: string, end: string): string =>
		begin + part.repeat((LENGTH - begin.length - end.length) / part.length) + end;
	const parts = [
		"a",
		"=",
		"a=",
		"a= ",
		" ",
		"\t",
		",",
		" ,",
		"a=,",
		'a="',
		'"',
		'\\"',
		"\\",
		'a="b",',
		"a=b, ",
		".",
		"Bearer ",
	];
	const spoilt = ['"', ",", "=", "\0", " x", ',a"', "\xff"];
	const credentials = ["", "Digest ", "Digest a=", 'Digest a="', "Digest a=b,", "Bearer ", "X a"].flatMap((begin) =>
		parts.flatMap((part) => spoilt.map((end): Fields => auth(filled(begin, part, end)))),
	);
	const paths = [
		"%",
		"%e0",
		"/.",
		"/..",
		"..",
		"a",
		"%2",
		"%25",
		"/a",
		"%E",
		"%f0%9",
		"?",
		"?+",
		"?&",
		"&",
		"&+",
		"_method",
		"&_method",
		";%5f",
	].flatMap((part) => ["", " ", "#", "%", "/..", "\xff"].map((end): Fields => ({ path: filled("/", part, end) })));
	const others = ["a", ".", "1", ":", ":1", "[", "A-"].flatMap((part): readonly Fields[] =>
		["", " ", "]", ":"].flatMap((end) => [
			{ host: filled("", part, end) },
			{ method: filled("", part, end) },
			{ headers: [["dpop", filled("", part, end)]] },
		]),
	);
	const bad: string[] = [];
	for (const fields of [...credentials, ...paths, ...others]) {
		const one = sent(fields);
		const before = process.cpuUsage();
		canonicalFault(one);
		const { user, system } = process.cpuUsage(before);
		// It takes 1 ms; a quadratic check would take seconds, an exponential one forever.
		if (user + system > 500_000) bad.push(JSON.stringify(fields).slice(0, 80));
	}
	t.same(bad, []);
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
		"%e0%80%ae",
		"%e0%a4%85",
		"%F0%80%80%AF",
		"%ed%a0%80",
		"%f4%90%80%80",
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
	"Bearer=c",
	"Hawk a=1, b=2",
	"Token a=b",
	"Digest a=b=c, d=e",
);
type Line = readonly [name: string, value: string];

const header: fc.Arbitrary<Line> = fc.oneof(
	fc.tuple(fc.constantFrom("authorization", "Authorization"), token),
	fc.tuple(fc.constantFrom("dpop", "DPoP"), fc.constantFrom("a.b.c", "d.e.f", "", "a,b", "\xe9", "a b")),
	fc.tuple(
		fc.constantFrom(
			"X-HTTP-Method-Override",
			"x-http-method",
			"x-method-override",
			"x-original-url",
			"x-rewrite-url",
			"x-original-uri",
			"X-HTTP-MethodOverride",
			"X-Forwarded-Path",
			"X-Override-URL",
		),
		fc.constantFrom("DELETE", ""),
	),
	fc.tuple(
		fc.constantFrom("cookie", "x-any", "x-forwarded-host", "x-original-host", "x-weir-arm", "x-weir-variant", "accept"),
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
		.tuple(
			fc.array(pathPart, { maxLength: 4 }),
			fc.constantFrom(
				"",
				"",
				"?a=/../b;c",
				"?\xe9",
				"?",
				"?_method=PUT",
				"?a&%5fmeth%6fd;",
				"?_method%00x",
				"?x_method=1",
				"?+.method",
			),
		)
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

for (const version of inThisTier(["1.40.0", "1.36.2"])) {
	t.test(`Envoy ${version} natively refuses the same requests as canonicalFault`, async (t) => {
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
					// The same Gateway, and so the same normalisation; no policy applies.
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
