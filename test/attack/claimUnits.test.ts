/**
 * Units from claims without access rules on users: an invalid token counts as no token. Its request is served outside the
 * Experiment, and no header names its user.
 */
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { calculateJwkThumbprint } from "jose";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import type { TokenIssuer } from "../../src/declare/resources/resource.js";
import { type MutualTls, mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { LENGTHENED } from "../compile/envoy/secure/lengthened.js";
import { AUDIENCE, createMinter, ISSUER, type Minter } from "../compile/envoy/secure/tokens.js";
import { bootstrapOf, startEnvoy, type TestScope } from "../envoy/harness.js";
import { startVariantServer } from "../envoy/variantServer.js";
import {
	accessPolicy,
	experiment,
	gateway,
	PATIENT,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../fixtures/resources.js";
import { keyPair, proofOf, publicJwk } from "../trust/tokens/issuer.js";
import { FORMS } from "./scene.js";
import { startVerifyingSidecar } from "./sidecar.js";
import { exchange, get } from "./wire.js";

t.setTimeout(600_000);

const UNJUDGED = ["open", "mesh"] as const;
const SERVICES = [...UNJUDGED, "users"] as const;
const VARIANTS = ["v1", "v2"] as const;

/** The result of a request: its arm at the client and the upstream, and the user header that the upstream got. */
interface Seen {
	readonly status: number | undefined;
	readonly arm: string | null;
	readonly claim: string | null;
}

const UNASSIGNED: Seen = { status: 200, arm: null, claim: null };
const header = (name: string, text: string): string | null =>
	new RegExp(`^${name}: (.*)$`, "im").exec(text)?.[1]?.trim() ?? null;

async function ground(t: TestScope, form: string, issuers: (file: string) => readonly TokenIssuer[], version?: string) {
	const tls: MutualTls = await mutualTls(t as never);
	const minter = createMinter(Date.now());
	const file = join(dirname(tls.gateway.certificateFile), "keys.json");
	await writeFile(file, JSON.stringify(minter.jwks));
	const servers = await Promise.all(VARIANTS.map((name) => startVariantServer(name)));
	for (const server of servers) t.teardown(() => server.close());
	const variants = VARIANTS.map((name, index) => variant(name, servers[index]?.port ?? 0));
	const resources = resourceSet({
		gateways: [gateway({ tls: tls.gateway, tokens: issuers(file) })],
		services: SERVICES.map((name) =>
			service(name, variants, { access: name === "open" ? "open" : null, callout: PATIENT }),
		),
		experiments: SERVICES.map((name) =>
			experiment(`e-${name}`, name, [1, 1], { unit: { from: "claim", claim: "sub" }, layer: name }),
		),
		accessPolicies: [
			accessPolicy("web", "allow", ["mesh"], { principals: [spiffe("web")] }),
			accessPolicy("any-user", "allow", ["users"], { users: ["*"] }),
		],
	});
	const options = { collectors: NO_COLLECTORS, allocationPpm: 1_000_000, ...FORMS[form] };
	const plan = compile(resources, EMPTY_STATUS, options);
	const envoy = await startEnvoy(
		t,
		bootstrapOf(plan, undefined, plan.asksSidecar ? await startVerifyingSidecar(t, plan) : null),
		version === undefined ? {} : { version },
	);
	const client = await tls.client(envoy.port(), "web");
	const asked = async (host: string, lines: readonly string[]): Promise<Seen> => {
		const before = servers.map((server) => server.requests());
		const { statuses, text } = await exchange(await client(), get(`${host}.test`, "/", lines));
		const server = servers.find((one, index) => one.requests() > (before[index] ?? 0));
		return {
			status: statuses[0],
			arm: header("x-weir-arm", text),
			claim: server === undefined ? null : header("x-weir-claim-sub", server.lastHead()),
		};
	};
	return { asked, minter };
}

/** Each as it is sent in Authorization. */
function bad(minter: Minter): Readonly<Record<string, string>> {
	const now = Math.floor(Date.now() / 1_000);
	const good = minter.token();
	const tokens = {
		"the signature wrong": `${good.slice(0, -6)}AAAAAA`,
		"bound to a key": minter.token({ cnf: { jkt: "x".repeat(43) } }),
		"no kid": minter.token({}, { kid: undefined }),
		crit: minter.token({}, { crit: ["x"], x: 1 }),
		"issued in 50 minutes": minter.token({ iat: now + 3_000, exp: now + 3_500 }),
		"lives for ten years": minter.token({ iat: now - 315_360_000, exp: now + 600 }),
		"no iat": minter.token({ iat: undefined }),
		"an audience that is a URL": minter.token({ aud: `http://${AUDIENCE}/` }),
		"another's audience": minter.token({ aud: "other" }),
		...Object.fromEntries(Object.entries(LENGTHENED).map(([name, change]) => [name, change(good)])),
	};
	return {
		...Object.fromEntries(Object.entries(tokens).map(([name, token]) => [name, `Bearer ${token}`])),
		"inside another scheme": `Basic x Bearer ${good}`,
		"something behind it": `Bearer ${good} x`,
	};
}

for (const form of Object.keys(FORMS)) {
	t.test(`${form}: a valid token gives a unit, an invalid one none`, { timeout: 200_000 }, async (t) => {
		const { asked, minter } = await ground(t, form, (file) => [
			{ ...tokenIssuer(ISSUER, [AUDIENCE], file), maxLifetimeMs: 3_600_000 },
		]);
		for (const host of UNJUDGED) {
			const good = await asked(host, [`Authorization: Bearer ${minter.token()}`]);
			t.match(good, { status: 200, arm: new RegExp(`^e-${host}/arm[12]$`), claim: "ann" }, host);
			t.same(await asked(host, []), UNASSIGNED, `${host}: no token`);
			for (const [name, line] of Object.entries(bad(minter))) {
				t.same(await asked(host, [`Authorization: ${line}`]), UNASSIGNED, `${host}: ${name}`);
			}
			t.same(await asked(host, [`Authorization: Bearer ${minter.token()}`]), good, `${host}: the same again`);
		}
	});

	t.test(`${form}: a bound token gives a unit only with a verified proof`, { timeout: 200_000 }, async (t) => {
		const { asked, minter } = await ground(t, form, (file) => [
			{ ...tokenIssuer(ISSUER, [AUDIENCE], file), maxLifetimeMs: 3_600_000, binding: "dpop" },
		]);
		const holder = await keyPair();
		const bound = minter.token({ cnf: { jkt: await calculateJwkThumbprint(await publicJwk(holder)) } });
		const lines = async (host: string): Promise<readonly string[]> => {
			const claims = { iat: Math.floor(Date.now() / 1_000), htu: `https://${host}.test/` };
			return [`Authorization: DPoP ${bound}`, `DPoP: ${await proofOf(holder, bound, { claims })}`];
		};
		for (const host of UNJUDGED) {
			t.same(await asked(host, [`Authorization: Bearer ${bound}`]), UNASSIGNED, `${host}: without its proof`);
			t.same(await asked(host, [`Authorization: Bearer ${minter.token()}`]), UNASSIGNED, `${host}: not bound`);
			t.same(await asked(host, await lines(host)), UNASSIGNED, `${host}: with a proof that is not checked`);
		}
		t.match(await asked("users", await lines("users")), { status: 200, arm: /^e-users\/arm[12]$/, claim: "ann" });
		t.match(await asked("users", [`Authorization: Bearer ${bound}`]), { status: 401, claim: null });
	});
}

for (const version of ["1.38.3", "1.36.2"])
	t.test(`Envoy ${version} also selects the route again after the claim`, { timeout: 200_000 }, async (t) => {
		const issuers = (file: string) => [tokenIssuer(ISSUER, [AUDIENCE], file)];
		const { asked, minter } = await ground(t, "native", issuers, version);
		t.match(await asked("open", [`Authorization: Bearer ${minter.token()}`]), {
			arm: /^e-open\/arm[12]$/,
			claim: "ann",
		});
		t.same(await asked("open", [`Authorization: Bearer ${minter.token({}, { kid: undefined })}`]), UNASSIGNED);
	});
