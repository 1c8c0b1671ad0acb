/** AccessPolicies on a real Envoy with mTLS: its verdicts equal authorize(), and denied requests reach no upstream. */
import t from "tap";
import { authorize } from "../../../src/compile/access/rules/policy.js";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { Service } from "../../../src/declare/resources/resource.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { alone, headerValues, pipelined, rawGet, type Target } from "../../envoy/pipeline.js";
import { mulberry32 } from "../../envoy/units.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { accessPolicy, experiment, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { createDevelopmentCa } from "../../trust/identity/developmentCa.js";
import { mutualTls, spiffe, TRUST_DOMAIN } from "./mutualTls.js";

const [alice, bob, carol, mallory] = ["alice", "bob", "carol", "mallory"] as const;

const tls = await mutualTls(t);
const upstream = await startVariantServer("v1", (socket, head) => {
	const path = head.split(" ")[1] ?? "";
	socket.write(`HTTP/1.1 200 OK\r\nx-path: ${path}\r\ncontent-length: 0\r\n\r\n`);
});
t.teardown(() => upstream.close());

const variants = [variant("v1", upstream.port), variant("v2", upstream.port)];
const services = [
	service("guarded", variants, { access: null }),
	service("second", variants, { access: null }),
	service("open", variants),
];
const accessPolicies = [
	accessPolicy("read-v2", "allow", ["guarded"], {
		principals: [spiffe(alice)],
		methods: ["GET", "HEAD"],
		pathPrefixes: ["/v2", "/health/"],
	}),
	accessPolicy("everything", "allow", ["guarded"], { principals: [spiffe(bob)] }),
	accessPolicy("no-secrets", "deny", ["guarded"], { pathPrefixes: ["/v2/secret", "/admin"] }),
	accessPolicy("no-deletes-by-bob", "deny", ["guarded"], { principals: [spiffe(bob)], methods: ["DELETE"] }),
	accessPolicy("carol-only", "allow", ["second"], { principals: [spiffe(carol), spiffe("other")], methods: ["GET"] }),
];
const resources = resourceSet({
	gateways: [gateway({ tls: tls.gateway })],
	services,
	accessPolicies,
	experiments: [experiment("guarded-arms", "guarded", [1, 1], { stepsPpm: [1_000_000] })],
});
const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS });
const envoy = await startEnvoy(t, bootstrapOf(plan));
const clients = new Map<string, Target>();
for (const name of [alice, bob, carol, mallory]) clients.set(name, await tls.client(envoy.port(), name));

async function status(who: string, host: string, path: string, method = "GET"): Promise<number> {
	return (await alone(clientOf(who), rawGet(`${host}.test`, [], path, method))).status;
}

function clientOf(who: string): Target {
	const found = clients.get(who);
	if (found === undefined) throw new Error(`no client ${who}`);
	return found;
}

t.test("each rule decides a verdict by itself", async (t) => {
	const cases: readonly (readonly [who: string, host: string, method: string, path: string, status: number])[] = [
		[alice, "guarded", "GET", "/v2", 200],
		[alice, "guarded", "GET", "/v2/", 200],
		[alice, "guarded", "GET", "/v2/models", 200],
		[alice, "guarded", "GET", "/v2?x=/admin", 200],
		[alice, "guarded", "GET", "/health", 200],
		[alice, "guarded", "POST", "/v2/models", 403],
		[alice, "guarded", "GET", "/v20", 403],
		[alice, "guarded", "GET", "/v2x/models", 403],
		[alice, "guarded", "GET", "/V2/models", 403],
		[alice, "guarded", "GET", "/", 403],
		[mallory, "guarded", "GET", "/v2/models", 403],
		[carol, "guarded", "GET", "/v2/models", 403],
		[bob, "guarded", "POST", "/anything", 200],
		[bob, "guarded", "DELETE", "/anything", 403],
		[bob, "guarded", "GET", "/v2/secret", 403],
		[bob, "guarded", "GET", "/v2/secret/key", 403],
		[bob, "guarded", "GET", "/v2/secrets", 200],
		[bob, "guarded", "GET", "/admin", 403],
		[bob, "second", "GET", "/anything", 403],
		[carol, "second", "GET", "/anything", 200],
		[carol, "second", "POST", "/anything", 403],
		[mallory, "open", "POST", "/admin", 200],
		[bob, "unknown", "GET", "/", 403],
	];
	for (const [who, host, method, path, want] of cases) {
		const before = upstream.requests();
		t.equal(await status(who, host, path, method), want, `${who} ${method} ${host}${path} → ${want}`);
		t.equal(upstream.requests() - before, want === 200 ? 1 : 0, "the upstream sees allowed requests only");
	}
});

