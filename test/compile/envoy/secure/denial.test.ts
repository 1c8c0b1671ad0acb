/** Texts of Envoy's own denials: the map from details, and the response of a real Envoy. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { PROBE_PATH } from "../../../../src/compile/access/requests/canonical.js";
import { compile, NO_COLLECTORS } from "../../../../src/compile/compile.js";
import { denialOf } from "../../../../src/compile/envoy/denial.js";
import { denialReplies } from "../../../../src/compile/envoy/localReplies.js";
import { EMPTY_STATUS } from "../../../../src/decide/rollout/status.js";
import type { Rate } from "../../../../src/declare/resources/resource.js";
import { bootstrapOf, startEnvoy } from "../../../envoy/harness.js";
import { alone, rawGet, type Target } from "../../../envoy/pipeline.js";
import { startVariantServer } from "../../../envoy/variantServer.js";
import { accessPolicy, gateway, resourceSet, service, tokenIssuer, variant } from "../../../fixtures/resources.js";
import { mutualTls } from "../../access/mutualTls.js";
import { AUDIENCE, createMinter, ISSUER, OTHER_ISSUER } from "./tokens.js";

t.test("response code details map to reasons", async (t) => {
	const rbac = (rule: string) => `rbac_access_denied_matched_policy[${rule}]`;
	for (const [details, reason, policy] of [
		[rbac("none"), "no-policy-allows", null],
		[rbac("none(policy)"), "forbidden", "none"],
		[rbac("none-of-it"), "forbidden", "none-of-it"],
		[rbac("no-deletes"), "forbidden", "no-deletes"],
		[rbac("prod/no-deletes"), "forbidden", "prod/no-deletes"],
		[rbac("(not_canonical)"), "not-canonical", null],
		[rbac("(not_canonical,_DPoP)"), "not-canonical", null],
		[rbac("(no_single_identity)"), "no-single-identity", null],
		[rbac("(invalid_token)"), "invalid-token", null],
		[rbac("(invalid_token,_times_0)"), "invalid-token", null],
		[rbac("(unanswered)"), "unanswered", null],
		[rbac("(loop)"), "loop-detected", null],
		[rbac("(unknown)"), "forbidden", null],
		["jwt_authn_access_denied{Jwt_is_expired}", "invalid-token", null],
		["local_rate_limited", "rate-limited", null],
		["upgrade_failed", "upgrade-refused", null],
	] as const)
		t.same(denialOf(details), { reason, policy }, details);
	for (const details of ["via_upstream", "", "ext_authz_denied", "route_not_found", "path_normalization_failed"])
		t.equal(denialOf(details), null, details);
});

t.test("the response text is that of the first matching details", async (t) => {
	const begins = (text: string) => `response.code_details.startsWith('${text}')`;
	const rule = (name: string) => begins(`rbac_access_denied_matched_policy[(${name}`);
	const told = [
		["invalid-token", 401, `${begins("jwt_authn_access_denied")} || ${rule("invalid_token")}`],
		["rate-limited", 429, "response.code_details == 'local_rate_limited'"],
		["upgrade-refused", 403, "response.code_details == 'upgrade_failed'"],
		["loop-detected", 508, rule("loop")],
		["not-canonical", 403, rule("not_canonical")],
		["no-single-identity", 403, rule("no_single_identity")],
		["no-policy-allows", 403, "response.code_details == 'rbac_access_denied_matched_policy[none]'"],
		["forbidden", 403, `${begins("rbac_access_denied_matched_policy[")} && !${rule("unanswered")}`],
	] as const;
	const challenge = {
		header: { key: "www-authenticate", value: 'Bearer error="invalid_token"' },
		append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
	};
	t.same(
		denialReplies(),
		told.map(([reason, status_code, expression]) => ({
			filter: {
				extension_filter: {
					name: reason,
					typed_config: {
						"@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
						expression,
					},
				},
			},
			status_code,
			body: { inline_string: `access denied: ${reason}\n` },
			...(reason === "invalid-token" ? { headers_to_add: [challenge] } : {}),
		})),
	);
});

/** No test lasts so long that a token comes back. */
const only = (requests: number): Rate => ({ requests, perMs: 3_600_000 });
const NONE = { service: null, principal: null, tenant: null };
const LIMITED = "429 access denied: rate-limited\n";

