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
			/t\.yaml:3:30: unknown field tests\[0\]\.request\.metod; .*method/,
		],
		[
			"tests:\n  - name: a\n    request: {service: shop, principal: web}\n    expect: allow\n",
			/t\.yaml:3:41: tests\[0\]\.request\.principal does not begin with spiffe/,
		],
		[
			"tests:\n  - name: a\n    request: {service: shop}\n    expect: maybe\n",
			/t\.yaml:4:13: tests\[0\]\.expect is "maybe"; write allow, deny/,
		],
		[
			"tests:\n  - name: a\n    request: {service: shop}\n    expect: {verdict: deny, reason: tired}\n",
			/expect\.reason is "tired"; write open, allowed/,
		],
		[
			"tests:\n  - name: a\n    request: {}\n    expect: allow\n",
			/request is for no one Service; write either service: NAME or host/,
		],
		[
			"tests:\n  - name: a\n    request: {service: shop, path: v2, time: noon, method: get, token: [1]}\n    expect: allow\n",
			/token is a list of 1; write its claims[\s\S]*method is "get"[\s\S]*path is "v2"; write a path that begins[\s\S]*time is "noon"; write an RFC 3339/,
		],
		["tests: []\n", /tests is an empty list; write a list of 1 to 10000 cases/],
		["", /t\.yaml:1:1: the file holds nothing; write tests: with a list/],
		["tests:\n  - name: a\n    request: {service: shop}\n    expect: allow\n    expect: deny\n", /written twice/],
	];
	cases.push(
		...["/v2//x", "/v2/%2E./admin?a=1", "/%70ublic/x", "/a/%7e", "/a\\\\b", "/a|b", "/a/.."].map(
			(path) =>
				[
					tableOf(`{service: shop, path: "${path}"}`),
					/t\.yaml:3:\d+: tests\[0\]\.request\.path is a path that Envoy changes before any rule reads it/,
				] as const,
		),
		[
			tableOf('{service: shop, time: "2026-02-30T12:00:00Z"}'),
			/request\.time is "2026-02-30T12:00:00Z"; write an RFC 3339 time/,
		],
		[tableOf("{service: shopp}"), /t\.yaml:2:5: there is no service "shopp"; declared are shop, plain, free/],
		[
			tableOf("{host: shopp.test}"),
			/t\.yaml:2:5: there is no host "shopp\.test"; declared are shop\.test, plain\.test, \*\.plain\.test, free\.test\n/,
		],
		[tableOf("{host: shop}"), /t\.yaml:2:5: there is no host "shop"; declared are/],
		[tableOf("{service: shop.test}"), /t\.yaml:2:5: there is no service "shop\.test"; declared are shop, plain, free/],
		[tableOf("{service: shop, gateway: egde}"), /t\.yaml:2:5: there is no gateway "egde"; declared are edge/],
		[tableOf("{service: shop, region: ue}"), /t\.yaml:2:5: there is no region "ue"; declared are eu/],
		[tableOf("{service: shop, variant: v11}"), /t\.yaml:2:5: there is no variant "v11"; declared are v1/],
		[
			tableOf("{host: no.test, gateway: egde}", "{verdict: deny, reason: unknown-service}"),
			/there is no gateway "egde"/,
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
	t.match(stderr, /the verdict of "staff" depends on the time; add time:/);
	t.notMatch(stderr, /"web reads" depends/);
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
			/^t\.yaml:2:5: no Gateway accepts this client; Gateway behind does not trust the proxy spiffe:\/\/a\.test\/other; Gateway edge does not trust/,
		],
		[
			`${WEB}, gateway: edge, via: spiffe://a.test/proxy`,
			/^t\.yaml:2:5: no Gateway accepts this client; Gateway edge does not trust the proxy spiffe:\/\/a\.test\/proxy\n$/,
		],
		["via: spiffe://a.test/proxy", /names a proxy and no client; add principal: to the request\n$/],
		[`${WEB}, via: proxy`, /^t\.yaml:3:68: tests\[0\]\.request\.via does not begin with spiffe:\/\//],
		[`${WEB}, proxy: spiffe://a.test/proxy`, /^t\.yaml:3:63: unknown field .*proxy; .*via/],
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
		/^0 newly allowed, 0 newly denied of \d+ requests compared .*\nthese requests are examples, not a proof: the verdict on others may change too\n$/,
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
	t.match(text, /logged requests left out: 1, their Service's rules read tokens/);
	t.match(text, /logged requests left out: 1, their path is masked or cut in the log/);
	t.match(text, /logged requests left out: 1, the log does not hold their method/);
	const faulty = await fileOf(directory, "faulty.ndjson", `\n${JSON.stringify({ kind: "denied" })}\n\n17\n`);
	const refused = await weir(["policy", "diff", before, after, "--log", faulty]);
	t.match(refused, { code: 64, stderr: /faulty\.ndjson:4: not a JSON record/ });
	const json = JSON.parse((await weir(["policy", "diff", before, after, "--json"])).stdout.toString());
	t.ok(json.newlyAllowed > 0 && json.newlyDenied > 0);
});

t.test("diff reports that requests are examples, and which it skipped", async (t) => {
	const directory = await temporaryDirectory(t);
	const seniors =
		'---\napiVersion: weir.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: seniors}\nspec: {services: [shop], principals: [anyone], condition: "user.claims.level > 3"}\n';
	const before = await fileOf(directory, "old.yaml", RESOURCES + seniors);
	const after = await fileOf(directory, "new.yaml", RESOURCES);
	const { code, stdout } = await weir(["policy", "diff", before, after]);
	t.match(stdout.toString(), /^0 newly allowed, 0 newly denied of .*\nthese requests are examples, not a proof: /);
	t.match(stdout.toString(), /^of conditions in CEL only the literal texts were tried: seniors$/m);
	t.equal(code, 0);
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
