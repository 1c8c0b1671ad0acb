/**
 * The dry run of an open Service, natively on a real Envoy. An enforced policy would protect the Service, so the dry run
 * reports every refusal of a protected Service, with the same reason.
 */
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { denialOf, ruleDenial } from "../../../src/compile/envoy/denial.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { get, latin1 } from "../../attack/wire.js";
import { bootstrapOf, startEnvoy, type TestScope } from "../../envoy/harness.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { withAccessLog } from "../../parity/observation.js";
import { AUDIENCE, ISSUER, issuerOf, jwksBytes, keyPair, publicJwk, signed } from "../../trust/tokens/issuer.js";
import { mutualTls, spiffe } from "./mutualTls.js";
import { oddCa } from "./oddCertificates.js";

t.setTimeout(120_000);

const directory = await mkdtemp(join(tmpdir(), "weir-open-dry-"));
t.teardown(() => rm(directory, { recursive: true, force: true }));
const tls = await mutualTls(t);
const odd = await oddCa();
const clientCaFile = join(directory, "clients.pem");
await writeFile(clientCaFile, `${tls.ca.certificate}\n${odd.certificate}\n`);
const two = await odd.issue([
	{ type: "url", value: spiffe("alice") },
	{ type: "url", value: spiffe("bob") },
]);
const pair = await keyPair();
const keys = join(directory, "keys.json");
await writeFile(keys, jwksBytes([await publicJwk(pair, { kid: "k1" })]));
const iat = Math.floor(Date.now() / 1_000);
const token = await signed({ iss: ISSUER, aud: AUDIENCE, sub: "ann", iat, exp: iat + 600 }, pair);

const upstream = await startVariantServer("v1", (socket, head) =>
	socket.write(
		/^upgrade: websocket/im.test(head)
			? "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
			: "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
	),
);
t.teardown(() => upstream.close());

type Mode = "shadow" | "enforce";

const HOSTS = ["wide", "paths", "users"] as const;

