/** The requirement of a signed decision. */
import type { IncomingMessage } from "node:http";
import type { CheckDecision, GoodDecision } from "./ports.js";

/** Each request except health checks needs a decision for this Service and Variant. */
export interface DecisionDemand {
	readonly service: string;
	readonly variant: string;
	readonly check: CheckDecision;
}

/** The valid decision, or the reason of the refusal. A check that throws refuses. */
export async function decisionFor(
	{ service, variant, check }: DecisionDemand,
	request: IncomingMessage,
	path: string,
): Promise<GoodDecision | string> {
	const decisions = request.headersDistinct["x-weir-decision"] ?? [];
	if (decisions.length === 0) return "it carries none";
	try {
		return await check({ decisions, method: request.method ?? "", path, service, variant });
	} catch {
		return "it could not be checked";
	}
}
