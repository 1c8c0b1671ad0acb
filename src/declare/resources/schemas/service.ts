/** Service: a host name that clients call through the mesh, with its Variants. */

import { z } from "zod";
import { XDS_ACK_TIMEOUT_MS } from "../../../limits/index.js";
import { endpointAddress, hostName, requestPath } from "../fields/host.js";
import { anyText, duration, name, reference, refuse, region } from "../fields/scalar.js";
import { fields, list, oneOf, orList, refuseRepeats, whole, withHint } from "../fields/strict.js";
import { machineAddress } from "../machineAddress.js";
import { PLAIN_TEXT } from "../plainText.js";
import type { Path } from "../position.js";
import type { HealthCheck, Service, Variant } from "../resource.js";
import { isOwnPart } from "../spiffe.js";
import { callout } from "./callout.js";
import { resource } from "./metadata.js";
import { identities, undeclaredPlainText } from "./upstreamTls.js";

/** Hosts of one Service, and endpoints of one Variant: far above any that is written or generated. */
const HOSTS_MAX = 1_000;
const ENDPOINTS_MAX = 5_000;

/** Shortest interval of a rate limit: Envoy refills a bucket no more often and rejects a shorter one. */
const RATE_MS_MIN = 50;

/**
 * Longest timeout of a health check: the ACK of a changed cluster waits for the first check. The other half of
 * XDS_ACK_TIMEOUT_MS is for DNS. The interval delays nothing.
 */
const HEALTH_CHECK_TIMEOUT_MS_MAX = XDS_ACK_TIMEOUT_MS / 2;

/**
 * Envoy's retry_on conditions (router filter, x-envoy-retry-on) that need no list of codes or headers. The first two are
 * safe, as the server has not begun the request. The others may repeat one: fine for inference, not for payments.
 */
export const RETRY_CONDITIONS = [
	"connect-failure",
	"refused-stream",
	"reset-before-request",
	"reset",
	"gateway-error",
	"5xx",
	"retriable-4xx",
] as const;

/** Envoy's retry_on conditions on the gRPC status (x-envoy-retry-grpc-on). */
export const GRPC_RETRY_CONDITIONS = [
	"cancelled",
	"deadline-exceeded",
	"internal",
	"resource-exhausted",
	"unavailable",
] as const;

const OWN_PART_HINT = "name your servers: under /weir/ only predictors are called through Envoy";

const OWN_ADDRESS_HINT =
	"name a server of yours: callers would reach what Envoy's machine alone may, its credentials too";

const ZONE_HINT = "write the name of a zone or sub-zone";

const endpoint = fields({
	address: endpointAddress.transform((value, context): string => {
		const own = machineAddress(value);
		return own === null ? value : refuse(context, OWN_ADDRESS_HINT, `is ${value}, ${own}`);
	}),
	port: whole(1, 65_535),
	locality: fields({
		region,
		zone: anyText(ZONE_HINT).default(""),
		subZone: anyText(ZONE_HINT).default(""),
	})
		.nullable()
		.default(null),
});

const MODEL = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}@(sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9._-]{0,127})$/;

const variant = fields({
	name,
	model: z
		.string({ error: "write NAME@ALIAS or NAME@sha256:…, a model of the store" })
		.regex(MODEL, { error: "write NAME@ALIAS or NAME@sha256:…, a model of the store" })
		.optional()
		.meta({
			description:
				"Model that the Variant serves: NAME@ALIAS follows an alias of the store (weir model alias), NAME@sha256:… is fixed. Without endpoints, the predictor of weir up or of weir control --predictor serves it.",
		}),
	endpoints: list(endpoint, "write a list of {address, port}, or [] for none")
		.max(ENDPOINTS_MAX, { error: `write at most ${ENDPOINTS_MAX} endpoints` })
		.superRefine((endpoints, context) => {
			refuseRepeats(
				endpoints,
				({ address, port }) => `${address}:${port}`,
				(index, first, key) => {
					const message = withHint(`repeats ${key}, endpoint ${first} of the list`, "remove one of them");
					context.addIssue({ code: "custom", path: [index], message });
				},
			);
		})
		.optional()
		.meta({ description: "Servers of the Variant; [] for none. May be left out for a Variant with a model." }),
}).transform(({ name, endpoints, model }, context): Variant => {
	if (endpoints === undefined && model === undefined) {
		const message = withHint("is missing", "write a list of {address, port}, [] for none, or name a model");
		context.addIssue({ code: "custom", path: ["endpoints"], message });
	}
	return { name, endpoints: endpoints ?? [], ...(model === undefined ? {} : { model }) };
});

