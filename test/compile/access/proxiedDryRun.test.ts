/**
 * Dry runs behind trusted proxies, on a real Envoy with the sidecar: a shadow policy's reported result is the result of the
 * same enforced policy, for the client and for its proxy. Natively none is tried there (dryRun.test.ts).
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { startVerifyingSidecar } from "../../attack/sidecar.js";
import { bootstrapOf, startEnvoy, type TestScope } from "../../envoy/harness.js";
import { alone, headerValues, rawGet } from "../../envoy/pipeline.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, variant } from "../../fixtures/resources.js";
import { readLog, withAccessLog } from "../../parity/observation.js";
import { mutualTls, spiffe } from "./mutualTls.js";

t.setTimeout(60_000);

const tls = await mutualTls(t);
const upstream = await startVariantServer("v1");
t.teardown(() => upstream.close());

type Protocol = "ext_authz" | "ext_proc";
type Mode = "shadow" | "enforce";

const closed = (name: string) => service(name, [variant("v1", upstream.port)], { access: null, callout: PATIENT });

const resourcesOf = (mode: Mode) =>
	resourceSet({
		gateways: [gateway({ tls: tls.gateway, trustedProxies: [spiffe("proxy"), spiffe("banned")] })],
		services: [closed("tried"), closed("banning")],
		accessPolicies: [
			accessPolicy("all", "allow", ["tried", "banning"], { principals: ["*"] }),
			accessPolicy("no-proxy", "deny", ["tried"], { principals: [spiffe("proxy")], mode }),
			accessPolicy("not-banned", "deny", ["banning"], { principals: [spiffe("banned")] }),
			accessPolicy("no-admin", "deny", ["banning"], { pathPrefixes: ["/admin"], mode }),
		],
	});

/** Requests: peer, host, path. */
const REQUESTS = [
	["alice", "tried", "/"],
	["proxy", "tried", "/"],
	["banned", "tried", "/"],
	["proxy", "banning", "/"],
	["banned", "banning", "/"],
	["proxy", "banning", "/admin"],
	["banned", "banning", "/admin"],
	["alice", "tried", "/.well-known/weir-probe"],
] as const;

/** Status of each, and the sidecar's word on it. */
async function asked(t: TestScope, protocol: Protocol, mode: Mode) {
	const directory = await mkdtemp(join(tmpdir(), "weir-proxied-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const plan = compile(resourcesOf(mode), EMPTY_STATUS, { collectors: NO_COLLECTORS, protocol });
	const sidecar = await startVerifyingSidecar(t, plan);
	const bootstrap = bootstrapOf(plan, NO_COLLECTORS, sidecar);
	const log = join(directory, "log");
	const envoy = await startEnvoy(t, (admin) => withAccessLog(bootstrap(admin), log));
	const client = Buffer.from(`x-forwarded-client-cert: URI=${spiffe("alice")};Hash=${"0".repeat(64)}`);
	const answers = [];
	for (const [peer, host, path] of REQUESTS)
		answers.push(await alone(await tls.client(envoy.port(), peer), rawGet(`${host}.test`, [client], path)));
	// A stream may be logged after its client has the answer, and an Envoy that ends does not wait for it.
	while ((await envoy.stat("filesystem.write_buffered")) < REQUESTS.length) await setTimeout(20);
	await envoy.stop();
	const logged = await readLog(log);
	return answers.map((answer) => ({
		status: answer.status,
		said: logged.get(headerValues(answer, "x-request-id")[0] ?? "")?.metadata ?? {},
	}));
}

for (const protocol of ["ext_authz", "ext_proc"] as const) {
	t.test(`a dry run behind a trusted proxy equals the enforced policy, by ${protocol}`, async (t) => {
		const [dry, real] = [await asked(t, protocol, "shadow"), await asked(t, protocol, "enforce")];
		t.same(
			dry.map(({ status }) => status),
			[200, 200, 200, 200, 403, 200, 403, 403],
			"a dry run decides nothing",
		);
		t.same(
			real.map(({ status }) => status),
			[200, 403, 200, 200, 403, 403, 403, 403],
		);
		for (const [index, { said }] of dry.entries()) {
			const name = REQUESTS[index]?.join(" ") ?? "";
			const { verdict, reason, policy } = real[index]?.said ?? {};
			if (said.shadow === undefined) t.equal(said.verdict, verdict, name);
			else t.same([said.shadow, said.shadowReason, said.shadowPolicy], [verdict, reason, policy], name);
		}
	});
}
