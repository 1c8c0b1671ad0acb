/** `weir policy test` with several Gateways: a case is judged at each Gateway that its request can use. */
import t from "tap";
import { fileOf, temporaryDirectory, weir } from "../command.js";

const HEAD = "apiVersion: weir.dev/v1alpha1\n";
const gateway = (name: string, spec: string): string =>
	`${HEAD}kind: Gateway\nmetadata: {name: ${name}}\nspec:\n  port: 8443\n${spec}`;
const ISSUER = "https://id.test";
const TOKENS = `  tokens: [{issuer: "${ISSUER}", audiences: [weir], jwksUrl: "${ISSUER}/jwks"}]\n`;
const TLS = "  tls: {certificateFile: /etc/weir/c.pem, privateKeyFile: /etc/weir/k.pem}\n";
const MESH = "  tls: {identity: mesh}\n";
/** Accepts callers of its own trust domain only. */
const OWN = TLS.replace("}", ", clientCaFile: /etc/weir/ca.pem, trustDomains: [a.test]}");
const INNER = gateway("inner", `  region: eu\n${MESH}`);
const OUTER = gateway("outer", `  region: us\n${TLS}${TOKENS}`);
const SERVICE = `${HEAD}kind: Service\nmetadata: {name: s}\nspec:\n  hosts: [s.test]\n  defaultVariant: v1\n  variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: 9001}]}]\n`;
const policy = (spec: string): string =>
	`${HEAD}kind: AccessPolicy\nmetadata: {name: p}\nspec: {services: [s], ${spec}}\n`;
const WEB = "spiffe://a.test/web";
const CLERKS = policy(`principals: ["${WEB}"], users: ["${ISSUER}#*"]`);

t.test("a case that names no Gateway must hold at each Gateway that its request can use", async (t) => {
	const directory = await temporaryDirectory(t);
	const tested = async (documents: readonly string[], request: string, expect: string) => {
		const resources = await fileOf(directory, "r.yaml", documents.join("---\n"));
		const cases = `tests:\n  - {name: a, request: {service: s${request}}, expect: ${expect}}\n`;
		const table = await fileOf(directory, "t.yaml", cases);
		const { code, stdout, stderr } = await weir(["policy", "test", "-f", resources, "-t", table]);
		return `${code} ${(stderr.split("\n")[0] ?? "").replace(/^.*t\.yaml/, "t.yaml")}${stdout.toString().split("t.yaml:2:5: ").at(-1)}`;
	};
	const token = `, token: {iss: "${ISSUER}", sub: ann}`;
	const principal = `, principal: "${WEB}"`;
	const passed = "0 1 passed, 0 failed\n";
	const failed = (why: string): string => `1 FAIL a: expected ${why}\n0 passed, 1 failed\n`;

	const two = [INNER, OUTER, SERVICE, CLERKS];
	t.equal(
		await tested(two, principal + token, "allow"),
		failed("allow, is deny (invalid-token)"),
		"clients with a certificate use inner, which verifies no token",
	);
	for (const [way, reason] of [
		[`, gateway: inner${principal}${token}`, "invalid-token"],
		[principal + token, "invalid-token"],
		[`, gateway: outer${token}`, "no-policy-allows"],
		[token, "no-policy-allows"],
	] as const)
		t.equal(await tested(two, way, `{verdict: deny, reason: ${reason}}`), passed, way);

	const [web, anyone] = [policy(`principals: ["${WEB}"]`), policy("principals: [anyone]")];
	t.equal(await tested([INNER, OUTER, SERVICE, web], principal, "allow"), passed, "outer knows no principal");
	t.equal(await tested([INNER, OUTER, SERVICE, anyone], "", "allow"), passed);

	const both = [INNER, gateway("second", `${MESH}${TOKENS}`), SERVICE, CLERKS];
	t.equal(
		await tested(both, principal + token, "allow"),
		failed("allow, is deny (invalid-token) at Gateway inner; name gateway: where verdicts differ"),
	);
	t.equal(
		await tested(both, principal + token, "deny"),
		failed("deny, is allow (allowed by policy p) at Gateway second; name gateway: where verdicts differ"),
	);
	t.equal(await tested(both, `, gateway: second${principal}${token}`, "allow"), passed);

	const regional = [
		INNER,
		gateway("second", `  region: us\n${MESH}`),
		SERVICE,
		policy(`principals: ["${WEB}"], regions: [eu]`),
	];
	t.equal(await tested(regional, `, region: eu${principal}`, "allow"), passed, "inner alone is there");
	t.equal(await tested(regional, `, region: us${principal}`, "deny"), passed);
	t.match(await tested(regional, principal, "allow"), /^1 FAIL a: .* at Gateway second;/);
});

t.test("a request that can use no Gateway is an error, whatever is expected of it", async (t) => {
	const directory = await temporaryDirectory(t);
	const tested = async (documents: readonly string[], request: string, expect: string) => {
		const resources = await fileOf(directory, "r.yaml", documents.join("---\n"));
		const table = await fileOf(
			directory,
			"t.yaml",
			`tests:\n  - name: a\n    request: {service: s${request}}\n    expect: ${expect}\n`,
		);
		const { code, stdout, stderr } = await weir(["policy", "test", "-f", resources, "-t", table]);
		return `${code} ${(stderr.split("\n")[0] ?? "").replace(/^.*t\.yaml/, "t.yaml")}${stdout}`;
	};
	const anyone = policy("principals: [anyone]");
	const two = [INNER, OUTER, SERVICE, anyone];
	const principal = `, principal: "${WEB}"`;
	const refused = (...why: string[]) => `1 t.yaml:2:5: no Gateway accepts this client; ${why.join("; ")}`;
	const without = "Gateway inner demands client certificates: add principal: to the request";
	const unknown = "Gateway outer demands no client certificates: remove principal: from the request";
	const own = gateway("own", OWN);
	const other = `, principal: "spiffe://b.test/web"`;
	for (const expect of ["allow", "deny"])
		t.equal(await tested(two, ", gateway: inner", expect), refused(without), expect);
	for (const [documents, request, why] of [
		[two, ", region: eu", [without, 'Gateway outer is not in region "eu"']],
		[two, `, region: us${principal}`, ['Gateway inner is not in region "us"', unknown]],
		[[own, SERVICE, anyone], other, ["Gateway own accepts only principals of a.test"]],
	] as const)
		t.equal(await tested(documents, request, "deny"), refused(...why), request);
	t.equal(await tested([own, INNER, SERVICE, anyone], other, "allow"), "0 1 passed, 0 failed\n", "inner accepts any");
	t.equal(await tested([own, SERVICE, anyone], principal, "allow"), "0 1 passed, 0 failed\n");
	const behind = gateway("behind", `${OWN}  trustedProxies: ["spiffe://a.test/proxy"]\n`);
	t.equal(
		await tested([behind, SERVICE, anyone], `${other}, via: "spiffe://a.test/proxy"`, "deny"),
		"0 1 passed, 0 failed\n",
		"its client connects to the proxy",
	);
	t.equal(await tested([SERVICE, anyone], "", "allow"), "0 1 passed, 0 failed\n", "no Gateway is declared");
});
