/** `weir policy test` and `weir policy diff` as a user's CI runs them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import t from "tap";
import { golden, onFiles, transcript } from "../../golden/golden.js";
import { fileOf, MAIN, temporaryDirectory, weir } from "../command.js";

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
  - name: of an issuer that is not trusted
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
  - name: a host of no Service
    request: {principal: spiffe://a.test/app, host: other.test}
    expect: {verdict: deny, reason: unknown-service}
`;

/** `weir policy test` of all tables at once. @returns its output, `N-t.yaml` being the name of table N */
async function tested(directory: string, resources: string, tables: readonly string[]) {
	const files = await Promise.all(tables.map((text, index) => fileOf(directory, `${index}-t.yaml`, text)));
	const { code, stdout, stderr } = await weir([
		...["policy", "test", "-f", resources, ...files.flatMap((file) => ["-t", file])],
	]);
	return { code, stdout: stdout.toString(), stderr: stderr.replaceAll(`${directory}/`, "") };
}

const tableOf = (request: string, expect = "deny"): string =>
	`tests:\n  - name: a\n    request: ${request}\n    expect: ${expect}\n`;

/** Tables with one fault each. */
const FAULTY: readonly string[] = [
	tableOf("{service: shop, metod: GET}"),
	tableOf("{service: shop, principal: web}"),
	tableOf("{service: shop}", "maybe"),
	tableOf("{service: shop}", "{verdict: deny, reason: tired}"),
	tableOf("{}"),
	tableOf("{service: shop, path: v2, time: noon, method: get, token: [1]}"),
	"tests: []\n",
	"",
	`${tableOf("{service: shop}")}    expect: allow\n`,
	...["/v2//x", "/v2/%2E./admin?a=1", "/%70ublic/x", "/a/%7e", "/a\\\\b", "/a|b", "/a/.."].map((path) =>
		tableOf(`{service: shop, path: "${path}"}`),
	),
	tableOf('{service: shop, time: "2026-02-30T12:00:00Z"}'),
	...["service: shopp", "host: shopp.test", "host: shop", "service: shop.test"].map((place) => tableOf(`{${place}}`)),
	...["gateway: egde", "region: ue", "variant: v11"].map((place) => tableOf(`{service: shop, ${place}}`)),
	tableOf("{host: no.test, gateway: egde}", "{verdict: deny, reason: unknown-service}"),
];

t.test("policy test passes a correct table, and reports faults and other verdicts", async (t) => {
	const directory = await temporaryDirectory(t);
	const resources = await fileOf(directory, "resources.yaml", RESOURCES);
	const table = await fileOf(directory, "table.yaml", TABLE);
	const wrong = await fileOf(
		directory,
		"wrong.yaml",
		TABLE.replace("expect: {verdict: allow, policy: web}", "expect: {verdict: deny, reason: forbidden}"),
	);
	const timed = await fileOf(
		directory,
		"timed.yaml",
		RESOURCES.replace("  groups: [staff]", "  groups: [staff]\n  validUntil: 2027-01-01T00:00:00Z"),
	);
	const text = await transcript(
		onFiles,
		`policy test -f ${resources} -t ${table}`,
		`policy test -f ${resources}`,
		`policy test -f ${resources} -t ${table} -t ${wrong}`,
		`policy test -f ${timed} -t ${table}`,
	);
	const faults = await tested(directory, resources, FAULTY);
	t.same([faults.code, faults.stdout], [1, ""]);
	for (const [at] of FAULTY.entries()) t.match(faults.stderr, new RegExp(`^${at}-t\\.yaml:\\d+:\\d+: `, "m"));
	await golden(t, "policy-test", text + faults.stderr);
});

t.test("policy test judges a case at a host by the Service that has the host, not by one of that name", async (t) => {
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

t.test("policy test judges a request that a trusted proxy forwards", async (t) => {
	const directory = await temporaryDirectory(t);
	const behind = `apiVersion: weir.dev/v1alpha1\nkind: Gateway\nmetadata: {name: behind}\nspec: {port: 8443, tls: {identity: mesh}, trustedProxies: [spiffe://a.test/proxy]}\n---\n`;
	const resources = await fileOf(directory, "resources.yaml", behind + RESOURCES);
	const table = (request: string, expect?: string): string => tableOf(`{service: plain, ${request}}`, expect);
	const WEB = "principal: spiffe://a.test/web";
	const good = await tested(directory, resources, [
		table(`${WEB}, via: spiffe://a.test/proxy`, "{verdict: allow, policy: plain-web}"),
		// No identity.
		table("principal: spiffe://a.test/proxy, gateway: behind", "{verdict: deny, reason: not-canonical}"),
	]);
	t.match(good, { code: 0, stdout: "2 passed, 0 failed\n" });
	const bad = [
		`${WEB}, via: spiffe://a.test/other`,
		`${WEB}, gateway: edge, via: spiffe://a.test/proxy`,
		"via: spiffe://a.test/proxy",
		`${WEB}, via: proxy`,
		`${WEB}, proxy: spiffe://a.test/proxy`,
	];
	for (const request of bad)
		t.match(await tested(directory, resources, [table(request)]), { code: 1, stdout: "", stderr: /^0-t\.yaml:[23]:/ });
});

const WEB_AT_EDGE = { principal: "spiffe://a.test/web", gateway: "edge", variant: "v1", atMs: 0 };

t.test(
	"policy diff prints newly allowed and denied requests, which it skipped, and that they are examples",
	async (t) => {
		const directory = await temporaryDirectory(t);
		const before = await fileOf(directory, "old.yaml", RESOURCES);
		const after = await fileOf(
			directory,
			"new.yaml",
			RESOURCES.replace("methods: [GET]", "methods: [GET, POST]").replace("[/admin]", "[/admin, /internal]"),
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
		const faulty = await fileOf(directory, "faulty.ndjson", `\n${JSON.stringify({ kind: "denied" })}\n\n17\n`);
		const seniors =
			'---\napiVersion: weir.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: seniors}\nspec: {services: [shop], principals: [anyone], condition: "user.claims.level > 3"}\n';
		const conditional = await fileOf(directory, "conditional.yaml", RESOURCES + seniors);
		const text = await transcript(
			onFiles,
			`policy diff ${before} ${before}`,
			`policy diff ${before} ${after} --log ${log}`,
			`policy diff ${before} ${after} --log ${faulty}`,
			`policy diff ${conditional} ${before}`,
		);
		await golden(t, "policy-diff", text);
		const json = JSON.parse((await weir(["policy", "diff", before, after, "--json"])).stdout.toString());
		t.ok(json.newlyAllowed > 0 && json.newlyDenied > 0);
	},
);

t.test("a command whose output is no longer read ends silently, without success", async (t) => {
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
