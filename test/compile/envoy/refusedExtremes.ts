/** Validates all extremes together with a real Envoy, and bisects them only after a refusal. */
import { staticBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { validateBootstrap } from "../../envoy/harness.js";
import { COLLECTORS, type Extreme, planOf } from "./extremes.js";

/** Envoy's time grows faster than the number of Services: each listener logs the unit headers of all of them. */
const PACK = 250;

/** @returns names of the cases that Envoy refuses, each with its words. */
export async function refusedExtremes(cases: readonly Extreme[], version?: string): Promise<readonly string[]> {
	const ofGateways = cases.filter(({ ofGateway }) => ofGateway);
	const others = cases.filter(({ ofGateway }) => !ofGateway);
	// One Service is enough for a listener and its routes: one whose limit looks at all issuers of the Gateway.
	const service = others.find(({ name }) => name.startsWith("Service spec.rateLimits.tenant."));
	const refused = (all: readonly Extreme[], beside: readonly Extreme[]): Promise<readonly string[]> =>
		search(all, async (some) => validateBootstrap(bootstrapOf([...beside, ...some]), version));
	const words: string[] = [];
	for (let at = 0; at < others.length; at += PACK) words.push(...(await refused(others.slice(at, at + PACK), [])));
	return [...words, ...(await refused(ofGateways, service === undefined ? [] : [service]))];
}

async function search(
	cases: readonly Extreme[],
	refusal: (some: readonly Extreme[]) => Promise<string | null>,
): Promise<readonly string[]> {
	const words = await refusal(cases);
	if (words === null) return [];
	const half = Math.ceil(cases.length / 2);
	if (cases.length <= 1) return cases.map(({ name }) => `${name}: ${words.trim().slice(-400)}`);
	return [...(await search(cases.slice(0, half), refusal)), ...(await search(cases.slice(half), refusal))];
}

function bootstrapOf(cases: readonly Extreme[]): object {
	return staticBootstrap(planOf(cases).envoy, {
		collectors: COLLECTORS,
		adminSocket: null,
		nodeId: "extremes",
		sidecarSocket: "/run/sidecar.sock",
		identitySocket: "/run/agent.sock",
	});
}
