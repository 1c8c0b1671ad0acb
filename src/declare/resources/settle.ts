/** How long after its window a unit's observation is final. */
import { ACCESS_LOG_FLUSH_MS } from "../../limits/index.js";
import type { Metric } from "./resource.js";

/** Settling time of a metric whose Service has no timeout. An unfinished request is then a failure. */
const SETTLE_DEFAULT_MS = 5_000;

/**
 * In ms: a log entry may wait one flush in Envoy and one in ingest, and a request may last until its timeout.
 * @param timeoutMs the Service's; 0: none
 */
export function settleMs(source: Metric["spec"]["source"], timeoutMs: number): number {
	const delivery = 2 * ACCESS_LOG_FLUSH_MS;
	return source === "outcome" ? delivery : delivery + countedTimeoutMs(timeoutMs);
}

/** Longest duration of a request that counts; most are shorter. @param timeoutMs the Service's; 0: none */
function countedTimeoutMs(timeoutMs: number): number {
	return timeoutMs > 0 ? timeoutMs : SETTLE_DEFAULT_MS;
}
