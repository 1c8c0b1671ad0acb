/** `weir policy test` and `weir policy diff` as a user's CI runs them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import t from "tap";
import { fileOf, MAIN, temporaryDirectory, weir } from "./command.js";

t.setTimeout(120_000);

const RESOURCES = `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec:
  port: 8080
  region: eu
  tls: {certificateFile: /etc/weir/c.pem, privateKeyFile: /etc/weir/k.pem, clientCaFile: /etc/weir/ca.pem}
  tokens:
    - issuer: https://issuer.test
      audiences: [weir]
      jwksFile: /etc/weir/jwks.json
---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: shop}
spec:
  hosts: [shop.test]
  defaultVariant: v1
  variants:
    - name: v1
      endpoints: [{address: 127.0.0.1, port: 9001}]
---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: plain}
spec:
  hosts: [plain.test, "*.plain.test"]
  defaultVariant: v1
  variants:
    - name: v1
      endpoints: [{address: 127.0.0.1, port: 9002}]
---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: free}
spec:
  hosts: [free.test]
  access: open
  defaultVariant: v1
  variants:
    - name: v1
      endpoints: [{address: 127.0.0.1, port: 9003}]
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: plain-web}
spec:
  action: allow
  services: [plain]
  principals: [spiffe://a.test/web]
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: web}
spec:
  action: allow
  services: [shop]
  principals: [spiffe://a.test/web]
  methods: [GET]
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: staff}
spec:
  action: allow
  services: [shop]
  groups: [staff]
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: no-admin}
spec:
  action: deny
  services: [shop]
  pathPrefixes: [/admin]
`;

const TABLE = `tests:
  - name: web reads
    request: {service: shop, principal: spiffe://a.test/web, path: "/v2?x=//y/../z"}
    expect: {verdict: allow, policy: web}
  - name: web does not write
    request: {host: shop.test, principal: spiffe://a.test/web, method: POST, path: /v2}
    expect: {verdict: deny, reason: no-policy-allows, policy: null}
  - name: staff may all but admin
    request: {principal: spiffe://a.test/app, service: shop, method: POST, path: /admin/x, token: {iss: https://issuer.test, sub: ann, groups: [staff]}}
    expect: {verdict: deny, reason: forbidden, policy: no-admin}
  - name: staff
    request: {principal: spiffe://a.test/app, service: shop, method: POST, path: /v2, token: {iss: https://issuer.test, sub: ann, groups: [staff]}}
    expect: allow
  - name: of an issuer that nobody trusts
    request: {service: shop, principal: spiffe://a.test/web, token: {iss: https://evil.test, sub: ann, groups: [staff]}}
    expect: {verdict: deny, reason: invalid-token}
  - name: a token that does not hold
    request: {service: shop, principal: spiffe://a.test/web, token: invalid}
    expect: {verdict: deny, reason: invalid-token}
  - name: a token that is bound, of an issuer whose binding is none
    request: {principal: spiffe://a.test/app, service: shop, method: POST, path: /v2, token: {iss: https://issuer.test, sub: ann, groups: [staff], cnf: {}}}
    expect: {verdict: deny, reason: invalid-token}
  - name: whatever its times and audience say
    request: {principal: spiffe://a.test/app, service: shop, method: POST, path: /v2, token: {iss: https://issuer.test, sub: ann, groups: [staff], nbf: 9999999999, aud: x}}
    expect: allow
  - name: ambiguous
    request: {service: shop, principal: spiffe://a.test/web, path: "/v2;x"}
    expect: {verdict: deny, reason: not-canonical}
  - name: ambiguous, though no rule looks at paths
    request: {service: plain, principal: spiffe://a.test/web, path: "/v2;x"}
    expect: {verdict: deny, reason: not-canonical}
  - name: a method that is refused
    request: {host: a.plain.test, principal: spiffe://a.test/web, method: TRACE}
    expect: {verdict: deny, reason: not-canonical}
  - name: the probe
    request: {service: plain, principal: spiffe://a.test/web, method: OPTIONS, path: /.well-known/weir-probe}
    expect: {verdict: deny, reason: forbidden, policy: null}
  - name: before the token
    request: {principal: spiffe://a.test/app, service: shop, token: invalid, path: "/v2;x"}
    expect: {verdict: deny, reason: not-canonical}
  - name: no rule looks at tokens
    request: {service: plain, principal: spiffe://a.test/web, token: invalid}
    expect: {verdict: allow, policy: plain-web}
  - name: at a host under the wildcard
    request: {host: a.plain.test, principal: spiffe://a.test/web, variant: v1, region: eu, gateway: edge}
    expect: allow
  - name: open
    request: {principal: spiffe://a.test/app, service: free, method: TRACE, path: "/v2;x", token: invalid}
    expect: {verdict: allow, reason: open}
  - name: nobody's host
    request: {principal: spiffe://a.test/app, host: other.test}
    expect: {verdict: deny, reason: unknown-service}
`;

/** `weir policy test` of tables, all in one go. @returns said: of each table what is wrong with it, a line each; `t.yaml` is its name */
async function tested(directory: string, resources: string, tables: readonly string[]) {
	const files = await Promise.all(tables.map((text, index) => fileOf(directory, `${index}-t.yaml`, text)));
	const { code, stdout, stderr } = await weir([
		...["policy", "test", "-f", resources, ...files.flatMap((file) => ["-t", file])],
	]);
	const lines = stderr.split("\n");
	const said = files.map((file) =>
		lines.flatMap((line) => (line.startsWith(`${file}:`) ? `${line.replace(file, "t.yaml")}\n` : [])).join(""),
	);
	return { code, stdout: stdout.toString(), said };
}

