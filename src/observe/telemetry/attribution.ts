/**
 * Derives span attributes. Envoy tags a span with the arm header and the cluster only, because each tag costs CPU on
 * every request, sampled or not (measured: eight tags cost 6 µs). Service, variant and experiment are derived from these
 * two, only for sampled spans.
 */
import type { AttributeValue } from "./attributePolicy.js";

/** OpenTelemetry semantic conventions, feature flags: the provider's name. */
const PROVIDER = "weir";

type Attributes = Readonly<Record<string, AttributeValue>>;

/** Derived attributes that are not given yet. Names: weir.*, and feature_flag.* of the semantic conventions. */
export function impliedAttributes(given: Attributes): Attributes {
	const arm = splitLast(given["weir.arm"]);
	const cluster = splitLast(given["upstream_cluster.name"] ?? given.upstream_cluster);
	const implied: Record<string, AttributeValue> = {
		...(arm === null
			? {}
			: {
					"weir.experiment": arm.head,
					"feature_flag.key": arm.head,
					"feature_flag.result.variant": arm.tail,
					"feature_flag.provider.name": PROVIDER,
				}),
		...(cluster === null ? {} : { "weir.service": cluster.head, "weir.variant": cluster.tail }),
	};
	return Object.fromEntries(Object.entries(implied).filter(([key]) => given[key] === undefined));
}

/** `namespace/name/last` → head and last; null without a slash. */
function splitLast(value: AttributeValue | undefined): { readonly head: string; readonly tail: string } | null {
	if (typeof value !== "string") return null;
	const slash = value.lastIndexOf("/");
	return slash < 1 ? null : { head: value.slice(0, slash), tail: value.slice(slash + 1) };
}
