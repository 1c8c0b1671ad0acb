/**
 * Sets up the OpenTelemetry SDK of this process: spans made through @opentelemetry/api are exported by OTLP/HTTP
 * protobuf, in the background and from a bounded queue. Without an endpoint nothing is exported.
 *
 * Honoured here: OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER (otlp, none), OTEL_EXPORTER_OTLP_ENDPOINT,
 * OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES. By
 * the SDK itself, from the process's own environment: OTEL_TRACES_SAMPLER and its ARG (default
 * parentbased_always_on), OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _COMPRESSION, _CERTIFICATE, OTEL_BSP_*.
 * Weir's own, if the standard variables name no endpoint: WEIR_TRACES_SOCKET, the UNIX socket (OTLP/HTTP) of the
 * embedded store, which has no TCP port.
 */
import { Agent } from "node:http";
import { connect } from "node:net";
import { context, propagation, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { tracesEndpoint } from "./tracesEndpoint.js";
import { tracesSocket } from "./tracesSocket.js";

/** Spans of this process that wait for export; beyond it new ones are dropped. */
const SPAN_EXPORT_QUEUE_MAX = 4_096;

export interface TracingOptions {
	readonly environment: Readonly<Record<string, string | undefined>>;
	/** Used if OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES set none. */
	readonly serviceName: string;
	/** Further OTLP/HTTP endpoints (full URLs): the embedded store of `weir up`. */
	readonly alsoTo?: readonly string[] | undefined;
}

export interface Tracing {
	/** Sends queued spans with a time limit, and ends tracing in this process. */
	shutdown(): Promise<void>;
}

const SHUTDOWN_MS = 3_000;

/** @throws WeirError `invalid-argument` for an unsupported exporter or protocol */
export function startTracing({ environment, serviceName, alsoTo = [] }: TracingOptions): Tracing {
	const standard = tracesEndpoint(environment);
	const disabled = environment.OTEL_SDK_DISABLED?.toLowerCase() === "true";
	const endpoints = disabled ? [] : [...new Set([...(standard === null ? [] : [standard]), ...alsoTo])];
	const socketPath = disabled || standard !== null ? null : tracesSocket(environment);
	if (endpoints.length === 0 && socketPath === null) return { shutdown: async () => {} };
	const exporters = [
		...endpoints.map((url) => new OTLPTraceExporter({ url })),
		...(socketPath === null
			? []
			: [
					new OTLPTraceExporter({
						url: "http://localhost/v1/traces",
						httpAgentOptions: () =>
							Object.assign(new Agent({ keepAlive: true }), { createConnection: () => connect(socketPath) }),
					}),
				]),
	];
	const provider = new NodeTracerProvider({
		resource: defaultResource()
			.merge(resourceFromAttributes({ "service.name": serviceName }))
			.merge(detectResources({ detectors: [envDetector] })),
		spanProcessors: exporters.map(
			(exporter) =>
				new BatchSpanProcessor(exporter, {
					maxQueueSize: SPAN_EXPORT_QUEUE_MAX,
					// Short delay: a user may run `weir trace` right after the request.
					scheduledDelayMillis: Number(environment.OTEL_BSP_SCHEDULE_DELAY ?? 500),
				}),
		),
	});
	provider.register();
	return {
		shutdown: async () => {
			let timer: NodeJS.Timeout | undefined;
			const limit = new Promise<void>((resolve) => {
				timer = setTimeout(resolve, SHUTDOWN_MS);
			});
			// An unreachable collector must not stop the shutdown.
			await Promise.race([provider.shutdown().catch(() => {}), limit]);
			clearTimeout(timer);
			trace.disable();
			context.disable();
			propagation.disable();
		},
	};
}
