/** Where the standard variables send spans, apart from the SDK, whose packages who only asks for this does without. */
import { WeirError } from "../../error.js";

/**
 * Where the standard variables send spans; null = nowhere.
 * Source: OpenTelemetry specification, "OpenTelemetry Protocol Exporter": the general endpoint gets /v1/traces
 * appended, the one for traces is taken as it is.
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
