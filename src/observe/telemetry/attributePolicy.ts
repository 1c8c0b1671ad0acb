/**
 * Which span attributes are kept. An allow-list: a tracer can tag any header, and a header may hold a user id or a
 * token. Every other attribute is dropped before storing or forwarding.
 */
import { shownPath } from "../../compile/access/requests/shownPath.js";
import { REQUEST_ID_ATTRIBUTE } from "./span.js";

/** Characters kept of one span attribute or name. */
const SPAN_TEXT_CHARS_MAX = 256;

const KEYS: ReadonlySet<string> = new Set([
	REQUEST_ID_ATTRIBUTE,
	"component",
	"downstream_cluster",
	"error",
	"error.type",
	"feature_flag.key",
	"feature_flag.provider.name",
	"feature_flag.result.reason",
	"feature_flag.result.variant",
	"feature_flag.set.id",
	"feature_flag.version",
	"http.method",
	"http.protocol",
	"http.request.method",
	"http.response.status_code",
	"http.route",
	"http.status_code",
	"http.url",
	"node_id",
	"request_size",
	"response_flags",
	"response_size",
	"retry.count",
	"server.address",
	"server.port",
	"upstream_cluster",
	"upstream_cluster.name",
	"url.path",
	"url.scheme",
	"weir.arm",
	"weir.experiment",
	"weir.layer",
	"weir.plan",
	"weir.protocol",
	"weir.reason",
	"weir.service",
	"weir.variant",
	"weir.verdict",
	"zone",
]);

/** Attribute families set by Weir's predictor and gRPC clients; none comes from a header. */
const PREFIXES = ["model.", "rpc."] as const;
const NOT_UNDER_PREFIXES = /\.metadata\./;

/** Cut before the query, which may hold anything, and masked like the access record log's paths. */
const LOCATORS: ReadonlySet<string> = new Set(["http.url", "url.path"]);

export type AttributeValue = string | number | boolean;

/** @returns the value to keep, or null to drop the attribute */
export function keptAttribute(key: string, value: AttributeValue): AttributeValue | null {
	const known = KEYS.has(key) || (PREFIXES.some((prefix) => key.startsWith(prefix)) && !NOT_UNDER_PREFIXES.test(key));
	if (!known) return null;
	if (typeof value !== "string") return value;
	return LOCATORS.has(key) ? keptLocator(value) : keptText(value);
}

/** A path or URL, or a span's name, which may hold one. */
export const keptLocator = (text: string): string => keptText(shownPath(withoutQuery(text)));

/** Attribute texts: bounded. */
export const keptText = (text: string): string => text.slice(0, SPAN_TEXT_CHARS_MAX);

/** Path or URL without query, fragment and user info. */
const withoutQuery = (locator: string): string =>
	locator.replace(/[?#].*$/s, "").replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, "$1");