const tableOf = (request: string, expect = "deny"): string =>
	`tests:\n  - name: a\n    request: ${request}\n    expect: ${expect}\n`;

t.test("a table that holds, and one that does not", async (t) => {
	const directory = await temporaryDirectory(t);
	const resources = await fileOf(directory, "resources.yaml", RESOURCES);
	const table = await fileOf(directory, "table.yaml", TABLE);
	const good = await weir(["policy", "test", "-f", resources, "-t", table]);
	t.equal(good.stderr, "");
	t.equal(good.stdout.toString(), "17 passed, 0 failed\n");
	t.equal(good.code, 0);
	const wrong = await fileOf(
		directory,
		"wrong.yaml",
		TABLE.replace("expect: {verdict: allow, policy: web}", "expect: {verdict: deny, reason: forbidden}"),
	);
	t.match(await weir(["policy", "test", "-f", resources]), { code: 64, stderr: /no table of cases.*add -t FILE/s });
	const bad = await weir(["policy", "test", "-f", resources, "-t", table, "-t", wrong]);
	t.equal(bad.code, 1);
	t.match(
		bad.stdout.toString(),
		/wrong\.yaml:2:5: FAIL web reads: expected deny \(forbidden\), is allow \(allowed by policy web\)\n33 passed, 1 failed/,
	);
});