const retries = fields({
	attempts: whole(1, 10)
		.default(1)
		.meta({ description: "Retries after the first attempt, all on the same Variant; default 1." }),
	on: list(
		z.enum([...RETRY_CONDITIONS, ...GRPC_RETRY_CONDITIONS], {
			error: `write ${orList([...RETRY_CONDITIONS, ...GRPC_RETRY_CONDITIONS])}`,
		}),
		"write a list of conditions such as [connect-failure, refused-stream]",
	)
		.min(1, { error: "write at least one condition such as connect-failure" })
		.default(["connect-failure", "refused-stream"])
		.meta({
			description:
				"Envoy retry_on conditions; those on a gRPC status need protocol grpc. Default connect-failure and refused-stream.",
		}),
	perTryTimeout: duration(0)
		.prefault("0s")
		.meta({ description: "Timeout of each attempt; default 0s, the timeout of the Service." }),
});

const HEALTH_TIMEOUT_HINT = `write at most ${HEALTH_CHECK_TIMEOUT_MS_MAX / 1_000}s: Envoy takes a changed Service, and all that came with it, only after the first check`;

const healthCheck = fields({
	path: requestPath
		.optional()
		.meta({ description: "HTTP path of the check; required except for protocol grpc, which uses grpc.health.v1." }),
	interval: duration(1_000).prefault("5s"),
	timeout: duration(1, { ms: HEALTH_CHECK_TIMEOUT_MS_MAX, hint: HEALTH_TIMEOUT_HINT }).prefault("1s"),
	healthyThreshold: whole(1, 100).default(2),
	unhealthyThreshold: whole(1, 100).default(3),
}).transform(
	(value): HealthCheck => ({
		path: value.path ?? null,
		intervalMs: value.interval,
		timeoutMs: value.timeout,
		healthyThreshold: value.healthyThreshold,
		unhealthyThreshold: value.unhealthyThreshold,
	}),
);

const outlierDetection = fields({
	consecutive5xx: whole(1, 1_000).default(5),
	interval: duration(1).prefault("10s"),
	baseEjectionTime: duration(1).prefault("30s"),
	maxEjectionPercent: whole(0, 100).default(50),
}).transform(({ interval, baseEjectionTime, ...rest }) => ({
	...rest,
	intervalMs: interval,
	baseEjectionTimeMs: baseEjectionTime,
}));

const circuitBreaker = fields({
	maxConnections: whole(1, 1_000_000).default(1_024),
	maxPendingRequests: whole(1, 1_000_000).default(1_024),
	maxRequests: whole(1, 1_000_000).default(1_024),
	maxRetries: whole(1, 1_000_000).default(3),
});

const HOSTS_HINT = "write a list of at least one host name";
const VARIANTS_HINT = "write a list of at least one variant with name, and endpoints or a model";

const rate = fields(
	{ requests: whole(1, 1_000_000_000), per: duration(RATE_MS_MIN).prefault("1s") },
	"write {requests: 100, per: 1s}",
)
	.transform(({ requests, per }) => ({ requests, perMs: per }))
	.nullable()
	.default(null);

