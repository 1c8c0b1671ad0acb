/** Bootstraps that use every field the compiler knows, for the validation tests of both tiers. */
import { dynamicBootstrap, staticBootstrap } from "../../src/compiler/bootstrap.js";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import type { Collectors } from "../../src/compiler/plan.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { mutualTls } from "../access/mutualTls.js";
import { accessPolicy, experiment, gateway, resourceSet, service, variant } from "../fixtures/resources.js";

const collectors: Collectors = {
	accessLogSocket: "/run/weir/als.sock",
	tracesSocket: "/run/weir/otlp.sock",
	traceSamplingPercent: 1,
};

export async function bootstraps(t: {
	teardown(run: () => Promise<void>): unknown;
}): Promise<Readonly<Record<"minimal" | "full" | "dynamic" | "bare dynamic", object>>> {
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
			accessPolicy("deny", "deny", ["everything"], { pathPrefixes: ["/admin"] }),
		],
	});
	const minimal = resourceSet({ services: [service("s", [variant("v1", 9001)])] });
	const common = { adminSocket: "/run/weir/admin.sock", nodeId: "n" };
	return {
		minimal: staticBootstrap(compile(minimal, EMPTY_STATUS, { collectors: NO_COLLECTORS }).envoy, {
			collectors: NO_COLLECTORS,
			adminSocket: null,
			nodeId: "n",
		}),
		full: staticBootstrap(compile(full, EMPTY_STATUS, { collectors }).envoy, { ...common, collectors }),
		dynamic: dynamicBootstrap("/run/weir/ads.sock", { ...common, collectors }),
		"bare dynamic": dynamicBootstrap("/run/weir/ads.sock", {
			collectors: NO_COLLECTORS,
			adminSocket: null,
			nodeId: "n",
		}),
	};
}
