/** Bootstraps that use every field the compiler knows, for the validation tests of both tiers. */
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CompileOptions, compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap, staticBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import type { Collectors } from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { ResourceSet } from "../../../src/declare/resources/resource.js";
import {
	accessPolicy,
	experiment,
	gateway,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../../fixtures/resources.js";
import { mutualTls } from "../access/mutualTls.js";
import { build, NATIVE, neighbours } from "./neighbours.js";

const collectors: Collectors = {
	accessLogSocket: "/run/weir/als.sock",
	tracesSocket: "/run/weir/otlp.sock",
	traceSamplingPercent: 1,
};

interface Scope {
	teardown(run: () => Promise<void>): unknown;
}

type StaticName =
	| "minimal"
	| "full"
	| "native units"
	| "ext_authz"
	| "ext_proc"
	| "all by ext_authz"
	| "all by ext_proc";
type BootstrapName = StaticName | "dynamic" | "bare dynamic" | "dynamic with a sidecar";

export async function bootstraps(t: Scope): Promise<Readonly<Record<BootstrapName, object>>> {
	const tls = await mutualTls(t);
	const variants = [variant("v1", 9001), variant("v2", 9002, 9003), variant("v3")];
	const full = resourceSet({
		gateways: [
			gateway({ tls: tls.gateway }, "secure"),
			gateway({ tls: { ...tls.gateway, clientCaFile: null } }, "tls"),
		],
		services: [
			service("everything", variants, {
				access: null,
				timeoutMs: 1_500,
				retries: { attempts: 2, on: ["connect-failure", "refused-stream"], perTryTimeoutMs: 250 },
				healthCheck: { path: "/health", intervalMs: 1000, timeoutMs: 500, healthyThreshold: 1, unhealthyThreshold: 2 },
				outlierDetection: { consecutive5xx: 5, intervalMs: 1000, baseEjectionTimeMs: 1500, maxEjectionPercent: 50 },
				circuitBreaker: { maxConnections: 10, maxPendingRequests: 20, maxRequests: 30, maxRetries: 3 },
				noEndpoint: "default-variant",
			}),
			service(
				"rpc",
				[variant("v1", 9001), { name: "v2", endpoints: [{ address: "localhost", port: 1, locality: null }] }],
				{
					protocol: "grpc",
					healthCheck: { path: null, intervalMs: 1000, timeoutMs: 500, healthyThreshold: 1, unhealthyThreshold: 2 },
					namespace: "prod",
				},
			),
		],
		experiments: [
			experiment("first", "everything", [1, 2, 3], { slotPpm: [0, 300_000] }),
			experiment("second", "everything", [1, 2], { slotPpm: [300_000, 1_000_000] }),
			experiment("third", "rpc", [1, 1], { namespace: "prod" }),
		],
		accessPolicies: [
			accessPolicy("allow", "allow", ["everything"], {
				principals: ["spiffe://a/b"],
				methods: ["GET"],
				pathPrefixes: ["/", "/v2/"],
			}),
			accessPolicy("deny", "deny", ["everything"], {
				pathPrefixes: ["/admin"],
				// Longer than Envoy's own bound of regular expressions.
				pathTemplates: [
					"/apis/serving.example.com/v1/namespaces/{namespace}/models/{model}/versions/{version}/predict",
				],
			}),
		],
	});
	const minimal = resourceSet({ services: [service("s", [variant("v1", 9001)])] });
	const common = { adminSocket: "/run/weir/admin.sock", nodeId: "n" };
	const sidecarSocket = "/run/weir/sidecar.sock";
	const tokens = [
		tokenIssuer("https://a.test", ["weir"], await jwksFile(t)),
		tokenIssuer("https://b.test", ["weir", "models"], await jwksFile(t)),
	];
	const units = (services: readonly string[] | undefined, options: Partial<CompileOptions>): object => {
		const plan = build(withParameters(neighbours(services, tokens)), { collectors, ...options });
		return staticBootstrap(plan.envoy, {
			...common,
			collectors,
			sidecarSocket: plan.asksSidecar ? sidecarSocket : null,
		});
	};
	return {
		minimal: staticBootstrap(compile(minimal, EMPTY_STATUS, { collectors: NO_COLLECTORS }).envoy, {
			collectors: NO_COLLECTORS,
			adminSocket: null,
			nodeId: "n",
		}),
		full: staticBootstrap(compile(full, EMPTY_STATUS, { collectors }).envoy, { ...common, collectors }),
		"native units": units([...NATIVE], { mode: "native" }),
		ext_authz: units(undefined, { protocol: "ext_authz" }),
		ext_proc: units(undefined, { protocol: "ext_proc" }),
		"all by ext_authz": units(undefined, { protocol: "ext_authz", mode: "callout" }),
		"all by ext_proc": units(undefined, { protocol: "ext_proc", mode: "callout", sidecar: "always" }),
		"dynamic with a sidecar": dynamicBootstrap("/run/weir/ads.sock", { ...common, collectors, sidecarSocket }),
		dynamic: dynamicBootstrap("/run/weir/ads.sock", { ...common, collectors }),
		"bare dynamic": dynamicBootstrap("/run/weir/ads.sock", {
			collectors: NO_COLLECTORS,
			adminSocket: null,
			nodeId: "n",
		}),
	};
}

/** A second Experiment on each Service, with parameters that are valid only with doubled percent signs. */
function withParameters(set: ResourceSet): ResourceSet {
	const parameters = { share: "50%", command: "%NONSENSE(x)% %" };
	const arms = [
		{ name: "a", variant: "v1", weight: 1, baseline: true, parameters: { temperature: "0.2" } },
		{ name: "b", variant: "v2", weight: 1, baseline: false, parameters },
	];
	const second = set.experiments.map(({ metadata, spec }) => {
		// Same as the first Experiment's, because these fields may keep the Service native.
		const weighted = arms.map((arm, index) => ({ ...arm, weight: spec.arms[index]?.weight ?? 1 }));
		return experiment(`second-${metadata.name}`, spec.service, weighted, {
			layer: spec.layer.name,
			unit: spec.unit,
			slotPpm: [400_000, 1_000_000],
		});
	});
	return { ...set, experiments: [...set.experiments, ...second] };
}

/** A file with one public key: Envoy reads it when it validates. */
async function jwksFile(t: Scope): Promise<string> {
	const directory = await mkdtemp(join(tmpdir(), "weir-jwks-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const file = join(directory, "keys.json");
	const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
	const key = { ...publicKey.export({ format: "jwk" }), kid: "k1", alg: "ES256", use: "sig" };
	await writeFile(file, JSON.stringify({ keys: [key] }));
	return file;
}