t.test("a table with faults fails as a whole, each with its place", async (t) => {
	const directory = await temporaryDirectory(t);
	const resources = await fileOf(directory, "resources.yaml", RESOURCES);
	const cases: (readonly [string, RegExp])[] = [
		[
			"tests:\n  - name: a\n    request: {service: shop, metod: GET}\n    expect: allow\n",
			/t\.yaml:3:30: unknown field metod; known are/,
		],
		[
			"tests:\n  - name: a\n    request: {service: shop, principal: web}\n    expect: allow\n",
			/t\.yaml:3:41: principal does not begin with spiffe/,
		],
		["tests:\n  - name: a\n    request: {service: shop}\n    expect: maybe\n", /t\.yaml:4:13: expect is neither/],
		[
			"tests:\n  - name: a\n    request: {service: shop}\n    expect: {verdict: deny, reason: tired}\n",
			/there is no reason "tired"/,
		],
		["tests:\n  - name: a\n    request: {}\n    expect: allow\n", /either service or host/],
		[
			"tests:\n  - name: a\n    request: {service: shop, path: v2, time: noon, method: get, token: [1]}\n    expect: allow\n",
			/path does not begin[\s\S]*time is no RFC 3339|time is no RFC 3339[\s\S]*path does not begin/,
		],
		["tests: []\n", /tests is no list of cases/],
		["", /t\.yaml:1:1: the file holds nothing; write tests: with a list/],
		["tests:\n  - name: a\n    request: {service: shop}\n    expect: allow\n    expect: deny\n", /written twice/],
	];
	cases.push(
		[tableOf('{service: shop, path: "/v2//x"}'), /t\.yaml:3:\d+: Envoy resolves \/\/ and dot segments/],
		[tableOf('{service: shop, path: "/v2/%2E./admin?a=1"}'), /Envoy resolves/],
		[
			tableOf('{service: shop, path: "/%70ublic/x"}'),
			/t\.yaml:3:\d+: Envoy makes \\ a slash, and undoes .* before any rule; write the path as it is after: \/public\/x\n/,
		],
		[tableOf('{service: shop, path: "/a/%41%7e%2D?x=%41"}'), /write the path as it is after: \/a\/A~-\?x=%41\n/],
		[tableOf('{service: shop, path: "/a\\\\b"}'), /write the path as it is after: \/a\/b\n/],
		[tableOf('{service: shop, path: "/a\\\\..\\\\b"}'), /Envoy resolves/],
		[tableOf('{service: shop, path: "/a|b"}'), /t\.yaml:3:\d+: Envoy escapes .*; write them so, such as %7C/],
		[tableOf('{service: shop, time: "2026-02-30T12:00:00Z"}'), /t\.yaml:3:\d+: time is no RFC 3339 date-time/],
		[tableOf("{service: shopp}"), /t\.yaml:3:\d+: there is no Service "shopp"; declared are shop, plain, free/],
		[
			tableOf("{host: shopp.test}"),
			/t\.yaml:3:\d+: no Service has the host "shopp\.test"; declared are shop\.test, plain\.test, \*\.plain\.test, free\.test\n/,
		],
		[tableOf("{host: shop}"), /t\.yaml:3:\d+: no Service has the host "shop"; declared are/],
		[
			tableOf("{service: shop.test}"),
			/t\.yaml:3:\d+: there is no Service "shop\.test"; declared are shop, plain, free/,
		],
		[tableOf("{service: shop, gateway: egde}"), /t\.yaml:3:\d+: there is no Gateway "egde"; declared are edge/],
		[tableOf("{service: shop, region: ue}"), /t\.yaml:3:\d+: there is no region "ue"; declared are eu/],
		[tableOf("{service: shop, variant: v11}"), /t\.yaml:3:\d+: there is no Variant "v11"; declared are v1/],
		[
			tableOf("{host: no.test, gateway: egde}", "{verdict: deny, reason: unknown-service}"),
			/there is no Gateway "egde"/,
		],
	);
	const { code, stdout, said } = await tested(
		directory,
		resources,
		cases.map(([text]) => text),
	);
	t.same([code, stdout], [1, ""]);
	for (const [index, [text, problem]] of cases.entries()) t.match(said[index], problem, text);
	const timed = await fileOf(
		directory,
		"timed.yaml",
		RESOURCES.replace("  groups: [staff]", "  groups: [staff]\n  validUntil: 2027-01-01T00:00:00Z"),
	);
	const table = await fileOf(directory, "table.yaml", TABLE);
	const { stderr } = await weir(["policy", "test", "-f", timed, "-t", table]);
	t.match(stderr, /depends on the time; add time:/);
	t.same(
		stderr.match(/(?<=the verdict of ").*(?=" depends)/g),
		["staff", "whatever its times and audience say"],
		"asked of none whom no rule with a time concerns, and not where a forbid stands whatever the time",
	);
});

