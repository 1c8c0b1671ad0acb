/**
 * Certificates that are not X.509-SVIDs, at a Gateway that trusts their CA: no execution may accept their identity.
 * The same requests without the rule show that it is needed.
 */
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { JsonGeneralName } from "@peculiar/x509";
import type { Test } from "tap";
import { type CompileOptions, compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { NO_SINGLE_IDENTITY } from "../../../src/compile/envoy/accessControl.js";
import type { CompiledPlan } from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { SPIFFE_ID_BYTES_MAX } from "../../../src/limits/index.js";
import { bootstrapOf, type RunningEnvoy, startEnvoy } from "../../envoy/harness.js";
import { alone, rawGet, type Target } from "../../envoy/pipeline.js";
import { startVariantServer, type VariantServer } from "../../envoy/variantServer.js";
import { accessPolicy, experiment, gateway, PATIENT, resourceSet, service, variant } from "../../fixtures/resources.js";
import { startSidecar } from "../../publish/sidecar/rig.js";
import { type MutualTls, mutualTls, spiffe } from "./mutualTls.js";
import { type OddCa, oddCa } from "./oddCertificates.js";

export const FORMS: Readonly<Record<string, Pick<CompileOptions, "mode" | "protocol">>> = {
	native: {},
	ext_authz: { mode: "callout", protocol: "ext_authz" },
	ext_proc: { mode: "callout", protocol: "ext_proc" },
};

const uri = (name: string): JsonGeneralName => ({ type: "url", value: spiffe(name) });
const dns = (value: string): JsonGeneralName => ({ type: "dns", value });

/** alice may call, banned is forbidden. */
const BAD: Readonly<Record<string, readonly JsonGeneralName[]>> = {
	"alice behind another id": [uri("bob"), uri("alice")],
	"a forbidden id behind alice": [uri("alice"), uri("banned")],
	"alice as DNS name": [dns(spiffe("alice"))],
	"alice twice": [uri("alice"), uri("alice")],
	"no name at all": [],
	"a DNS name": [dns("alice.test")],
	"no SPIFFE id": [{ type: "url", value: "https://weir.test/alice" }],
	"dot segments": [uri("bob/../alice")],
	"an empty query": [{ type: "url", value: `${spiffe("alice")}?` }],
	"no path": [{ type: "url", value: "spiffe://weir.test" }],
	"the trust domain .": [{ type: "url", value: "spiffe://./alice" }],
	"the trust domain ..": [{ type: "url", value: "spiffe://../alice" }],
	"a trust domain of 256 bytes": [{ type: "url", value: `spiffe://${"a".repeat(256)}/alice` }],
	"a port": [{ type: "url", value: "spiffe://weir.test:99/alice" }],
	"a second id inside one": [{ type: "url", value: `${spiffe("bob")};URI=${spiffe("alice")}` }],
	"a comma": [{ type: "url", value: `${spiffe("bob")},URI=${spiffe("alice")}` }],
	"a quotation mark": [{ type: "url", value: `${spiffe("alice")}"` }],
};

const GOOD: Readonly<Record<string, readonly JsonGeneralName[]>> = {
	"one id": [uri("alice")],
	"one id and DNS names": [dns("web.test"), uri("alice"), dns("www.test")],
};

/** An X.509-SVID may also have DNS names; the caller's identity is the URI. */
const DISGUISED = [uri("bob"), dns(spiffe("alice"))];

/** One identity, of more bytes than an SVID's may have. */
const LONG = [uri("a".repeat(SPIFFE_ID_BYTES_MAX))];

const HOSTS = ["guarded.test", "judged.test"];

/** Certificates for which Envoy and the sidecar would identify different callers without the rule. */
export const WITHOUT_THE_RULE: Readonly<Record<string, readonly string[]>> = {
	native: ["alice behind another id", "alice as DNS name", "alice twice", "disguised"],
	ext_authz: ["a forbidden id behind alice", "alice as DNS name", "alice twice"],
	ext_proc: ["a forbidden id behind alice", "alice twice"],
};

interface Scene {
	readonly tls: MutualTls;
	readonly ca: OddCa;
	readonly upstream: VariantServer;
	/** @param form of FORMS */
	start(form: string, changed?: (bootstrap: object) => object): Promise<RunningEnvoy>;
}

async function scene(t: Test, version: string): Promise<Scene> {
	const [tls, ca, upstream] = await Promise.all([mutualTls(t), oddCa(), startVariantServer("v")]);
	t.teardown(() => upstream.close());
	const clientCaFile = join(dirname(tls.gateway.certificateFile), "both.pem");
	await writeFile(clientCaFile, `${tls.ca.certificate}\n${ca.certificate}`);
	const variants = [variant("v1", upstream.port), variant("v2", upstream.port)];
	const principals = [spiffe("alice")];
	const banned = { principals: [spiffe("banned")] };
	const resources = resourceSet({
		gateways: [gateway({ tls: { ...tls.gateway, clientCaFile } })],
		services: [
			service("guarded", variants, { access: null, callout: PATIENT }),
			service("judged", variants, { access: null, callout: PATIENT }),
			service("open", variants),
		],
		experiments: ["guarded", "judged"].map((name) =>
			experiment(`e-${name}`, name, [1, 1], { layer: name, stepsPpm: [1_000_000] }),
		),
		accessPolicies: [
			accessPolicy("alice", "allow", ["guarded", "judged"], { principals }),
			accessPolicy("banned", "deny", ["guarded"], banned),
			// Rules of a weighted entry replace all rules of the virtual host.
			accessPolicy("banned-everywhere", "deny", ["judged"], { ...banned, variants: ["v1", "v2"] }),
		],
	});
	return {
		tls,
		ca,
		upstream,
		async start(form, changed = (bootstrap) => bootstrap) {
			const plan: CompiledPlan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, ...FORMS[form] });
			t.equal(plan.asksSidecar, form !== "native");
			const sidecar = plan.asksSidecar ? await startSidecar(t, plan) : null;
			const bootstrap = bootstrapOf(plan, undefined, sidecar?.socketPath ?? null);
			return startEnvoy(t, (adminSocket) => changed(bootstrap(adminSocket)), { version });
		},
	};
}