t.test("no spelling of a path bypasses a rule", async (t) => {
	const reaching = [
		"/v2/../admin",
		"/v2/./../admin/x",
		"//admin",
		"/v2//secret",
		"/v2/secret/.",
		"/v2/x/../secret",
		"/v2/%2e%2e/admin",
		"/v2/%2E%2e/admin",
		"/v2/.%2e/admin",
		"/%61dmin",
		"/v2%2fsecret",
		"/v2%2Fsecret",
		"/v2%5csecret",
		"/v2\\secret",
		"/v2/..%2fadmin",
		"/v2/secret?x",
		"/v2/secret#x",
		"/v2/secret;x",
		"/admin;x=1/y",
		"/v2;x/secret",
		"/v2/secret%3bx",
		"/v2/secret%3Bx",
		"/v2/secret%00",
		"/v2/%73ecret",
	];
	for (const path of reaching) {
		for (const who of [bob, alice]) {
			const before = upstream.requests();
			const answer = await alone(clientOf(who), rawGet("guarded.test", [], path)).catch(() => null);
			const reached = upstream.requests() > before;
			const seen = answer === null ? "" : (headerValues(answer, "x-path")[0] ?? "");
			t.equal(reached, answer?.status === 200, `${who} ${path} → ${answer?.status ?? "closed"} ${seen}`);
			if (!reached) continue;
			// Forwarded paths are judged again as a lenient server reads them: decoded, merged, without parameters.
			const lenient = decodeURIComponent(seen.replace(/[?#].*$/, ""))
				.replace(/\\/g, "/")
				.replace(/[;\0][^/]*/g, "");
			t.notMatch(lenient, /^\/+(v2\/+secret|admin)(\/|$)|\.\./, `${who} ${path} came through as ${seen}`);
		}
	}
});

t.test("Envoy's verdict equals authorize() for 800 generated requests", async (t) => {
	const random = mulberry32(7);
	const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
	const segments = [
		"v2",
		"v20",
		"V2",
		"secret",
		"secrets",
		"admin",
		"health",
		"x",
		"",
		".",
		"..",
		"%2e%2e",
		"v2;x",
		"a%20b",
	];
	const requests = Array.from({ length: 800 }, () => ({
		who: pick([alice, alice, bob, bob, carol, mallory]),
		service: pick([...services, services[0] as Service]),
		method: pick(["GET", "GET", "GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"]),
		path: `/${Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(segments)).join("/")}${pick(["", "", "", "?a=/v2/secret", "/"])}`,
	}));
	// The canonical path of each as Envoy makes it: what an upstream of the open Service gets.
	const canonical = (
		await pipelined(
			clientOf(mallory),
			requests.map(({ path }) => rawGet("open.test", [], path)),
		)
	).map((answer) => (answer.status === 200 ? (headerValues(answer, "x-path")[0] ?? "") : null));
	const mismatches: string[] = [];
	const verdicts = { allowed: 0, denied: 0, refused: 0 };
	for (const who of [alice, bob, carol, mallory]) {
		const own = requests.flatMap((request, index) => (request.who === who ? [{ request, index }] : []));
		const answers = await pipelined(
			clientOf(who),
			own.map(({ request }) => rawGet(request.service.spec.hosts[0] ?? "", [], request.path, request.method)),
			{ window: 1, methods: own.map(({ request }) => request.method) },
		);
		for (const [at, { request, index }] of own.entries()) {
			const path = canonical[index] ?? null;
			const got = answers[at]?.status;
			if (path === null) {
				verdicts.refused++;
				if (got === 200) mismatches.push(`${request.path}: refused on the open Service, not here`);
				continue;
			}
			const { allowed } = authorize(request.service, accessPolicies, {
				principal: spiffe(who),
				token: null,
				region: null,
				nowMs: 0,
				method: request.method,
				path: path.replace(/[?#].*$/, ""),
				// No policy here is for a Variant.
				variant: null,
			});
			verdicts[allowed ? "allowed" : "denied"]++;
			if (got !== (allowed ? 200 : 403)) {
				mismatches.push(`${who} ${request.method} ${request.service.metadata.name} ${request.path} (${path}): ${got}`);
			}
		}
	}
	t.same(mismatches, []);
	t.ok(verdicts.allowed > 150 && verdicts.denied > 150, JSON.stringify(verdicts));
});

t.test("TLS is refused without a valid certificate signed by the CA", async (t) => {
	const otherCa = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs: Date.now(), lifetimeMs: 60_000 });
	const longAgo = Date.now() - 7_200_000;
	const expired = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs: longAgo, lifetimeMs: 60_000 });
	const before = upstream.requests();
	const attempts = {
		"no certificate": null,
		"a certificate of another CA with the same id": await otherCa.issue({ spiffeId: spiffe(bob) }),
		"an expired certificate": await expired.issue({ spiffeId: spiffe(bob) }),
		"an expired certificate of the right CA": await tls.ca.issue({
			spiffeId: spiffe(bob),
			nowMs: longAgo,
			lifetimeMs: 60_000,
		}),
	};
	for (const [name, certificate] of Object.entries(attempts)) {
		for (const host of ["guarded", "open"]) {
			await t.rejects(alone(tls.clientWith(envoy.port(), certificate), rawGet(`${host}.test`, [], "/v2")), name);
		}
	}
	t.equal(upstream.requests(), before, "nothing reached the upstream");
});

t.test("the identity comes only from TLS, and the client cannot set the arm", async (t) => {
	const forged = `x-forwarded-client-cert: By=spiffe://${TRUST_DOMAIN}/gateway;Hash=00;URI=${spiffe(bob)}`;
	const before = upstream.requests();
	const lines = [Buffer.from(forged), Buffer.from("x-weir-arm: guarded-arms/arm2")];
	t.equal((await alone(clientOf(mallory), rawGet("guarded.test", lines, "/anything"))).status, 403);
	t.equal(upstream.requests(), before);
	t.equal((await alone(clientOf(alice), rawGet("guarded.test", lines, "/v2"))).status, 200);
	const head = upstream.lastHead();
	const forwarded = head.match(/^x-forwarded-client-cert: .*$/gim) ?? [];
	t.equal(forwarded.length, 1, "one value");
	t.match(forwarded[0], new RegExp(`^x-forwarded-client-cert: .*URI=${spiffe(alice)}$`), "Envoy's header");
	t.notMatch(head, /Hash=00;/);
	t.notMatch(head, /x-weir-arm/i, "no unit, so no arm for the upstream");
	const [want] = plan.table.services.flatMap(({ experiments }) => experiments);
	t.equal(want?.name, "guarded-arms");
	await alone(clientOf(bob), rawGet("guarded.test", [...lines, Buffer.from("x-user-id: u1")], "/v2"));
	t.same(upstream.lastHead().match(/^x-weir-arm: .*$/gim)?.length, 1, "with a unit Envoy's own arm, once");
});

t.test("a Service is closed if it is not open, or if a policy selects it", async (t) => {
	const set = resourceSet({
		services: [service("forgotten", variants, { access: null }), service("open", variants)],
	});
	const forgotten = await startEnvoy(t, bootstrapOf(compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS })));
	t.equal((await alone(forgotten.port(), rawGet("forgotten.test", [], "/"))).status, 403);
	t.equal((await alone(forgotten.port(), rawGet("open.test", [], "/"))).status, 200);
	const selected = {
		...set,
		services: [service("open", variants)],
		accessPolicies: [accessPolicy("none", "deny", ["open"])],
	};
	const closed = await startEnvoy(t, bootstrapOf(compile(selected, EMPTY_STATUS, { collectors: NO_COLLECTORS })));
	t.equal((await alone(closed.port(), rawGet("open.test", [], "/"))).status, 403);
});

t.test("a Gateway without TLS authenticates no one: protected Services answer 403, open ones work", async (t) => {
	const plain = compile({ ...resources, gateways: [gateway()] }, EMPTY_STATUS, { collectors: NO_COLLECTORS });
	const other = await startEnvoy(t, bootstrapOf(plain));
	const forged = [Buffer.from(`x-forwarded-client-cert: URI=${spiffe(bob)}`)];
	t.equal((await alone(other.port(), rawGet("guarded.test", forged, "/v2"))).status, 403);
	t.equal((await alone(other.port(), rawGet("second.test", forged, "/"))).status, 403);
	t.equal((await alone(other.port(), rawGet("open.test", forged, "/"))).status, 200);
	t.notMatch(upstream.lastHead(), /x-forwarded-client-cert/i, "a client's certificate header is removed");
});