function planOf(mode: Mode, protects: boolean) {
	const one = (name: string) =>
		service(name, [variant("v1", upstream.port)], { access: mode === "shadow" ? "open" : null });
	return compile(
		resourceSet({
			gateways: [
				gateway({
					tls: { ...tls.gateway, clientCaFile },
					tokens: [issuerOf({ keys: { from: "file", file: keys } })],
				}),
			],
			services: [
				...HOSTS.map(one),
				...(protects ? [service("guarded", [variant("v1", upstream.port)], { access: null })] : []),
			],
			accessPolicies: [
				accessPolicy("all", "allow", [...HOSTS], { principals: ["*"], mode }),
				accessPolicy("no-admin", "deny", ["paths", "users"], { pathPrefixes: ["/admin"], mode }),
				accessPolicy("no-eve", "deny", ["users"], { users: [`${ISSUER}#eve`], mode }),
				...(protects ? [accessPolicy("guard", "allow", ["guarded"], { principals: ["*"] })] : []),
			],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
}

const upgrade = (connection: string, to = "websocket") => ({
	head: [
		...["GET / HTTP/1.1", "Host: HOST", `Connection: ${connection}`, `Upgrade: ${to}`],
		...["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"],
	],
});

interface Case {
	readonly lines?: readonly string[];
	readonly path?: string;
	readonly method?: string;
	readonly head?: readonly string[];
	readonly peer?: "two";
}

/** By what is asked: the reason in force, by Service where they differ; null = none. */
const CASES: Readonly<Record<string, readonly [Case, string | null | Partial<Record<string, string | null>>]>> = {
	plain: [{}, null],
	"a good token": [{ lines: [`authorization: Bearer ${token}`] }, null],
	"a bad token": [{ lines: ["authorization: Bearer a.b.c"] }, { users: "invalid-token" }],
	"a bad token, and an override": [
		{ lines: ["authorization: Bearer a.b.c", "x-http-method-override: DELETE"] },
		"not-canonical",
	],
	"a forbidden path": [{ path: "/admin" }, { paths: "forbidden", users: "forbidden" }],
	"an escaped comma": [{ path: "/a%2Cb" }, { paths: "not-canonical", users: "not-canonical" }],
	"a long path": [{ path: `/${"a".repeat(3_000)}` }, { paths: "not-canonical", users: "not-canonical" }],
	"x-http-method-override": [{ lines: ["x-http-method-override: DELETE"] }, "not-canonical"],
	"x-original-url": [{ lines: ["x-original-url: /admin"] }, "not-canonical"],
	"x-forwarded-path": [{ lines: ["x-forwarded-path: /a"] }, "not-canonical"],
	"two credentials": [{ lines: ["authorization: Basic YQ==", "authorization: Basic Yg=="] }, "not-canonical"],
	"two proofs": [{ lines: ["dpop: a", "dpop: b"] }, "not-canonical"],
	_method: [{ path: "/a?_method=DELETE" }, "not-canonical"],
	"no UTF-8": [{ path: "/a%FF" }, "not-canonical"],
	parameters: [{ path: "/a;b" }, "not-canonical"],
	TRACE: [{ method: "TRACE" }, "not-canonical"],
	"two identities": [{ peer: "two" }, "no-single-identity"],
	"two identities and an override": [{ peer: "two", lines: ["x-original-url: /"] }, "no-single-identity"],
	"the probe": [{ path: "/.well-known/weir-probe", method: "OPTIONS" }, "forbidden"],
	WebSocket: [upgrade("Upgrade"), "upgrade-refused"],
	"WebSocket, among others": [upgrade("keep-alive , uPGRADE", "WebSocket"), "upgrade-refused"],
	"WebSocket, and an override": [{ head: [...upgrade("Upgrade").head, "x-original-url: /"] }, "upgrade-refused"],
	"no upgrade, for Connection does not say so": [upgrade("x-upgrade, upgraded"), null],
};

async function statusOf(socket: Socket, bytes: Buffer): Promise<number> {
	socket.write(bytes);
	const [chunk] = await once(socket, "data");
	socket.destroy();
	return Number(/^HTTP\/1\.1 ([0-9]{3}) /.exec(String(chunk))?.[1] ?? 0);
}

async function asked(t: TestScope, mode: Mode, protects: boolean, version?: string) {
	const log = join(directory, `log-${mode}-${protects}-${version}`);
	const bootstrap = bootstrapOf(planOf(mode, protects));
	const fields = { rbac: "%DYNAMIC_METADATA(envoy.filters.http.rbac)%" };
	const envoy = await startEnvoy(
		t,
		(admin) => withAccessLog(bootstrap(admin), log, fields),
		version === undefined ? {} : { version },
	);
	const alice = await tls.client(envoy.port(), "alice");
	const both = tls.clientWith(envoy.port(), two);
	const statuses: number[] = [];
	for (const host of HOSTS) {
		for (const [{ head, lines, path = "/", method, peer }] of Object.values(CASES)) {
			const bytes =
				head === undefined
					? get(`${host}.test`, path, lines, method)
					: latin1(`${head.join("\r\n").replace("HOST", `${host}.test`)}\r\n\r\n`);
			statuses.push(await statusOf(await (peer === "two" ? both : alice)(), bytes));
		}
	}
	// A stream may be logged after its client has the answer, and an Envoy that ends does not wait for it.
	while ((await envoy.stat("filesystem.write_buffered")) < statuses.length) await setTimeout(20);
	await envoy.stop();
	const logged = (await readFile(log, "utf8")).split("\n").filter((line) => line !== "");
	return logged.map((line, at) => ({ status: statuses[at], ...JSON.parse(line) }));
}

/** The native dry-run result, and the enforced verdict. */
function dryReason(rbac: Readonly<Record<string, string>> | null): string | null {
	const said = rbac ?? {};
	const by = ["weir_deny_", "weir_allow_"].find((prefix) => said[`${prefix}shadow_engine_result`] === "denied");
	return by === undefined ? null : ruleDenial(said[`${by}shadow_effective_policy_id`] ?? "none").reason;
}

for (const [protects, version] of [
	[true, undefined],
	[true, "1.36.2"],
	[false, undefined],
] as const) {
	const where = protects ? "a protected Gateway" : "a Gateway that protects nothing yet";
	t.test(`the dry run reports each refusal: ${where}, Envoy ${version ?? "of now"}`, async (t) => {
		const dry = await asked(t, "shadow", protects, version);
		const real = await asked(t, "enforce", protects, version);
		t.equal(dry.length, HOSTS.length * Object.keys(CASES).length);
		const names = HOSTS.flatMap((host) => Object.entries(CASES).map(([name, [, due]]) => ({ host, name, due })));
		for (const [at, { host, name, due }] of names.entries()) {
			const reason = due === null || typeof due === "string" ? due : (due[host] ?? null);
			const what = `${host}: ${name}`;
			t.equal(dry[at].status, name.startsWith("WebSocket") ? 101 : 200, `${what}: nothing is refused`);
			t.equal(dryReason(dry[at].rbac), reason, `${what}: reported`);
			t.equal(denialOf(real[at].details ?? "")?.reason ?? null, reason, `${what}: in force`);
		}
	});
}

t.test("an open Service without shadow policies has no rules", async (t) => {
	const plan = compile(
		resourceSet({ gateways: [gateway({ tls: tls.gateway })], services: [service("wide", [variant("v1", 1)])] }),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	t.notMatch(JSON.stringify(bootstrapOf(plan)("admin")), /"shadow_rules":|not canonical|WebSocket|\(probe\)/);
});
