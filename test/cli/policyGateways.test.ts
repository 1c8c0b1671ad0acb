/** `weir policy test` where several Gateways serve: a case is judged at each that its request can come through. */
import t from "tap";
import { fileOf, temporaryDirectory, weir } from "./command.js";

const HEAD = "apiVersion: weir.dev/v1alpha1\n";
const gateway = (name: string, spec: string): string =>
	`${HEAD}kind: Gateway\nmetadata: {name: ${name}}\nspec:\n  port: 8443\n${spec}`;
const ISSUER = "https://id.test";
const TOKENS = `  tokens: [{issuer: "${ISSUER}", audiences: [weir], jwksUrl: "${ISSUER}/jwks"}]\n`;
const TLS = "  tls: {certificateFile: /etc/weir/c.pem, privateKeyFile: /etc/weir/k.pem}\n";
const MESH = "  tls: {identity: mesh}\n";
/** Callers of its own trust domain alone. */
const OWN = TLS.replace("}", ", clientCaFile: /etc/weir/ca.pem, trustDomains: [a.test]}");
const INNER = gateway("inner", `  region: eu\n${MESH}`);
const OUTER = gateway("outer", `  region: us\n${TLS}${TOKENS}`);
const SERVICE = `${HEAD}kind: Service\nmetadata: {name: s}\nspec:\n  hosts: [s.test]\n  defaultVariant: v1\n  variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: 9001}]}]\n`;
const policy = (spec: string): string =>
	`${HEAD}kind: AccessPolicy\nmetadata: {name: p}\nspec: {services: [s], ${spec}}\n`;
const WEB = "spiffe://a.test/web";
const CLERKS = policy(`principals: ["${WEB}"], users: ["${ISSUER}#*"]`);

t.test("a case that names no Gateway holds at each that its request can come through", async (t) => {
	const directory = await temporaryDirectory(t);
	const told = async (documents: readonly string[], request: string, expect: string) => {
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
		await told(two, principal + token, "allow"),
		failed("allow, is deny (invalid-token)"),
		"who shows a certificate comes through inner, which knows no token",
	);
	for (const [way, reason] of [
		[`, gateway: inner${principal}${token}`, "invalid-token"],
		[principal + token, "invalid-token"],
		[`, gateway: outer${token}`, "no-policy-allows"],
		[token, "no-policy-allows"],
	] as const)
		t.equal(await told(two, way, `{verdict: deny, reason: ${reason}}`), passed, way);

	const [web, anyone] = [policy(`principals: ["${WEB}"]`), policy("principals: [anyone]")];
	t.equal(await told([INNER, OUTER, SERVICE, web], principal, "allow"), passed, "outer knows no principal");
	t.equal(await told([INNER, OUTER, SERVICE, anyone], "", "allow"), passed);

	const both = [INNER, gateway("second", `${MESH}${TOKENS}`), SERVICE, CLERKS];
	t.equal(
		await told(both, principal + token, "allow"),
		failed("allow, is deny (invalid-token) at Gateway inner; name gateway: where verdicts differ"),
	);
	t.equal(
		await told(both, principal + token, "deny"),
		failed("deny, is allow (allowed by policy p) at Gateway second; name gateway: where verdicts differ"),
	);
	t.equal(await told(both, `, gateway: second${principal}${token}`, "allow"), passed);

	const regional = [
		INNER,
		gateway("second", `  region: us\n${MESH}`),
		SERVICE,
		policy(`principals: ["${WEB}"], regions: [eu]`),
	];
	t.equal(await told(regional, `, region: eu${principal}`, "allow"), passed, "inner alone is there");
	t.equal(await told(regional, `, region: us${principal}`, "deny"), passed);
	t.match(await told(regional, principal, "allow"), /^1 FAIL a: .* at Gateway second;/);
});

t.test("a request that comes through no Gateway is none, whatever is expected of it", async (t) => {
	const directory = await temporaryDirectory(t);
	const told = async (documents: readonly string[], request: string, expect: string) => {
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
	const without = "so that a caller without one does not get there; add principal: to the request";
	for (const expect of ["allow", "deny"])
		t.equal(
			await told(two, ", gateway: inner", expect),
			`1 t.yaml:3:14: Gateway inner demands client certificates, ${without}, or name a Gateway that demands none: outer`,
		);
	for (const [documents, request, why] of [
		[[INNER, SERVICE, anyone], "", `14: Gateway inner demands client certificates, ${without}`],
		[[INNER, gateway("second", MESH), SERVICE, anyone], "", `14: each Gateway demands client certificates, ${without}`],
		[two, ", region: eu", `14: each Gateway in region "eu" demands client certificates, ${without}`],
		[
			two,
			`, region: us${principal}`,
			'50: no Gateway in region "us" demands client certificates, so that a caller\'s principal cannot be known; remove principal: from the request',
		],
		[
			two,
			`, gateway: inner, region: us${principal}`,
			'51: Gateway inner is not in region "us"; remove region: from the request',
		],
	] as const)
		t.equal(await told(documents, request, "allow"), `1 t.yaml:3:${why}`);

	const own = gateway("own", OWN);
	const other = `, principal: "spiffe://b.test/web"`;
	const cannot = "the trust domain of spiffe://b.test/web, so that it cannot connect; write a principal of a.test";
	for (const expect of ["allow", "deny"])
		t.equal(await told([own, SERVICE, anyone], other, expect), `1 t.yaml:3:38: Gateway own does not take ${cannot}`);
	t.equal(
		await told([own, gateway("more", OWN), SERVICE, anyone], other, "allow"),
		`1 t.yaml:3:38: no Gateway takes ${cannot}`,
	);
	t.equal(
		await told([own, INNER, SERVICE, anyone], `, gateway: own${other}`, "allow"),
		`1 t.yaml:3:52: Gateway own does not take ${cannot}, or name a Gateway that takes it: inner`,
	);
	t.equal(await told([own, INNER, SERVICE, anyone], other, "allow"), "0 1 passed, 0 failed\n", "inner's is the mesh's");
	t.equal(await told([own, SERVICE, anyone], principal, "allow"), "0 1 passed, 0 failed\n");
	const behind = gateway("behind", `${OWN}  trustedProxies: ["spiffe://a.test/proxy"]\n`);
	t.equal(
		await told([behind, SERVICE, anyone], `${other}, via: "spiffe://a.test/proxy"`, "deny"),
		"0 1 passed, 0 failed\n",
		"whom a proxy names connects to the proxy, and is nobody to its Gateway",
	);
	t.match(
		await told([gateway("far", `  region: eu\n${OWN}`), OUTER, SERVICE, anyone], `, region: us${other}`, "allow"),
		/no Gateway in region "us" demands client certificates/,
		"what the other region takes is no matter",
	);
	t.equal(await told([SERVICE, anyone], "", "allow"), "0 1 passed, 0 failed\n", "of no Gateway nothing is known");
});