t.test("a case at a host is judged by the Service that has it, not by one of that name", async (t) => {
	const directory = await temporaryDirectory(t);
	const resources = await fileOf(directory, "resources.yaml", RESOURCES.replace("hosts: [free.test]", "hosts: [shop]"));
	const { stdout } = await tested(directory, resources, [
		tableOf("{host: shop, path: /admin, principal: spiffe://a.test/app}", "{verdict: allow, reason: open}"),
		tableOf('{host: "SHOP:80", path: /admin, principal: spiffe://a.test/app}', "{verdict: allow, reason: open}"),
		...["service: shop", "host: shop.test"].map((place) =>
			tableOf(
				`{${place}, path: /admin, principal: spiffe://a.test/app}`,
				"{verdict: deny, reason: forbidden, policy: no-admin}",
			),
		),
	]);
	t.equal(stdout, "4 passed, 0 failed\n");
});

t.test("a principal where no certificate is demanded cannot be", async (t) => {
	const directory = await temporaryDirectory(t);
	const other = (name: string, spec: string): string =>
		`apiVersion: weir.dev/v1alpha1\nkind: Gateway\nmetadata: {name: ${name}}\nspec: {port: 8443${spec}}\n---\n`;
	const tls = "tls: {certificateFile: c.pem, privateKeyFile: k.pem}";
	const request = (more: string): string =>
		`tests:\n  - name: a\n    request: {service: plain${more}}\n    expect: deny\n`;
	const asked = async (text: string, more: string) => {
		const resources = await fileOf(directory, "resources.yaml", text);
		const { code, stdout, stderr } = await weir([
			...["policy", "test", "-f", resources, "-t", await fileOf(directory, "t.yaml", request(more))],
		]);
		return `${code} ${stderr.split("\n")[0]?.replace(/^.*t\.yaml/, "t.yaml") ?? ""}${stdout}`;
	};
	const BAD = ", principal: spiffe://a.test/bad";
	const WHY =
		"demands no client certificates, so that a caller's principal cannot be known; remove principal: from the request";
	const two =
		other("bare", "") + other("behind", ", tls: {identity: mesh}, trustedProxies: [spiffe://a.test/proxy]") + RESOURCES;
	t.equal(
		await asked(two, `, gateway: bare${BAD}`),
		`1 t.yaml:3:57: Gateway bare ${WHY}, or name a Gateway that demands them: behind, edge`,
	);
	for (const place of ["", ", gateway: edge", ", gateway: behind"])
		t.equal(await asked(two, place + BAD), "0 1 passed, 0 failed\n", place);
	t.equal(await asked(two, ", gateway: bare"), "0 1 passed, 0 failed\n", "nobody's principal");
	const none = RESOURCES.replace(", clientCaFile: /etc/weir/ca.pem", "").replaceAll(
		"[spiffe://a.test/web]",
		"[anyone]",
	);
	t.equal(await asked(none, BAD), `1 t.yaml:3:42: Gateway edge ${WHY}`, "the only one");
	t.equal(
		await asked(other("bare", `, ${tls}`) + none, BAD),
		`1 t.yaml:3:42: ${WHY.replace("demands no", "no Gateway demands")}`,
		"none of them",
	);
	t.equal(await asked(RESOURCES.slice(RESOURCES.indexOf("---\n") + 4), BAD), "0 1 passed, 0 failed\n", "no Gateways");
});

