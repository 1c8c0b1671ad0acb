/** End users natively: the tokens that a real Envoy accepts, and the verdicts of its RBAC on their claims. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../../src/decide/rollout/status.js";
import { TOKEN_BYTES_MAX, TOKEN_SKEW_SECONDS } from "../../../../src/limits/index.js";
import { bootstrapOf, startEnvoy } from "../../../envoy/harness.js";
import { alone, headerValues, rawGet } from "../../../envoy/pipeline.js";
import { inThisTier } from "../../../envoy/tierVersions.js";
import { startVariantServer } from "../../../envoy/variantServer.js";
import { accessPolicy, gateway, resourceSet, service, tokenIssuer, variant } from "../../../fixtures/resources.js";
import { AUDIENCE, createMinter, ISSUER, OTHER_ISSUER } from "./tokens.js";

interface Answer {
	readonly status: number;
	readonly body: string;
	readonly challenge: string | undefined;
}

for (const version of inThisTier(["1.40.0", "1.36.2"]))
	t.test(`Envoy ${version} decides access by users natively`, async (t) => {
		const directory = await mkdtemp(join(tmpdir(), "weir-users-"));
		t.teardown(() => rm(directory, { recursive: true, force: true }));
		const jwksFile = join(directory, "jwks.json");
		const minter = createMinter(Date.now());
		await writeFile(jwksFile, JSON.stringify(minter.jwks));
		const upstream = await startVariantServer("v1", (socket) =>
			socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
		);
		t.teardown(() => upstream.close());
		const protectedBy = (name: string) => service(name, [variant("v1", upstream.port)], { access: null });
		const other = { ...tokenIssuer(OTHER_ISSUER, [], jwksFile), groupsClaim: "org.roles" };
		const plan = compile(
			resourceSet({
				gateways: [gateway({ tokens: [tokenIssuer(ISSUER, [AUDIENCE], jwksFile), other] })],
				services: [
					protectedBy("groups"),
					protectedBy("users"),
					protectedBy("both"),
					protectedBy("claims"),
					protectedBy("denied"),
					protectedBy("strict"),
					service("open", [variant("v1", upstream.port)]),
					service("tried", [variant("v1", upstream.port)]),
					protectedBy("half"),
				],
				accessPolicies: [
					accessPolicy("staff", "allow", ["groups"], { groups: ["staff", "admins"] }),
					accessPolicy("ann", "allow", ["users"], { users: [`${ISSUER}#ann`, `${OTHER_ISSUER}#a#b`] }),
					accessPolicy("both", "allow", ["both"], { groups: ["staff"], tenants: ["blue"], purposes: ["care"] }),
					accessPolicy("claims", "allow", ["claims"], {
						claims: [
							{ claim: "scope", values: ["models:read"] },
							{ claim: "org.unit", values: ["x", "y"] },
						],
					}),
					accessPolicy("all", "allow", ["denied"], { claims: [{ claim: "sub", values: ["ann", "bob"] }] }),
					accessPolicy("not-bob", "deny", ["denied"], { users: [`${ISSUER}#bob`] }),
					accessPolicy("blocked", "deny", ["strict"], { groups: ["blocked"] }),
					accessPolicy("words", "deny", ["denied"], { claims: [{ claim: "scope", values: ["admin", "root"] }] }),
					accessPolicy("two-words", "deny", ["denied"], { claims: [{ claim: "permission", values: ["a b"] }] }),
					accessPolicy("tried", "allow", ["tried"], { mode: "shadow", groups: ["staff"] }),
					accessPolicy("half", "allow", ["half"], { principals: ["anyone"] }),
					accessPolicy("half-tried", "deny", ["half"], { mode: "shadow", groups: ["blocked"] }),
					accessPolicy("beyond-envoy", "deny", ["half", "tried"], { mode: "shadow", condition: "true" }),
				],
			}),
			EMPTY_STATUS,
			{ collectors: NO_COLLECTORS },
		);
		t.same(plan.problems, []);
		t.notOk(plan.asksSidecar, "all of it is native");
		const envoy = await startEnvoy(t, bootstrapOf(plan), { version });

		async function ask(host: string, authorization: readonly string[], path = "/"): Promise<Answer> {
			const lines = authorization.map((value) => Buffer.from(`authorization: ${value}`, "latin1"));
			const response = await alone(envoy.port(), rawGet(`${host}.test`, lines, path));
			return { status: response.status, body: response.body, challenge: headerValues(response, "www-authenticate")[0] };
		}
		const ALLOWED = "200";
		const INVALID = "401 access denied: invalid-token\n";
		const NO_ALLOW = "403 access denied: no-policy-allows\n";
		const FORBIDDEN = "403 access denied: forbidden\n";
		const reply = ({ status, body }: Answer): string => (status === 200 ? ALLOWED : `${status} ${body}`);
		const bearer = (claims?: object, header?: object): readonly string[] => [`Bearer ${minter.token(claims, header)}`];
		const now = Math.floor(Date.now() / 1_000);

		await t.test("claims of a valid token decide access", async (t) => {
			const cases: readonly (readonly [string, readonly string[], string])[] = [
				["groups", [], NO_ALLOW],
				["groups", ["Basic Zm9v"], NO_ALLOW],
				["groups", bearer(), NO_ALLOW],
				["groups", bearer({ groups: "staff" }), ALLOWED],
				["groups", bearer({ groups: ["x", "admins"] }), ALLOWED],
				["groups", bearer({ groups: ["staffs", 5, null, ["staff"]] }), NO_ALLOW],
				["groups", bearer({ groups: { staff: true } }), NO_ALLOW],
				["groups", bearer({ iss: OTHER_ISSUER, groups: ["staff"] }), NO_ALLOW],
				["groups", bearer({ iss: OTHER_ISSUER, org: { roles: ["staff"] } }), ALLOWED],
				["groups", bearer({ iss: OTHER_ISSUER, "org.roles": ["staff"] }), NO_ALLOW],
				["users", bearer(), ALLOWED],
				["users", bearer({ sub: "Ann" }), NO_ALLOW],
				["users", bearer({ sub: undefined }), NO_ALLOW],
				["users", bearer({ iss: OTHER_ISSUER }), NO_ALLOW],
				["users", bearer({ iss: OTHER_ISSUER, sub: "a#b" }), ALLOWED],
				["both", bearer({ groups: ["staff"], tenant: "blue", purpose: ["care", "research"] }), ALLOWED],
				["both", bearer({ groups: ["staff"], tenant: "red", purpose: "care" }), NO_ALLOW],
				["both", bearer({ groups: ["staff"], tenant: "blue" }), NO_ALLOW],
				["claims", bearer({ scope: "openid models:read", org: { unit: "y" } }), ALLOWED],
				["claims", bearer({ scope: ["models:read"], org: { unit: "y" } }), ALLOWED],
				["claims", bearer({ scope: "openid models:readx", org: { unit: "y" } }), NO_ALLOW],
				["claims", bearer({ scope: "models:read" }), NO_ALLOW],
				["denied", bearer(), ALLOWED],
				["denied", bearer({ sub: "bob" }), FORBIDDEN],
				["denied", bearer({ sub: "eve" }), NO_ALLOW],
				...["admin", "root", " admin", "admin x", "x root", "x admin y", "x  root "].map(
					(scope) => ["denied", bearer({ scope }), FORBIDDEN] as const,
				),
				...["", "admins", "xadmin", "admin-x root:y", "x\tadmin", "Admin"].map(
					(scope) => ["denied", bearer({ scope }), ALLOWED] as const,
				),
				["denied", bearer({ org: { scope: "admin" } }), ALLOWED],
				["denied", bearer({ permission: "a b" }), ALLOWED],
				["denied", bearer({ permission: ["a b"] }), FORBIDDEN],
				["strict", bearer({ groups: ["blocked"] }), FORBIDDEN],
				["strict", [], NO_ALLOW],
			];
			for (const [host, authorization, wanted] of cases)
				t.equal(reply(await ask(host, authorization)), wanted, `${host} ${authorization.join().slice(0, 40)}`);
		});

		await t.test("an invalid token is refused under any rules", async (t) => {
			const good = minter.token();
			const cases: Readonly<Record<string, readonly string[]>> = {
				"lower case scheme": [`bearer ${good}`],
				"two blanks": [`Bearer  ${good}`],
				tab: [`Bearer\t${good}`],
				"scheme alone": ["Bearer"],
				"no token": ["Bearer x"],
				"in another scheme": [`Basic x Bearer ${good}`],
				"something behind": [`Bearer ${good} x`],
				quoted: [`Bearer "${good}"`],
				dpop: [`DPoP ${good}`],
				"bad signature": [`Bearer ${good.slice(0, -8)}AAAAAAAA`],
				"unknown issuer": bearer({ iss: "https://evil.test" }),
				"no issuer": bearer({ iss: undefined }),
				"wrong audience": bearer({ aud: "other" }),
				"audience with a slash": bearer({ aud: `${AUDIENCE}/` }),
				"audience as a URL": bearer({ aud: `https://${AUDIENCE}` }),
				"no audience": bearer({ aud: undefined }),
				expired: bearer({ iat: now - 7_200, exp: now - 120 }),
				"no expiry": bearer({ exp: undefined }),
				"not yet": bearer({ nbf: now + 300 }),
				"no iat": bearer({ iat: undefined }),
				"iat in the future": bearer({ iat: now + 300 }),
				"lives too long": bearer({ iat: now - 80_000, exp: now + 7_000 }),
				"lives ten years": bearer({ exp: now + 315_360_000 }),
				"no kid": bearer({}, { kid: undefined }),
				"empty kid": bearer({}, { kid: "" }),
				"unknown kid": bearer({}, { kid: "k2" }),
				crit: bearer({}, { crit: ["x"] }),
				"crit null": bearer({}, { crit: null }),
				"bound to a key": bearer({ cnf: { jkt: "x" } }),
				"cnf null": bearer({ cnf: null }),
				"sub a number": bearer({ sub: 5 }),
				"HS256 with the public key": bearer({}, { alg: "HS256" }),
				"duplicate claim": [`Bearer ${minter.raw(JSON.stringify(minter.claims()).replace("{", '{"sub":"eve",'))}`],
				"too long": bearer({ filler: "y".repeat(8_000) }),
			};
			for (const [what, authorization] of Object.entries(cases)) {
				const answer = await ask("denied", authorization);
				t.equal(reply(answer), INVALID, what);
				t.match(answer.challenge, /^Bearer .*error="invalid_token"/, `${what}: WWW-Authenticate`);
				t.equal(reply(await ask("open", authorization)), ALLOWED, `${what}: an open Service ignores it`);
				for (const host of ["tried", "half"])
					t.equal(
						reply(await ask(host, authorization)),
						ALLOWED,
						`${what}: a shadow policy about users refuses no request`,
					);
			}
			t.equal(reply(await ask("denied", bearer())), ALLOWED, "and a valid token passes");
			t.equal(reply(await ask("denied", bearer({ filler: "y".repeat(4_000) }))), ALLOWED, "also a long one");
			t.equal(
				reply(await ask("denied", bearer({ iat: now - 30, nbf: now + 30 }))),
				ALLOWED,
				"clocks may be off a little",
			);
		});

		await t.test("a cached token is valid to the end of the clock skew, and no longer", async (t) => {
			// Three to four seconds are left: Envoy's clock is the machine's own.
			const ending = bearer({ iat: now - 600, exp: Math.floor(Date.now() / 1_000) - TOKEN_SKEW_SECONDS + 3 });
			const hits = async (): Promise<number> =>
				Number(/jwt_cache_hit: (\d+)/.exec(await envoy.admin("/stats?filter=jwt_cache_hit"))?.[1] ?? 0);
			const before = await hits();
			const deadline = Date.now() + 20_000;
			const answers: string[] = [];
			do {
				answers.push(reply(await ask("denied", ending)));
				await setTimeout(50);
			} while (answers.at(-1) === ALLOWED && Date.now() < deadline);
			t.equal(answers[0], ALLOWED, "it is verified");
			t.ok((await hits()) > before, "it was known");
			t.equal(answers.at(-1), INVALID, "and is over, known or not");
		});

		await t.test("a token of 8 KiB passes, a longer one does not", async (t) => {
			const padded = (length: number): string => minter.token({ filler: "y".repeat(length) });
			let length = 5_000;
			while (padded(length + 1).length <= TOKEN_BYTES_MAX) length++;
			t.ok(padded(length).length > TOKEN_BYTES_MAX - 2, "one of four base64 lengths is impossible");
			t.equal(reply(await ask("denied", [`Bearer ${padded(length)}`])), ALLOWED);
			t.equal(reply(await ask("denied", [`Bearer ${padded(length + 1)}`])), INVALID);
			t.equal(
				reply(await ask("denied", bearer(), `/?${"y".repeat(TOKEN_BYTES_MAX + 100)}`)),
				ALLOWED,
				"how long the rest of the request is does not count",
			);
		});

		await t.test("two Authorization headers are refused, and tokens elsewhere ignored", async (t) => {
			const good = `Bearer ${minter.token()}`;
			t.equal(reply(await ask("denied", [good, good])), "403 access denied: not-canonical\n");
			t.equal(reply(await ask("denied", ["Basic x", good])), "403 access denied: not-canonical\n");
			t.equal(reply(await ask("denied", [], `/?access_token=${minter.token()}`)), NO_ALLOW, "never from the query");
		});

		await t.test("shadow policies change no verdict, and are tried", async (t) => {
			const tried = async (host: string, authorization: readonly string[]): Promise<string> => {
				const counts = async () => {
					const stats = await envoy.admin("/stats?filter=shadow_(allowed|denied)");
					const count = (name: string): number => Number(new RegExp(`${name}: (\\d+)`).exec(stats)?.[1] ?? 0);
					return [count("weir_deny_\\.shadow_denied"), count("weir_allow_\\.shadow_allowed")] as const;
				};
				const before = await counts();
				t.equal(reply(await ask(host, authorization)), ALLOWED);
				const after = await counts();
				return `${after[0] - before[0]} denied, ${after[1] - before[1]} allowed`;
			};
			t.equal(await tried("tried", []), "0 denied, 0 allowed");
			t.equal(await tried("tried", bearer({ groups: ["staff"] })), "0 denied, 1 allowed");
			t.equal(await tried("tried", bearer({ groups: ["staff"], cnf: {} })), "1 denied, 1 allowed", "invalid too");
			t.equal(await tried("tried", ["Bearer x"]), "1 denied, 0 allowed");
			t.equal(await tried("half", bearer()), "0 denied, 1 allowed");
			t.equal(await tried("half", bearer({ groups: ["blocked"] })), "1 denied, 1 allowed");
			t.equal(await tried("half", ["Bearer x"]), "1 denied, 1 allowed");
		});
	});
