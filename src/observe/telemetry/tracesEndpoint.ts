/** Separate from tracing.ts, so that reading the endpoint does not load the OpenTelemetry SDK. */
import { WeirError } from "../../error.js";

/**
 * The spans' endpoint by the standard variables; null = none.
 * Source: OpenTelemetry specification, "OpenTelemetry Protocol Exporter": /v1/traces is appended to the general
 * endpoint, the endpoint for traces is used unchanged.
 */
export function tracesEndpoint(environment: Readonly<Record<string, string | undefined>>): string | null {
	const exporter = environment.OTEL_TRACES_EXPORTER?.trim() || "otlp";
	if (exporter === "none") return null;
	if (exporter !== "otlp") {
		throw new WeirError("invalid-argument", `OTEL_TRACES_EXPORTER is '${exporter}'`, "use otlp or none");
	}
	const own = environment.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT?.trim();
	const general = environment.OTEL_EXPORTER_OTLP_ENDPOINT?.trim();
	if (!own && !general) return null;
	const protocol =
		environment.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL?.trim() || environment.OTEL_EXPORTER_OTLP_PROTOCOL?.trim();
	if (protocol && protocol !== "http/protobuf") {
		throw new WeirError("invalid-argument", `OTEL_EXPORTER_OTLP_PROTOCOL is '${protocol}'`, "use http/protobuf");
	}
	return own || `${general?.replace(/\/+$/, "")}/v1/traces`;
}
