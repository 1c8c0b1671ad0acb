/**
 * Survivors that someone has looked at: why each changes nothing that the parity suite asks, which is arm, Variant,
 * verdict and reason while the sidecar answers, and who is refused while it does not. What is listed here is no hole
 * of this suite, and no owner (owners.ts) is asked about it; where other tests are meant to hold it, they are named.
 */
import type { Verdict } from "./mutation.js";

interface Field {
	/** All by default. */
	readonly file?: RegExp;
	/** Of a changed path of the Plan. */
	readonly field: RegExp;
	/** Of Mutant.change; any by default. */
	readonly change?: RegExp;
	readonly reason: string;
}

const LIMITS = "limits of time and number: nothing here is slow or crowded (test/failure, test/soak)";
const TELEMETRY = "names and marks for statistics, logs and traces (test/observe/events, test/observe/telemetry)";
const BOUNDS =
	"bounds what a sidecar may see and change; ours keeps within (test/compile/envoy/callout, test/failure/wrong)";
const NAMES = "a name that all who use it share: both sides still agree";
const EXTENSION = "an extension's mere name: Envoy finds it by its type URL, and nothing else here goes by it";
const PROOF = "the second line behind failure_mode_allow, for answers that are none (test/failure)";

/** A survivor whose every change is in such fields. */
const FIELDS: readonly Field[] = [
	{ field: /(?:stat_prefix|rules_stat_prefix)$/, reason: TELEMETRY },
	{ field: /^bootstrap\.node(?:\.|$)|layered_runtime\.layers\[\]\.name$/, reason: TELEMETRY },
	{ field: /filter_metadata(?:\.|$)|\.metadata(?:\.|$)/, reason: TELEMETRY },
	{ field: /flush_interval_ms$/, reason: TELEMETRY },
	{ field: /admin\.address\.pipe\.mode$/, reason: "who may open the admin socket (test/compile/envoy/bootstrap)" },
	{
		field: /admin\.ignore_global_conn_limit$/,
		reason: "no tested Envoy counts connections to its admin: they pass by its overload manager",
	},
	{ field: /circuit_breakers|outlier_detection|health_checks|common_lb_config/, reason: LIMITS },
	{ field: /(?:[._]timeout|connection_keepalive|\.interval|max_request_headers_kb)$/, reason: LIMITS },
	{ field: /layered_runtime/, reason: "keeps streams alive over thousands of requests (test/failure/streamReset)" },
	{ field: /mutation_rules|disallow_|validate_mutations/, reason: BOUNDS },
	{ field: /allowed_headers|forward_rules/, reason: BOUNDS },
	{ field: /jwt_cache_size$|jwt_max_token_size$/, reason: LIMITS },
	{
		file: /tokens/,
		field: /max_lifetime$/,
		change: /→ (?:\(removed\)|1001)$/,
		reason: "Envoy's is of what is left of a token's life; the whole of it is judged by tokenRules.ts",
	},
	{
		file: /tokenRules/,
		field: /policies\.\(invalid token[^.]*$/,
		change: /^(?:"\(invalid token"| →) /,
		reason: NAMES,
	},
	{
		file: /tokenMetadata/,
		field: /principals\[\]\.(?:or_ids|and_ids)$/,
		change: /^(?:1 → 0|0 → 1|!== → ===)$/,
		reason: "one condition by itself, or in a list of one",
	},
	{ file: /calloutProof/, field: /local_reply_config/, reason: PROOF },
	{ field: /weir\.proof/, reason: PROOF },
	{ field: /route_config\.name$/, reason: NAMES },
	{
		field:
			/(?:input|custom_match|action|extension_filter|early_header_mutation_extensions\[\]|typed_dns_resolver_config)\.name$/,
		reason: EXTENSION,
	},
	{ field: /key_matcher\.ignore_case$/, reason: "Envoy keeps the names of headers and trailers in lower case" },
];

interface Text {
	readonly file: RegExp;
	/** Of Mutant.change. */
	readonly change: RegExp;
	readonly reason: string;
}

const ORDER =
	"the order of alternatives, of which any may match, of conditions that must all hold, or of a header's values";
const DEFAULT = "what is left out is what proto3 or Envoy takes for it anyway";

const TEXTS: readonly Text[] = [
	{ file: /calloutContext/, change: /^"weir[-.]/, reason: NAMES },
	{ file: /accessControl|calloutProof|loop/, change: /^"(?:weir\.|\()/, reason: NAMES },
	{ file: /claims/, change: /^"weir_claims_"/, reason: NAMES },
	{ file: /calloutFilters/, change: /^"weir_sidecar"/, reason: NAMES },
	{ file: /listener/, change: /^\.\.\..*proofReplies/, reason: PROOF },
	{ file: /listener/, change: /^"(?:envoy\.(?:filters|transport_sockets)\.|weir\.trailers)/, reason: EXTENSION },
	{ file: /matcher/, change: /^"\^\[!-\+/, reason: "a safe_regex matches the whole value, anchors or not" },
	{
		file: /route/,
		change: /^"\^\(\.\*\)\$" → "(?:\(\.\*\)\$|\^\(\.\*\))"/,
		reason: "a unit is one line of printable ASCII, which .* takes whole, anchors or not",
	},
	{ file: /accessControl/, change: /^"" → "~"/, reason: "an exact path of no characters, which no request has" },
	{
		file: /assignment\/hash/,
		change: /./,
		reason: "another text for the plan's version, which still follows its content",
	},
	{ file: /assignment\/table/, change: /^exposing:/, reason: "read by ingest alone (test/observe/events)" },
	{ file: /assignment\/table/, change: /^baseline:/, reason: "one more takeover entry of no points" },
	{ file: /access\/rules\/policy/, change: /^"!\$&/, reason: "%7e is no canonical escape already" },
	{ file: /canonical|calloutRoute/, change: /^present_match: true → \(removed\)/, reason: DEFAULT },
	{ file: /loop/, change: /^installation, gateway →/, reason: "another text of the mark, as much each Service's own" },
	{ file: /calloutProof/, change: /^metadata_source: "DYNAMIC" → \(removed\)/, reason: DEFAULT },
	{ file: /tokenMetadata/, change: /^metadata_source: "DYNAMIC", *→ \(removed\)/, reason: DEFAULT },
	{ file: /tokenRules/, change: /^present_match: true → \(removed\)/, reason: DEFAULT },
	{ file: /tokenRules/, change: /^present, *→ \(removed\)/, reason: "a header that is not there speaks of no token" },
	{ file: /tokens/, change: /^clock_skew_seconds: /, reason: DEFAULT },
	{ file: /bootstrap/, change: /^type: "STATIC", +→ \(removed\)/, reason: DEFAULT },
	{ file: /loop/, change: /^append_action: "APPEND_IF_EXISTS_OR_ADD", *→ \(removed\)/, reason: DEFAULT },
	{ file: /accessControl/, change: /^(?:action: "ALLOW", |policies: \{\}) → \(removed\)/, reason: DEFAULT },
];

/** Lists whose order says nothing: rules, clusters, header names to take away, values of x-weir-arm, keys of an object. */
const ORDERS = new RegExp(
	[
		String.raw`^\S+ (?:\.\.\.|.*(?:url_path|exact)|";")`,
		String.raw`^compile/(?:\w+/)?(?:canonical|headers)\.js (?:"[\w-]+"|[A-Z_]+), `,
		String.raw`^compile/(?:\w+/)?canonical\.js .*(?:notMatching\(|pathWith\()`,
		String.raw`^compile/(?:\w+/)?principalRule\.js .*authenticated`,
		String.raw`^compile/(?:\w+/)?bootstrap\.js \{ \.\.\.socketCluster`,
		String.raw`^compile/(?:\w+/)?claims\.js RULES_FILTER, `,
		String.raw`^compile/(?:\w+/)?route\.js own, \.\.\.others`,
		String.raw`^compile/(?:\w+/)?tokenRules\.js (?:allOf\(\[present|present, not|verified\(|someOf\(issuers|not\(headerFits)`,
		String.raw`^compile/access/requests/canonical\.js "`,
	].join("|"),
);

/** Why the survivor is none of this suite's business; null = it is a hole. */
export function judgementOf({ mutant, changed }: Verdict): string | null {
	const text = TEXTS.find(({ file, change }) => file.test(mutant.file) && change.test(mutant.change));
	if (text !== undefined) return text.reason;
	if (mutant.operator === "order" && ORDERS.test(`${mutant.file} ${mutant.change}`)) return ORDER;
	const reasons = changed
		.filter((path) => !path.endsWith("{keys}"))
		.map(
			(path) =>
				FIELDS.find(
					({ file, field, change }) =>
						file?.test(mutant.file) !== false && change?.test(mutant.change) !== false && field.test(path),
				)?.reason ?? null,
		);
	const [first = null] = reasons;
	return reasons.includes(null) ? null : first;
}
