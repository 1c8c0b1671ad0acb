/** Refuses a Gateway as an endpoint of a Service: its requests would loop. */

import { resourceTitle } from "../position.js";
import type { Check } from "./report.js";
import { serverKey } from "./serverOwner.js";

/**
 * Endpoints at a Gateway's own address and port. A DNS name, or a local address if the Gateway listens on all of them,
 * cannot be checked without I/O: Envoy refuses looped requests (compile/envoy/loopDetection.ts).
 */
export function loopProblems({ set, report }: Check): void {
	const gateways = new Map(
		set.gateways
			// 0 = any free port.
			.filter(({ spec }) => spec.port !== 0)
			.map((gateway) => [serverKey(gateway.spec.address, gateway.spec.port), gateway]),
	);
	for (const service of set.services) {
		for (const [index, { endpoints }] of service.spec.variants.entries()) {
			for (const [at, { address, port }] of endpoints.entries()) {
				const gateway = gateways.get(serverKey(address, port));
				if (gateway === undefined) continue;
				const message = `endpoint ${address}:${port} is where ${resourceTitle(gateway)} listens`;
				const hint = "name the Service's own servers: a request would come back to the Gateway for ever";
				report(service, ["spec", "variants", index, "endpoints", at], message, hint);
			}
		}
	}
}
