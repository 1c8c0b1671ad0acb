/**
 * The declaration of the callout benchmarks: one Service with an AccessPolicy and an Experiment, behind a Gateway with mTLS;
 * and the part of it that the sidecar evaluates.
 */

import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import type { CalloutProtocol, Collectors, CompiledPlan } from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { GatewayTls } from "../../../src/declare/resources/resource.js";
import { spiffe } from "../../compile/access/mutualTls.js";
import { accessPolicy, CALLOUT, experiment, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";

/** A name that the Gateway's test certificate has. */
export const HOST = "gateway.test";
export const ALLOWED_PATH = "/v2/models/m/infer";
export const FORBIDDEN_PATH = "/admin";
export const CLIENT = "client";

/** A busy machine must not fail requests; the production value is 200 ms. */
const TIMEOUT_MS = 2_000;

export interface Declared {
	/** The Service has an AccessPolicy; else it is open. */
	readonly access: boolean;
	readonly experiment: boolean;
	/** The part that the sidecar evaluates: nothing, the verdict alone (Envoy sends it the arm), or all. */
	readonly sidecar: "nothing" | "verdict" | "everything";
	/** The Gateway shows the arm to clients, which ext_proc does with a second message per request. Off by default. */
	readonly exposeArm?: boolean;
	/** The default is ext_authz. */
	readonly protocol?: CalloutProtocol;
}

const MODES = { nothing: "native", verdict: "auto", everything: "callout" } as const;

/** @param ports of the upstreams on the loopback interface, one per Variant */
export function planOf(
	declared: Declared,
	tls: GatewayTls,
	ports: readonly number[],
	collectors: Collectors = NO_COLLECTORS,
): CompiledPlan {
	const resources = resourceSet({
		gateways: [gateway({ tls, exposeArm: declared.exposeArm ?? false })],
		services: [
			service(
				"bench",
				ports.map((port, index) => variant(`v${index + 1}`, port)),
				{
					hosts: [HOST],
					access: declared.access ? null : "open",
					callout: {
						...CALLOUT,
						access: declared.sidecar === "verdict" ? "sidecar" : "native",
						timeoutMs: TIMEOUT_MS,
					},
				},
			),
		],
		experiments: declared.experiment ? [experiment("e", "bench", [1, 1], { stepsPpm: [500_000] })] : [],
		accessPolicies: declared.access
			? [
					accessPolicy("clients", "allow", ["bench"], {
						principals: [spiffe(CLIENT), spiffe("batch")],
						methods: ["GET", "POST"],
						pathPrefixes: ["/v2/models"],
					}),
				]
			: [],
	});
	return compile(resources, EMPTY_STATUS, {
		collectors,
		mode: MODES[declared.sidecar],
		...(declared.protocol && { protocol: declared.protocol }),
	});
}
