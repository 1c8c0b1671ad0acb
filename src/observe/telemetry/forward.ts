/**
 * Forwards Envoy's spans, redacted, to the collector of the standard OTEL_ variables; Weir's own processes export
 * theirs directly. While too many exports are running, new ones are dropped and counted.
 */
import type { Meter } from "./meter.js";
import { redactTraces } from "./otlp.js";

/** Exports of Envoy's spans in transfer: a hanging collector holds at most this times 4 MB. */
const OTLP_FORWARDS_MAX = 16;

const TIMEOUT_MS = 10_000;

/** @param endpoint full URL of OTLP/HTTP (tracesEndpoint) */
export function traceForwarder(endpoint: string, meter?: Meter): (bytes: Uint8Array) => void {
	let underWay = 0;
	const lost = (): void => meter?.count("weir_span_forwards_lost_total", "Exports of Envoy's spans not forwarded.");
	return (bytes) => {
		if (underWay >= OTLP_FORWARDS_MAX) {
			lost();
			return;
		}
		underWay++;
		fetch(endpoint, {
			method: "POST",
			headers: { "content-type": "application/x-protobuf" },
			body: redactTraces(bytes) as Uint8Array<ArrayBuffer>,
			signal: AbortSignal.timeout(TIMEOUT_MS),
		})
			.then(async (answer) => {
				await answer.arrayBuffer();
				if (!answer.ok) lost();
			})
			.catch(lost)
			.finally(() => {
				underWay--;
			});
	};
}