/** With a unit (weighted entry) and without one (virtual host). */
async function statuses(client: Target, host: string): Promise<readonly number[]> {
	const lines = [[], ...["u1", "u2", "u3"].map((unit) => [Buffer.from(`x-user-id: ${unit}`)])];
	return Promise.all(lines.map(async (own) => (await alone(client, rawGet(host, own))).status));
}

/** Assertions of one execution on one Envoy. */
export async function identitiesAreSingle(t: Test, version: string, form: string): Promise<void> {
	const { tls, ca, upstream, start } = await scene(t, version);
	const log = join(dirname(tls.gateway.certificateFile), "access.log");
	const envoy = await start(form, (bootstrap) => logging(bootstrap, log));
	for (const [name, names] of Object.entries(GOOD)) {
		const client = tls.clientWith(envoy.port(), await ca.issue(names));
		for (const host of HOSTS) t.same(await statuses(client, host), [200, 200, 200, 200], `${name} at ${host}`);
	}
	const served = upstream.requests();
	const disguised = tls.clientWith(envoy.port(), await ca.issue(DISGUISED));
	for (const host of HOSTS) t.same(await statuses(disguised, host), [403, 403, 403, 403], `disguised at ${host}`);
	for (const [name, names] of Object.entries(BAD)) {
		const client = tls.clientWith(envoy.port(), await ca.issue(names));
		for (const host of HOSTS) t.same(await statuses(client, host), [403, 403, 403, 403], `${name} at ${host}`);
	}
	const unnamed = tls.clientWith(envoy.port(), await ca.issue(BAD["no name at all"] ?? []));
	t.match(await alone(unnamed, rawGet("guarded.test", [])), {
		status: 403,
		body: "access denied: no-single-identity\n",
	});
	const long = tls.clientWith(envoy.port(), await ca.issue(LONG));
	for (const host of HOSTS) t.same(await statuses(long, host), [403, 403, 403, 403], `a long one at ${host}`);
	t.equal(upstream.requests(), served, "no such request reached an upstream");
	const odd = await ca.issue(BAD["alice behind another id"] ?? []);
	t.same(await statuses(tls.clientWith(envoy.port(), odd), "open.test"), [200, 200, 200, 200], "an open Service");
	await envoy.stop();
	const denials = (await readFile(log, "utf8")).split("\n").filter((line) => line.startsWith("403"));
	const naming = (rule: string) => denials.filter((line) => line.replaceAll("_", " ").endsWith(`[${rule}]`));
	const named = naming(NO_SINGLE_IDENTITY);
	const tooLong = naming(`${NO_SINGLE_IDENTITY} too long`);
	t.equal(tooLong.length, HOSTS.length * 4, "the length rule refuses a long one");
	t.equal(named.length, Object.keys(BAD).length * HOSTS.length * 4 + 1, "and each names the rule");
	t.equal(
		denials.length - named.length - tooLong.length,
		HOSTS.length * 4,
		"the disguised client is judged by its own identity",
	);
}

/** Certificates that are accepted when the rule is missing. */
export async function passesWithoutTheRule(t: Test, version: string, form: string): Promise<readonly string[]> {
	const { tls, ca, start } = await scene(t, version);
	const envoy = await start(form, withoutRule);
	const passing: string[] = [];
	for (const [name, names] of Object.entries({ ...BAD, disguised: DISGUISED })) {
		const client = tls.clientWith(envoy.port(), await ca.issue(names));
		if ((await statuses(client, "guarded.test")).includes(200)) passing.push(name);
	}
	return passing;
}

/** Removes the rule, so that only TLS authenticates the client. */
function withoutRule(bootstrap: object): object {
	return JSON.parse(JSON.stringify(bootstrap), (key, value) => {
		if (key.startsWith(NO_SINGLE_IDENTITY)) return undefined;
		return key === "ids" ? value.filter((id: object) => "authenticated" in id) : value;
	});
}

/** Logs each request as `STATUS DETAILS`. */
function logging(bootstrap: object, path: string): object {
	const copy = JSON.parse(JSON.stringify(bootstrap));
	const line = "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%\n";
	copy.static_resources.listeners[0].filter_chains[0].filters.at(-1).typed_config.access_log = [
		{
			name: "file",
			typed_config: {
				"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
				path,
				log_format: { text_format_source: { inline_string: line } },
			},
		},
	];
	return copy;
}
