/**
 * What a span's own attributes imply. Envoy tags a span with the arm header and the cluster only: each tag costs
 * CPU on every request, sampled or not (measured: eight tags cost 6 µs), and service, variant and experiment are
 * in those two. The rest is added here, to the few spans that were sampled.
 */
import type { AttributeValue } from "./attributePolicy.js";

/** OpenTelemetry semantic conventions, feature flags: the provider's name. */
const PROVIDER = "weir";

type Attributes = Readonly<Record<string, AttributeValue>>;

/** Attributes that follow from the given ones and are not among them. Names: weir.*, and feature_flag.* of the semantic conventions. */
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

/** `namespace/name/last` → head and last; null where there is no slash. */
function splitLast(value: AttributeValue | undefined): { readonly head: string; readonly tail: string } | null {
	if (typeof value !== "string") return null;
	const slash = value.lastIndexOf("/");
	return slash < 1 ? null : { head: value.slice(0, slash), tail: value.slice(slash + 1) };
}
