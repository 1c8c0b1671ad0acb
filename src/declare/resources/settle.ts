/** How long after its window a unit's observation is made. */
import { ACCESS_LOG_FLUSH_MS, SETTLE_DEFAULT_MS } from "../../limits/index.js";
import type { Metric } from "./resource.js";

/**
 * In ms. An entry may lie one flush in Envoy and one in ingest; a request may last until its timeout.
 * @param timeoutMs the Service's; 0: none
 */
export function settleMs(source: Metric["spec"]["source"], timeoutMs: number): number {
	const delivery = 2 * ACCESS_LOG_FLUSH_MS;
	return source === "outcome" ? delivery : delivery + countedTimeoutMs(timeoutMs);
}

/** How long a request is waited for: where it may last for ever, as long as most do. @param timeoutMs the Service's; 0: none */
function countedTimeoutMs(timeoutMs: number): number {
	return timeoutMs > 0 ? timeoutMs : SETTLE_DEFAULT_MS;
}