const spec = fields({
	hosts: list(hostName, HOSTS_HINT)
		.min(1, { error: HOSTS_HINT })
		.max(HOSTS_MAX, { error: `write at most ${HOSTS_MAX} hosts` })
		.meta({
			description:
				"Host names that clients call. *.NAME matches all subdomains that no other host matches more exactly; NAME has at least two labels.",
		}),
	protocol: oneOf("http1", "http2", "grpc")
		.default("http1")
		.meta({ description: "Protocol of the endpoints; default http1." }),
	access: z
		.literal("open", { error: "write access: open, or leave it out and select the Service by an AccessPolicy" })
		.optional()
		.meta({ description: "open: any client may call. Default: an AccessPolicy must select the Service." }),
	defaultVariant: name.meta({ description: "Variant for all traffic that no Experiment assigns." }),
	variants: list(variant, VARIANTS_HINT).min(1, { error: VARIANTS_HINT }),
	timeout: duration(0).prefault("0s").meta({ description: "Timeout of the whole request; default 0s, no timeout." }),
	retries: retries.nullable().default(null),
	healthCheck: healthCheck.nullable().default(null),
	outlierDetection: outlierDetection.nullable().default(null),
	circuitBreaker: circuitBreaker.nullable().default(null),
	noEndpoint: oneOf("fail", "default-variant").default("fail").meta({
		description:
			"For a Variant without declared endpoints: fail (default) responds 503; default-variant uses the default Variant.",
	}),
	callout,
	dataClass: reference.nullable().default(null).meta({
		description: "DataClass of the Service: NAME, or NAMESPACE/NAME if a ReferenceGrant allows it. Default: none.",
	}),
	identities,
	rateLimits: fields({ service: rate, principal: rate, tenant: rate }).prefault({}).meta({
		description:
			"Rate limits per Gateway and Envoy; denied requests count too. Beyond a limit the response is 429. Order: principal, service, tenant. Default: none.",
	}),
}).transform(({ timeout, access, retries, identities, ...rest }, context): Service["spec"] => {
	const report = (path: Path, what: string, hint: string): void => {
		context.issues.push({ code: "custom", message: withHint(what, hint), path: [...path], input: rest });
	};
	const grpc = rest.protocol === "grpc";
	if (rest.healthCheck !== null && grpc !== (rest.healthCheck.path === null)) {
		if (grpc) report(["healthCheck", "path"], "is given for protocol grpc", "remove it: grpc.health.v1 has no path");
		else report(["healthCheck", "path"], "is missing", "add a path such as /v2/health/ready");
	}
	for (const [index, condition] of (grpc ? [] : (retries?.on ?? [])).entries()) {
		if (!GRPC_RETRY_CONDITIONS.some((known) => known === condition)) continue;
		const hint = `write ${orList(RETRY_CONDITIONS)}, or protocol: grpc`;
		report(["retries", "on", index], `is ${condition}, a gRPC status, with protocol ${rest.protocol}`, hint);
	}
	const unsaid = undeclaredPlainText({ ...rest, access: access ?? null, identities });
	if (unsaid !== null) report(unsaid.path, unsaid.what, unsaid.hint);
	const ids = identities === PLAIN_TEXT ? null : identities;
	// Envoy presents its own SVID to endpoints: control and the sidecar would accept its clients as the Envoy.
	for (const [index, id] of (ids ?? []).entries()) {
		if (isOwnPart(id)) report(["identities", index], `is ${id}, a part of the mesh itself`, OWN_PART_HINT);
	}
	refuseRepeats(
		rest.variants,
		(item) => item.name,
		(index, first, key) => {
			report(["variants", index, "name"], `repeats ${key}, variant ${first} of the list`, "give each its own name");
		},
	);
	return {
		...rest,
		access: access ?? null,
		identities: ids,
		timeoutMs: timeout,
		retries:
			retries === null ? null : { attempts: retries.attempts, on: retries.on, perTryTimeoutMs: retries.perTryTimeout },
	};
});

export const serviceSchema: z.ZodType<Service> = resource(
	"Service",
	"A host that clients call through the mesh, with its Variants and their endpoints.",
	spec,
);
