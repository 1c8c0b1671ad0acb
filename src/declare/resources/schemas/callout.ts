/** Service spec.callout: what the sidecar does for the Service, and what happens when it fails. */
import { duration, refuse } from "../fields/scalar.js";
import { fields, flag, oneOf } from "../fields/strict.js";
import type { Callout } from "../resource.js";

/** Longest timeout that a Service may set. Envoy has one timeout per Gateway, so it delays every failed callout. */
const CALLOUT_TIMEOUT_MS_MAX = 10_000;

export const callout = fields({
	access: oneOf("native", "sidecar").default("native").meta({
		description: "sidecar: it decides every request, with a reason and a span. native: Envoy does where it can.",
	}),
	timeout: duration(1)
		.prefault("200ms")
		.transform((ms, context) => (ms > CALLOUT_TIMEOUT_MS_MAX ? refuse(context, "write at most 10s") : ms))
		.meta({ description: "How long Envoy waits for the sidecar; of all Services of a Gateway the longest counts." }),
	onFailure: oneOf("deny", "default-variant")
		.default("deny")
		.meta({ description: "No answer: 503, or the default Variant where the sidecar decides no access." }),
	maxStaleness: duration(1)
		.prefault("10m")
		.meta({ description: "Since control last confirmed the sidecar's table; beyond it access rules deny." }),
	onStale: oneOf("deny", "assign")
		.default("deny")
		.meta({ description: "A table beyond that age, where the sidecar decides no access: 503, or still assign." }),
	sign: flag
		.default(false)
		.meta({ description: "The sidecar signs each decision, for the predictor to demand (x-weir-decision)." }),
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
	.meta({ description: "The sidecar's part; without need it is never asked." });