t.test("rate limits apply per Service, principal and tenant, before and after tokens", async (t) => {
	const directory = await mkdtemp(join(tmpdir(), "weir-limits-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const minter = createMinter(Date.now());
	const jwksFile = join(directory, "jwks.json");
	await writeFile(jwksFile, JSON.stringify(minter.jwks));
	const tls = await mutualTls(t);
	const upstream = await startVariantServer("v1", (socket) =>
		socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
	);
	t.teardown(() => upstream.close());
	const limited = (name: string, rateLimits: object, access: "open" | null = "open") =>
		service(name, [variant("v1", upstream.port)], { access, rateLimits: { ...NONE, ...rateLimits } });
	const other = { ...tokenIssuer(OTHER_ISSUER, [], jwksFile), tenantClaim: "org.tenant" };
	const words = { ...tokenIssuer("https://words.test", [], jwksFile), tenantClaim: "scope" };
	const plan = compile(
		resourceSet({
			gateways: [
				gateway({ tls: tls.gateway, tokens: [tokenIssuer(ISSUER, [AUDIENCE], jwksFile), other, words] }, "edge"),
				gateway({}, "plain"),
			],
			services: [
				limited("whole", { service: only(3) }),
				limited("each", { principal: only(2) }),
				limited("tenants", { tenant: only(2) }, null),
				limited("all", { service: only(5), principal: { requests: 3, perMs: 7_777 }, tenant: only(2) }, null),
				limited("few", { service: only(1), principal: only(1) }, null),
				limited("brisk", { service: { requests: 1, perMs: 1_000 } }, null),
				limited("free", {}),
			],
			accessPolicies: [
				accessPolicy("users", "allow", ["tenants", "all", "few", "brisk"], {
					claims: [{ claim: "sub", values: ["ann"] }],
				}),
			],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	const envoy = await startEnvoy(t, bootstrapOf(plan));
	const alice = await tls.client(envoy.port("edge"), "alice");
	const again = await tls.client(envoy.port("edge"), "alice");
	const bob = await tls.client(envoy.port("edge"), "bob");
	const plain = envoy.port("plain");
	const ask = async (target: Target, host: string, token?: string): Promise<string> => {
		const lines = token === undefined ? [] : [Buffer.from(`authorization: Bearer ${token}`)];
		const { status, body } = await alone(target, rawGet(`${host}.test`, lines));
		return status === 200 ? "200" : `${status} ${body}`;
	};
	for (const who of [alice, bob, again]) t.equal(await ask(who, "whole"), "200");
	t.equal(await ask(alice, "whole"), LIMITED);
	t.equal(await ask(plain, "whole"), "200", "each Gateway has its own buckets");
	t.equal(await ask(alice, "each"), "200");
	t.equal(await ask(again, "each"), "200", "another certificate of the same principal");
	t.equal(await ask(again, "each"), LIMITED, "has no bucket of its own");
	t.equal(await ask(bob, "each"), "200", "another principal has");
	for (const wanted of ["200", "200", LIMITED])
		t.equal(await ask(plain, "each"), wanted, "unauthenticated clients share one bucket");
	const [red, blue] = [minter.token({ tenant: "red" }), minter.token({ tenant: "blue" })];
	for (const wanted of ["200", "200", LIMITED]) t.equal(await ask(alice, "tenants", red), wanted, "tenant red");
	t.equal(await ask(alice, "tenants", blue), "200", "tenant blue");
	t.equal(await ask(bob, "tenants", minter.token({ tenant: "blue" })), "200", "another token of it");
	t.equal(await ask(bob, "tenants", blue), LIMITED, "has no bucket of its own");
	t.equal(await ask(alice, "tenants"), "403 access denied: no-policy-allows\n", "no tenant: a bucket for all such");
	t.equal(await ask(alice, "tenants", minter.token({ tenant: ["red", "green"] })), "200", "a list is none");
	for (const tenant of [undefined, "", 7, { red: "red" }, ["red"]])
		t.equal(await ask(alice, "tenants", minter.token({ tenant })), LIMITED, `tenant ${JSON.stringify(tenant)}`);
	t.equal(await ask(alice, "tenants"), LIMITED, "no token, no way around it");
	const inner = (org: unknown) => minter.token({ iss: OTHER_ISSUER, org });
	for (const wanted of ["200", "200", LIMITED])
		t.equal(await ask(alice, "tenants", inner({ tenant: "green" })), wanted, "of another issuer, within a claim");
	for (const org of ["green", ["green"], {}, undefined])
		t.equal(await ask(alice, "tenants", inner(org)), LIMITED, `org ${JSON.stringify(org)}`);
	for (const scope of ["green", "green blue", ["green"]])
		t.equal(
			await ask(alice, "tenants", minter.token({ iss: "https://words.test", scope })),
			LIMITED,
			`words are no single text: ${JSON.stringify(scope)}`,
		);
	const bad = "Bearer.x.y";
	for (let index = 0; index < 3; index++) t.match(await ask(alice, "all", bad), /^401 /);
	t.equal(await ask(alice, "all", bad), LIMITED, "beyond it no signature is checked");
	for (const who of ["who is another is served", "and what the first was refused took nothing of the Service's"])
		t.equal(await ask(bob, "all", red), "200", who);
	t.equal(await ask(bob, "all", blue), LIMITED, "as long as the Service has something left");
	const probe = async (host: string): Promise<string> => {
		const head = `OPTIONS ${PROBE_PATH} HTTP/1.1\r\nhost: ${host}.test\r\n\r\n`;
		const { status, body } = await alone(alice, Buffer.from(head));
		return `${status} ${body}`;
	};
	t.equal(await probe("all"), "403 access denied: forbidden\n", "the probe is not kept from the rules");
	t.equal(await probe("tenants"), "403 access denied: forbidden\n", "nor by who used up what has no tenant");
	for (let index = 0; index < 8; index++) await probe("few");
	t.equal(await ask(bob, "few"), "403 access denied: no-policy-allows\n", "nor does it take what callers may");
	t.equal(await ask(bob, "few"), LIMITED);
	const flood = await Promise.all(Array.from({ length: 100 }, () => probe("brisk")));
	t.ok(flood.includes(LIMITED), "a flood of denials is bounded");
	for (const host of ["whole", "each"])
		t.equal(await probe(host), LIMITED, "nothing refuses it at an open Service, so it is a request");
	for (let index = 0; index < 20; index++) t.equal(await ask(alice, "free"), "200");
});

t.test("a denial by a policy named none is reported like any other", async (t) => {
	const upstream = await startVariantServer("v1", (socket) =>
		socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
	);
	t.teardown(() => upstream.close());
	const plan = compile(
		resourceSet({
			gateways: [gateway()],
			services: [service("s", [variant("v1", upstream.port)], { access: null })],
			accessPolicies: [
				accessPolicy("some", "allow", ["s"], { principals: ["anyone"], pathPrefixes: ["/v2", "/admin"] }),
				accessPolicy("none", "deny", ["s"], { pathPrefixes: ["/admin"] }),
			],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	const envoy = await startEnvoy(t, bootstrapOf(plan));
	const ask = async (path: string): Promise<string> => {
		const { status, body } = await alone(envoy.port(), rawGet("s.test", [], path));
		return `${status} ${body}`;
	};
	t.equal(await ask("/v2"), "200 ");
	t.equal(await ask("/admin"), "403 access denied: forbidden\n");
	t.equal(await ask("/other"), "403 access denied: no-policy-allows\n", "what no policy allows");
});

t.test("no protected Service lets the probe pass", async (t) => {
	const upstream = await startVariantServer("v1", (socket) =>
		socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
	);
	t.teardown(() => upstream.close());
	const plan = compile(
		resourceSet({
			gateways: [gateway({}, "a"), gateway({}, "b")],
			services: ["s", "r"].map((name) => service(name, [variant("v1", upstream.port)], { access: null })),
			accessPolicies: [accessPolicy("some", "allow", ["s", "r"], { principals: ["*"] })],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	const envoy = await startEnvoy(t, bootstrapOf(plan));
	for (const listener of ["a", "b"]) {
		for (const host of ["s", "r"]) {
			const { status, body } = await alone(
				envoy.port(listener),
				rawGet(`${host}.test`, [], "/.well-known/weir-probe", "OPTIONS"),
			);
			t.equal(`${status} ${body}`, "403 access denied: forbidden\n", `${host} by ${listener}`);
		}
	}
	t.equal(upstream.requests(), 0);
});
