/** Dry runs in Envoy if it cannot try all shadow policies: uncertain results are not reported. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { bootstrapOf, startEnvoy, type TestScope } from "../../envoy/harness.js";
import { alone, rawGet } from "../../envoy/pipeline.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { withAccessLog } from "../../parity/observation.js";
import { wordsOf } from "../table/explained.js";
import { mutualTls, spiffe } from "./mutualTls.js";

t.setTimeout(60_000);
const tls = await mutualTls(t);
const upstream = await startVariantServer("v1");
t.teardown(() => upstream.close());

const alice = { principals: [spiffe("alice")] };
const bob = { principals: [spiffe("bob")] };
const untried = { condition: "true" };
const shadow = (name: string, action: "allow" | "deny", host: string, spec: Parameters<typeof accessPolicy>[3]) =>
	accessPolicy(name, action, [host], { ...spec, mode: "shadow" });

function planned(trustedProxies: readonly string[]) {
	const open = (name: string) => service(name, [variant("v1", upstream.port)]);
	const resources = resourceSet({
		gateways: [gateway({ tls: tls.gateway, trustedProxies })],
		services: [open("whole"), open("allows"), open("denies"), open("neither")],
		accessPolicies: [
			shadow("whole-alice", "allow", "whole", alice),
			shadow("allows-alice", "allow", "allows", { ...alice, ...untried }),
			shadow("allows-bob", "allow", "allows", bob),
			shadow("denies-alice", "deny", "denies", { ...alice, validFromMs: 0 }),
			shadow("denies-all", "allow", "denies", { principals: ["*"] }),
			shadow("neither-alice", "allow", "neither", { ...alice, ...untried }),
			shadow("neither-deny", "deny", "neither", { ...alice, ...untried }),
			shadow("neither-bob", "deny", "neither", bob),
		],
	});
	const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS });
	const because = (name: string) =>
		plan.rules
			.filter(({ rule }) => rule === `Service ${name}: access`)
			.map(wordsOf)
			.join();
	return { plan, because };
}

/** Results of Envoy's shadow rules for requests, each `CALLER HOST`. */
async function tried(t: TestScope, { plan }: ReturnType<typeof planned>, requests: readonly (readonly string[])[]) {
	const directory = await mkdtemp(join(tmpdir(), "weir-dry-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const log = join(directory, "log");
	const bootstrap = bootstrapOf(plan);
	const fields = { rbac: "%DYNAMIC_METADATA(envoy.filters.http.rbac)%" };
	const envoy = await startEnvoy(t, (admin) => withAccessLog(bootstrap(admin), log, fields));
	for (const [caller = "", host = "", ...lines] of requests) {
		const head = rawGet(
			`${host}.test`,
			lines.map((line) => Buffer.from(line)),
		);
		const { status } = await alone(await tls.client(envoy.port(), caller), head);
		if (status !== 200) throw new Error(`a dry run refused ${caller} at ${host}: ${status}`);
	}
	await envoy.stop();
	const lines = (await readFile(log, "utf8")).split("\n").filter((line) => line !== "");
	return lines.map((line) =>
		Object.fromEntries(Object.entries(JSON.parse(line).rbac ?? {}).filter(([key]) => key.includes("shadow"))),
	);
}

const result = (prefix: string, engine: string, policy?: string) => ({
	[`${prefix}shadow_engine_result`]: engine,
	...(policy === undefined ? {} : { [`${prefix}shadow_effective_policy_id`]: policy }),
});

/** Reported neither as a general refusal nor as a denial. */
const letOn = (allows: object) => ({ ...result("weir_deny_", "allowed"), ...allows });

t.test("a result that an untried policy could change is not reported", async (t) => {
	const planOfAll = planned([]);
	const requests = ["whole", "allows", "denies", "neither"].flatMap((host) => [
		["alice", host],
		["bob", host],
	]);
	t.same(await tried(t, planOfAll, requests), [
		letOn(result("weir_allow_", "allowed", "whole-alice")),
		letOn(result("weir_allow_", "denied")),
		// The untried policy allows alice: only an allowed client would be reported.
		letOn(result("weir_would_allow_", "denied")),
		letOn(result("weir_would_allow_", "allowed", "allows-bob")),
		// It denies alice: only a denied client would be reported.
		letOn(result("weir_would_deny_", "allowed", "denies-all")),
		letOn(result("weir_would_deny_", "allowed", "denies-all")),
		// It could change both results; a request denied by a forbid stays denied.
		result("weir_deny_", "allowed"),
		result("weir_deny_", "denied", "neither-bob"),
	]);
	t.match(
		planOfAll.because("whole"),
		/; tried only whole-alice \(shadow\); also reported what is refused of every protected Service /,
	);
	t.match(
		planOfAll.because("allows"),
		/; not reported allows-alice \(it has a CEL condition\), requests that no policy would allow; also reported what is refused/,
	);
	t.match(
		planOfAll.because("denies"),
		/; not reported denies-alice \(it has a time of validity: [^)]*\); also reported what is refused/,
	);
});

t.test("behind a trusted proxy Envoy tries no shadow policies, as it would judge the proxy", async (t) => {
	const proxied = planned([spiffe("proxy")]);
	const client = `x-forwarded-client-cert: By=${spiffe("proxy")};Hash=${"0".repeat(64)};URI=${spiffe("alice")}`;
	t.same(
		await tried(t, proxied, [
			["proxy", "whole", client],
			["proxy", "neither", client],
		]),
		[{}, {}],
	);
	t.match(
		proxied.because("whole"),
		/; not reported whole-alice \(Gateway edge has trusted proxies, and Envoy's rules see the proxy, not the client that it names\)$/,
	);
});
