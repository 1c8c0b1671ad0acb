/**
 * Check of grpc.health.v1 (grpc/grpc doc/health-checking.md), without generated code. `liveness` is always SERVING; other
 * names are SERVING when the sidecar can decide. Watch is UNIMPLEMENTED, so clients poll.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { GRPC, GrpcFailure, type Reply } from "./service.js";

export const HEALTH_CHECK = "/grpc.health.v1.Health/Check";

/** The names that Envoy and the Gateway API inference extension probe, and the services themselves. */
const READINESS: ReadonlySet<string> = new Set([
	"",
	"readiness",
	"envoy.service.auth.v3.Authorization",
	"envoy.service.ext_proc.v3.ExternalProcessor",
]);

/** HealthCheckResponse, field 1: SERVING 1, NOT_SERVING 2. */
const SERVING: Uint8Array = Uint8Array.of(0x08, 1);
const NOT_SERVING: Uint8Array = Uint8Array.of(0x08, 2);
const UNKNOWN = new GrpcFailure(GRPC.NOT_FOUND, "unknown service");
const MALFORMED = new GrpcFailure(GRPC.INTERNAL, "malformed HealthCheckRequest");

export class Health {
	#serving = false;

	/** Not serving until this is called with true. */
	setServing(serving: boolean): void {
		this.#serving = serving;
	}

	/** @param request a serialised HealthCheckRequest */
	check(request: Uint8Array): Reply {
		const service = serviceOf(request);
		if (service === null) return MALFORMED;
		if (service === "liveness") return SERVING;
		if (!READINESS.has(service)) return UNKNOWN;
		return this.#serving ? SERVING : NOT_SERVING;
	}
}

/** Field 1 of HealthCheckRequest; null if the bytes are no message. */
function serviceOf(request: Uint8Array): string | null {
	try {
		const reader = new BinaryReader(request);
		let service = "";
		while (reader.pos < reader.len) {
			const [field, type] = reader.tag();
			if (field === 1 && type === WireType.LengthDelimited) service = reader.string();
			else reader.skip(type, field);
		}
		return service;
	} catch {
		return null;
	}
}
