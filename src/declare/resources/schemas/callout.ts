/** Service spec.callout: what the sidecar does for the Service, and what happens when it fails. */
import { duration, refuse } from "../fields/scalar.js";
import { fields, flag, oneOf } from "../fields/strict.js";
import type { Callout } from "../resource.js";

/** Longest timeout that a Service may set. Envoy has one timeout per Gateway, so it delays every failed callout. */
const CALLOUT_TIMEOUT_MS_MAX = 10_000;

export const callout = fields({
	access: oneOf("native", "sidecar").default("native").meta({
		description:
			"native (default): Envoy decides access where it can. sidecar: the sidecar decides every request, with a reason and a trace span.",
	}),
	timeout: duration(1)
		.prefault("200ms")
		.transform((ms, context) => (ms > CALLOUT_TIMEOUT_MS_MAX ? refuse(context, "write at most 10s") : ms))
		.meta({
			description:
				"How long Envoy waits for the sidecar, at most 10s; default 200ms. A Gateway uses the longest timeout of its Services.",
		}),
	onFailure: oneOf("deny", "default-variant").default("deny").meta({
		description:
			"If the sidecar does not answer: deny (default) responds 503; default-variant uses the default Variant, if the sidecar does not decide access.",
	}),
	maxStaleness: duration(1).prefault("10m").meta({
		description:
			"Maximum time since control last confirmed the sidecar's table; default 10m. With an older table, access rules deny.",
	}),
	onStale: oneOf("deny", "assign").default("deny").meta({
		description:
			"If the table is older than maxStaleness and the sidecar does not decide access: deny (default) responds 503; assign still assigns.",
	}),
	sign: flag.default(false).meta({
		description:
			"Whether the sidecar signs each decision in the header x-weir-decision, which the predictor can require. Default false.",
	}),
})
	.transform(
		(value): Callout => ({
			access: value.access,
			timeoutMs: value.timeout,
			onFailure: value.onFailure,
			maxStalenessMs: value.maxStaleness,
			onStale: value.onStale,
			sign: value.sign,
		}),
	)
	.prefault({})
	.meta({ description: "Callouts to the sidecar. Envoy calls it only for Services that need it." });