t.test("a request that a trusted proxy brings", async (t) => {
	const directory = await temporaryDirectory(t);
	const behind = `apiVersion: weir.dev/v1alpha1\nkind: Gateway\nmetadata: {name: behind}\nspec: {port: 8443, tls: {identity: mesh}, trustedProxies: [spiffe://a.test/proxy]}\n---\n`;
	const resources = await fileOf(directory, "resources.yaml", behind + RESOURCES);
	const table = (request: string, expect?: string): string => tableOf(`{service: plain, ${request}}`, expect);
	const WEB = "principal: spiffe://a.test/web";
	const good = await tested(directory, resources, [
		table(`${WEB}, via: spiffe://a.test/proxy`, "{verdict: allow, policy: plain-web}"),
		// It names nobody.
		table("principal: spiffe://a.test/proxy, gateway: behind", "{verdict: deny, reason: not-canonical}"),
	]);
	t.match(good, { code: 0, stdout: "2 passed, 0 failed\n" });
	const bad: readonly (readonly [string, RegExp])[] = [
		[
			`${WEB}, via: spiffe://a.test/other`,
			/^t\.yaml:3:68: no Gateway has the trusted proxy spiffe:\/\/a\.test\/other; remove via: from the request\n$/,
		],
		[
			`${WEB}, gateway: edge, via: spiffe://a.test/proxy`,
			/^t\.yaml:3:83: Gateway edge does not trust spiffe:\/\/a\.test\/proxy; remove via: from the request, or name a Gateway that has it: behind\n$/,
		],
		[
			"via: spiffe://a.test/proxy",
			/^t\.yaml:3:36: via names a proxy, and nothing its client; add principal: to the request\n$/,
		],
		[`${WEB}, via: proxy`, /^t\.yaml:3:68: via does not begin with spiffe:\/\//],
		[`${WEB}, via: [a]`, /^t\.yaml:3:68: via is no text/],
		[`${WEB}, proxy: spiffe://a.test/proxy`, /^t\.yaml:3:63: unknown field proxy; .*via/],
	];
	const { code, stdout, said } = await tested(
		directory,
		resources,
		bad.map(([request]) => table(request)),
	);
	t.same([code, stdout], [1, ""]);
	for (const [index, [request, problem]] of bad.entries()) t.match(said[index], problem, request);
});

const WEB_AT_EDGE = { principal: "spiffe://a.test/web", gateway: "edge", variant: "v1", atMs: 0 };

t.test("diff names what is let in and kept out", async (t) => {
	const directory = await temporaryDirectory(t);
	const before = await fileOf(directory, "old.yaml", RESOURCES);
	const after = await fileOf(
		directory,
		"new.yaml",
		RESOURCES.replace("methods: [GET]", "methods: [GET, POST]").replace("[/admin]", "[/admin, /internal]"),
	);
	const same = await weir(["policy", "diff", before, before]);
	t.equal(same.code, 0);
	t.match(
		same.stdout.toString(),
		/^0 newly allowed, 0 newly denied of \d+ requests compared .*\nrequests are examples: that none was found proves nothing\n$/,
	);
	const log = await fileOf(
		directory,
		"log.ndjson",
		[
			{ method: "GET", path: "/internal/x" },
			{ method: "GET", path: "/internal/(masked)" },
			{ method: null, path: "/internal/x" },
		]
			.map((asked) => ({ kind: "allowed", service: "shop", ...asked, ...WEB_AT_EDGE }))
			.map((record) => `${JSON.stringify(record)}\n`)
			.join(""),
	);
	const { code, stdout } = await weir(["policy", "diff", before, after, "--log", log]);
	const text = stdout.toString();
	t.equal(code, 1);
	t.match(text, /NEWLY ALLOWED {2}shop: deny \(no-policy-allows\) → allow \(allowed by policy web\)/);
	t.match(
		text,
		/NEWLY DENIED {2}shop: allow \(allowed by policy (web|staff)\) → deny \(forbidden by policy no-admin\)/,
	);
	t.match(text, /logged requests left out: 1, for their Service reads tokens/);
	t.match(text, /logged requests left out: 1, for parts of their paths are masked or cut in the log/);
	t.match(text, /logged requests left out: 1, for the log has no word for their method/);
	const faulty = await fileOf(directory, "faulty.ndjson", `\n${JSON.stringify({ kind: "denied" })}\n\n17\n`);
	const refused = await weir(["policy", "diff", before, after, "--log", faulty]);
	t.match(refused, { code: 64, stderr: /faulty\.ndjson:4: not a JSON record/ });
	const json = JSON.parse((await weir(["policy", "diff", before, after, "--json"])).stdout.toString());
	t.ok(json.newlyAllowed > 0 && json.newlyDenied > 0);
});

t.test("diff tells of an allow that is lost where no request shows it, and does not succeed", async (t) => {
	const directory = await temporaryDirectory(t);
	const text = RESOURCES.replace("  groups: [staff]", "  groups: [staff]\n  methods: [PUT]");
	const seniors =
		'---\napiVersion: weir.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: seniors}\nspec: {services: [shop], principals: [anyone], condition: "user.claims.level > 3"}\n';
	const before = await fileOf(directory, "old.yaml", text + seniors);
	const after = await fileOf(directory, "new.yaml", text);
	const { code, stdout } = await weir(["policy", "diff", before, after]);
	t.match(stdout.toString(), /^allow removed: seniors, of Service shop\n0 newly allowed, 0 newly denied of /);
	t.match(stdout.toString(), /rules that may let in more, or less, are named above without one/);
	t.equal(code, 1);
	const json = JSON.parse((await weir(["policy", "diff", before, after, "--json"])).stdout.toString());
	t.match(json, { loosened: [], tightened: ["allow removed: seniors, of Service shop"] });
	t.equal((await weir(["policy", "diff", before, before])).code, 0);
});

t.test("diff tells what decides verdicts beside the rules", async (t) => {
	const directory = await temporaryDirectory(t);
	const before = await fileOf(directory, "old.yaml", RESOURCES);
	const after = await fileOf(
		directory,
		"new.yaml",
		RESOURCES.replace("audiences: [weir]", "audiences: [weir, other]\n      binding: dpop")
			.replace("jwks.json", "others.json")
			.replace("hosts: [shop.test]", "hosts: [shop.test, store.test]"),
	);
	const { code, stdout } = await weir(["policy", "diff", before, after]);
	const text = stdout.toString();
	t.equal(code, 1, "although no verdict differs");
	t.match(
		text,
		/^changed: Gateway edge, tokens of https:\/\/issuer\.test: audiences \["weir"\] → \["weir","other"\]$/m,
	);
	t.match(text, /^changed: Gateway edge, tokens of https:\/\/issuer\.test: binding "none" → "dpop"$/m);
	t.match(text, /^changed: Gateway edge, tokens of https:\/\/issuer\.test: keys .*jwks\.json.* → .*others\.json/m);
	t.match(text, /^changed: Service shop, hosts: also store\.test$/m);
	t.match(text, /^0 newly allowed, 0 newly denied/m);
});

t.test("diff names requests of a host that goes to another Service, with those of the log", async (t) => {
	const directory = await temporaryDirectory(t);
	const before = await fileOf(directory, "old.yaml", RESOURCES);
	const after = await fileOf(directory, "new.yaml", RESOURCES.replace("[free.test]", "[free.test, a.plain.test]"));
	const asked = { kind: "denied", service: "plain", method: "POST", path: "/secret", ...WEB_AT_EDGE, principal: null };
	const log = await fileOf(directory, "log.ndjson", `${JSON.stringify(asked)}\n`);
	const { code, stdout } = await weir(["policy", "diff", before, after, "--log", log]);
	const text = stdout.toString();
	t.equal(code, 1);
	t.match(text, /^changed: Service free: takes host a\.plain\.test from Service plain$/m);
	t.match(text, /^NEWLY ALLOWED {2}host a\.plain\.test: deny \(no-policy-allows\) → allow \(open\)$/m);
	t.match(text, /^ {2}asked, by a host that the log does not tell: POST \/secret {2}no principal/m);
});

t.test("diff asks with who is named by no rule, of each trust domain that a Gateway takes, and says so", async (t) => {
	const directory = await temporaryDirectory(t);
	const told = async (trustDomains: string): Promise<string> => {
		const of = (name: string, methods: string) =>
			fileOf(
				directory,
				name,
				`apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec:
  port: 8443
  tls: {certificateFile: /c.pem, privateKeyFile: /k.pem, clientCaFile: /ca.pem${trustDomains}}
---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: shop}
spec: {hosts: [shop.test], defaultVariant: v1, variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: 9001}]}]}
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: all}
spec: {services: [shop], principals: ["*", "spiffe://b.test/nobody"], methods: [${methods}]}
`,
			);
		const { stdout } = await weir(["policy", "diff", await of("old.yaml", "GET"), await of("new.yaml", "GET, POST")]);
		return stdout.toString();
	};
	t.match(await told(""), /^ {2}POST \/ {2}a principal that no rule names {2}/m);
	const some = await told(", trustDomains: [b.test]");
	t.match(some, /^ {2}POST \/ {2}a principal of b\.test that no rule names {2}/m);
	t.match(some, /^ {2}POST \/ {2}spiffe:\/\/b\.test\/nobody {2}/m, "whom one names is told by the name");
	t.notMatch(some, / a principal that no rule names/);
});

t.test("diff tells of limits and of where data may go", async (t) => {
	const directory = await temporaryDirectory(t);
	const placed = RESOURCES.replace(
		"hosts: [shop.test]",
		"hosts: [shop.test]\n  identities: plaintext\n  dataClass: personal\n  rateLimits: {service: {requests: 100, per: 1s}}",
	).replace(
		"port: 9001}",
		"port: 9001, locality: {region: eu}}, {address: 10.9.0.1, port: 9001, locality: {region: us}}",
	);
	const text = `${placed}---\napiVersion: weir.dev/v1alpha1\nkind: DataClass\nmetadata: {name: personal}\nspec: {regions: [eu]}\n`;
	const before = await fileOf(directory, "old.yaml", text);
	const cases: Readonly<Record<string, string>> = {
		"Service shop, limit of all requests: 100 in 1s → none": text.replace(/ {2}rateLimits:.*\n/, ""),
		"Service shop, limit of all requests: 100 in 1s → 9000 in 1m": text.replace("100, per: 1s", "9000, per: 1m"),
		"DataClass personal, regions: also us": text.replace("regions: [eu]", "regions: [eu, us]"),
		"Service shop, DataClass: personal, eu → none, any region": text.replace("  dataClass: personal\n", ""),
		"Service shop, region of endpoint 10.9.0.1:9001: us → eu": text.replace("region: us", "region: eu"),
	};
	for (const [told, changed] of Object.entries(cases)) {
		const { code, stdout } = await weir(["policy", "diff", before, await fileOf(directory, "new.yaml", changed)]);
		t.equal(code, 1, told);
		t.equal(
			stdout.toString().split(" requests compared")[0]?.replace(/\d+$/, ""),
			`changed: ${told}\n0 newly allowed, 0 newly denied of `,
		);
	}
	t.equal((await weir(["policy", "diff", before, before])).code, 0);
});

t.test("who has read enough ends a command quietly, and not with success", async (t) => {
	const child = spawn(process.execPath, [MAIN, "schema"], { stdio: ["ignore", "pipe", "pipe"] });
	child.stdout.destroy();
	let stderr = "";
	child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
		stderr += chunk;
	});
	const [code] = await once(child, "close");
	t.equal(stderr, "");
	t.equal(code, 141);
});
