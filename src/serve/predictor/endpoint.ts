/** The REST endpoints of the Open Inference Protocol v2, from a request path. Pure. */

export type Endpoint =
	| { readonly kind: "server-metadata" | "live" | "ready" }
	| {
			readonly kind: "model-metadata" | "model-ready" | "infer";
			readonly model: string;
			/** null: whichever version the server chooses. */
			readonly version: string | null;
	  };

/** @returns null for an unknown path or invalid percent-encoding */
export function endpointOf(path: string): Endpoint | null {
	if (path === "/v2" || path === "/v2/") return { kind: "server-metadata" };
	if (path === "/v2/health/live") return { kind: "live" };
	if (path === "/v2/health/ready") return { kind: "ready" };
	if (!path.startsWith("/v2/models/")) return null;
	let segments: string[];
	try {
		segments = path.slice("/v2/models/".length).split("/").map(decodeURIComponent);
	} catch {
		return null;
	}
	const [model, ...rest] = segments;
	if (model === undefined || model === "") return null;
	const versioned = rest[0] === "versions";
	if (versioned && (rest[1] === undefined || rest[1] === "")) return null;
	const version = versioned ? (rest[1] ?? null) : null;
	const [action, ...beyond] = versioned ? rest.slice(2) : rest;
	if (beyond.length > 0) return null;
	if (action === undefined) return { kind: "model-metadata", model, version };
	if (action === "ready") return { kind: "model-ready", model, version };
	if (action === "infer") return { kind: "infer", model, version };
	return null;
}

/** The one method of an endpoint. HEAD goes wherever GET goes (RFC 9110, section 9.3.2). */
export function methodOf(endpoint: Endpoint): "GET" | "POST" {
	return endpoint.kind === "infer" ? "POST" : "GET";
}

/** Low-cardinality route template, for spans and metrics (OpenTelemetry `http.route`). */
export function routeTemplate(endpoint: Endpoint): string {
	switch (endpoint.kind) {
		case "server-metadata":
			return "/v2";
		case "live":
			return "/v2/health/live";
		case "ready":
			return "/v2/health/ready";
		default: {
			const model = endpoint.version === null ? "/v2/models/{model}" : "/v2/models/{model}/versions/{version}";
			if (endpoint.kind === "model-metadata") return model;
			return `${model}/${endpoint.kind === "infer" ? "infer" : "ready"}`;
		}
	}
}
