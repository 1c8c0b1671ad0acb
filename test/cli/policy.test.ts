/** `weir policy test` and `weir policy diff` as a user's CI runs them. */
import t from "tap";
import { fileOf, temporaryDirectory, weir } from "./command.js";

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
    request: {service: shop, principal: spiffe://a.test/web, path: "/v2?x=1"}
    expect: {verdict: allow, policy: web}
  - name: web does not write
    request: {host: shop.test, principal: spiffe://a.test/web, method: POST, path: /v2}
    expect: {verdict: deny, reason: no-policy-allows, policy: null}
  - name: staff may all but admin
    request: {service: shop, method: POST, path: /admin/x, token: {iss: https://issuer.test, sub: ann, groups: [staff]}}
    expect: {verdict: deny, reason: forbidden, policy: no-admin}
  - name: staff
    request: {service: shop, method: POST, path: /v2, token: {iss: https://issuer.test, sub: ann, groups: [staff]}}
    expect: allow
  - name: of an issuer that nobody trusts
    request: {service: shop, principal: spiffe://a.test/web, token: {iss: https://evil.test, sub: ann, groups: [staff]}}
    expect: {verdict: deny, reason: invalid-token}
  - name: a token that does not hold
    request: {service: shop, principal: spiffe://a.test/web, token: invalid}
    expect: {verdict: deny, reason: invalid-token}
  - name: ambiguous
    request: {service: shop, principal: spiffe://a.test/web, path: "/v2;x"}
    expect: {verdict: deny, reason: not-canonical}
  - name: nobody's host
    request: {host: other.test}
    expect: {verdict: deny, reason: unknown-service}
`;

t.test("a table that holds, and one that does not", async (t) => {
	const directory = await temporaryDirectory(t);
	const resources = await fileOf(directory, "resources.yaml", RESOURCES);
	const table = await fileOf(directory, "table.yaml", TABLE);
	const good = await weir(["policy", "test", "-f", resources, "-t", table]);
	t.equal(good.stderr, "");
	t.equal(good.stdout.toString(), "8 passed, 0 failed\n");
	t.equal(good.code, 0);
	const wrong = await fileOf(
		directory,
		"wrong.yaml",
		TABLE.replace("expect: {verdict: allow, policy: web}", "expect: {verdict: deny, reason: forbidden}"),
	);
	const bad = await weir(["policy", "test", "-f", resources, "-t", table, "-t", wrong]);
	t.equal(bad.code, 1);
	t.match(
		bad.stdout.toString(),
		/wrong\.yaml:2:5: FAIL web reads: expected deny \(forbidden\), is allow \(allowed by policy web\)\n15 passed, 1 failed/,
	);
});

t.test("a table with faults fails as a whole, each with its place", async (t) => {
	const directory = await temporaryDirectory(t);
	const resources = await fileOf(directory, "resources.yaml", RESOURCES);
	const cases: readonly (readonly [string, RegExp])[] = [
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
		["tests:\n  - name: a\n    request: {service: shop}\n    expect: allow\n    expect: deny\n", /written twice/],
	];
	for (const [text, problem] of cases) {
		const table = await fileOf(directory, "t.yaml", text);
		const { code, stderr, stdout } = await weir(["policy", "test", "-f", resources, "-t", table]);
		t.equal(code, 1, text);
		t.match(stderr, problem);
		t.equal(stdout.toString(), "");
	}
	const timed = await fileOf(
		directory,
		"timed.yaml",
		RESOURCES.replace("  groups: [staff]", "  groups: [staff]\n  validUntil: 2027-01-01T00:00:00Z"),
	);
	const table = await fileOf(directory, "table.yaml", TABLE);
	t.match((await weir(["policy", "test", "-f", timed, "-t", table])).stderr, /depends on the time; add time:/);
});

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
	t.match(same.stdout.toString(), /^0 newly allowed, 0 newly denied of \d+ requests compared/);
	const log = await fileOf(
		directory,
		"log.ndjson",
		`${JSON.stringify({ kind: "allowed", service: "shop", method: "GET", path: "/internal/x", principal: "spiffe://a.test/web", gateway: "edge", variant: "v1", atMs: 0 })}\n`,
	);
	const { code, stdout } = await weir(["policy", "diff", before, after, "--log", log]);
	const text = stdout.toString();
	t.equal(code, 1);
	t.match(text, /NEWLY ALLOWED {2}shop: deny \(no-policy-allows\) → allow \(allowed by policy web\)/);
	t.match(
		text,
		/NEWLY DENIED {2}shop: allow \(allowed by policy (web|staff)\) → deny \(forbidden by policy no-admin\)/,
	);
	t.match(text, /1 logged requests were left out: their Service reads tokens/);
	const json = JSON.parse((await weir(["policy", "diff", before, after, "--json"])).stdout.toString());
	t.ok(json.newlyAllowed > 0 && json.newlyDenied > 0);
});
