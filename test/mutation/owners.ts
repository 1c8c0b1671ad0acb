/**
 * The second question: what the parity suite leaves alive is shown to the tests that own it. By compiled file, and
 * where a file has several owners, by what of the configuration the mutant changed.
 */
import { judgementOf } from "./judgement.js";
import type { Verdict } from "./mutation.js";
import type { ProbeEnd, Workspace } from "./workspace.js";

export interface Owner {
	/** Relative to dist/src. */
	readonly file: RegExp;
	/** Of one of Verdict.changed; all by default. */
	readonly changed?: RegExp;
	/** Under dist/test, without `.test.js`; the likeliest and the quickest first. */
	readonly tests: readonly string[];
}

const TRAILERS = /request_trailers_mutations|key_matcher|remove_on_match/;
const HEADERS_FROM_CLIENTS = ["attack/config", "attack/trailers", "attack/http1"];
const REQUESTS = ["compile/envoy/canonicalRules", "attack/http1", "attack/http2", "attack/jwt", "trust/tokens/oidc"];
const CERTIFICATES = ["compile/envoy/identityRule", "compile/envoy/secure/identity", "compile/access/identities"];
const LOGS = ["compile/table/plan", "observe/events/shadow", "observe/events/envoy", "observe/telemetry/envoyTrace"];
const TOKENS = [
	"compile/envoy/tokens",
	"compile/envoy/secure/users",
	"attack/jwt",
	"attack/claimUnits",
	"trust/tokens/oidc",
	"trust/tokens/binding",
];
const CLAIMS = [
	"compile/envoy/tokens",
	"compile/envoy/callout",
	"attack/claimUnits",
	"attack/claimValues",
	"observe/events/filterUnits",
];
const DENIALS = ["compile/envoy/secure/denial", "envoy/loop", "compile/access/identities"];
const CALLOUT = ["compile/envoy/callout", "attack/config", "publish/sidecar/envoyForms", "failure/absent"];

export const OWNERS: readonly Owner[] = [
	{ file: /^compile\/access\/requests\/canonical\.js$/, tests: ["compile/access/canonical", ...REQUESTS] },
	{
		file: /^compile\/access\/rules\/table\.js$/,
		tests: ["compile/access/table", "compile/access/dryRun", "compile/access/eligibility"],
	},
	{
		file: /^compile\/(?:\w+\/)?cluster\.js$/,
		changed: /common_http_protocol/,
		tests: ["compile/envoy/secure/identity"],
	},
	{ file: /^compile\/(?:\w+\/)?(?:canonical|headers|compile)\.js$/, changed: TRAILERS, tests: HEADERS_FROM_CLIENTS },
	{
		file: /^compile\/(?:\w+\/)?canonical\.js$/,
		changed: /protocol_options|upgrade|strip_any/,
		tests: ["attack/config"],
	},
	{ file: /^compile\/(?:\w+\/)?canonical\.js$/, changed: /\(probe\)/, tests: ["attack/config"] },
	{ file: /^compile\/(?:\w+\/)?canonical\.js$/, tests: REQUESTS },
	{
		file: /^compile\/(?:\w+\/)?accessControl\.js$/,
		changed: /shadow|rbac/,
		tests: ["compile/access/dryRun", "compile/access/openDryRun", "observe/events/shadow"],
	},
	{ file: /^compile\/(?:\w+\/)?accessControl\.js$/, changed: /\(loop\)/, tests: ["envoy/loop"] },
	{
		file: /^compile\/(?:\w+\/)?accessControl\.js$/,
		changed: /weir\.deny/,
		tests: ["attack/config", "observe/agent/prober"],
	},
	{
		file: /^compile\/(?:\w+\/)?accessControl\.js$/,
		changed: /identity|ident_expr|select_expr|forwarded-client-cert/,
		tests: CERTIFICATES,
	},
	{ file: /^compile\/(?:\w+\/)?principalRule\.js$/, tests: CERTIFICATES },
	{ file: /^compile\/(?:\w+\/)?bootstrap\.js$/, changed: /dns_resolver/, tests: ["compile/envoy/slowNames"] },
	{
		file: /^compile\/(?:\w+\/)?bootstrap\.js$/,
		tests: ["compile/envoy/callout", "envoy/connectionShare", "envoy/connectionLife"],
	},
	{ file: /^compile\/(?:\w+\/)?callout\w+\.js$/, tests: [...CALLOUT, "publish/sidecar/tokenEnvoy", "failure/wrong"] },
	{ file: /^compile\/(?:\w+\/)?claims\.js$/, tests: CLAIMS },
	{
		file: /^compile\/(?:\w+\/)?(?:cluster|plan)\.js$/,
		tests: ["compile/table/plan", "attack/trailers", "publish/xds/envoy", "observe/events/envoy"],
	},
	{
		file: /^compile\/(?:\w+\/)?compile\.js$/,
		tests: ["compile/envoy/regionless", "compile/table/execution", "compile/table/plan"],
	},
	{
		file: /^compile\/(?:\w+\/)?compile\.js$/,
		tests: ["compile/envoy/callout", "attack/config", ...CERTIFICATES, "envoy/idleTimeout"],
	},
	{
		file: /^compile\/(?:\w+\/)?execution\.js$/,
		tests: ["compile/table/execution", "publish/sidecar/tokenEnvoy", "failure/absent"],
	},
	{ file: /^compile\/(?:\w+\/)?headers\.js$/, tests: ["compile/envoy/canonicalRules", ...HEADERS_FROM_CLIENTS] },
	{ file: /^compile\/(?:\w+\/)?(?:identityTls|listener)\.js$/, tests: ["attack/config"] },
	{ file: /^compile\/(?:\w+\/)?(?:identityTls|listener)\.js$/, changed: /resumption/, tests: ["attack/resumption"] },
	{
		file: /^compile\/(?:\w+\/)?listener\.js$/,
		changed: /http_filters\[\]$/,
		tests: ["compile/envoy/callout", "compile/envoy/secure/denial"],
	},
	{ file: /^compile\/(?:\w+\/)?(?:listener|localReplies)\.js$/, changed: /local_reply/, tests: DENIALS },
	{ file: /^compile\/(?:\w+\/)?listener\.js$/, changed: /alpn/, tests: ["attack/http2"] },
	{ file: /^compile\/(?:\w+\/)?listener\.js$/, changed: /access_log|upstream_log|tracing/, tests: LOGS },
	{ file: /^compile\/(?:\w+\/)?listener\.js$/, changed: /trailer|mutations/, tests: HEADERS_FROM_CLIENTS },
	{
		file: /^compile\/(?:\w+\/)?listener\.js$/,
		changed: /connection_duration|common_http/,
		tests: ["envoy/connectionLife"],
	},
	{ file: /^compile\/(?:\w+\/)?listener\.js$/, tests: ["attack/trailers", "envoy/transparency"] },
	{
		file: /^compile\/(?:\w+\/)?listener\.js$/,
		changed: /filter_chains\[\]\.filters\[\]$/,
		tests: ["envoy/connectionShare"],
	},
	{ file: /^compile\/(?:\w+\/)?loopDetection\.js$/, tests: ["envoy/loop"] },
	{ file: /^compile\/(?:\w+\/)?matcher\.js$/, tests: ["compile/envoy/slots"] },
	{ file: /^compile\/(?:\w+\/)?policyRule\.js$/, tests: ["compile/envoy/pathRules", "compile/access/envoyAccess"] },
	{
		file: /^compile\/(?:\w+\/)?route\.js$/,
		changed: /per_filter/,
		tests: ["compile/envoy/callout", "compile/envoy/variantAccess"],
	},
	{
		file: /^compile\/(?:\w+\/)?route\.js$/,
		changed: /clusters\[\]\.request_headers_to_add/,
		tests: ["compile/envoy/parameters"],
	},
	{ file: /^compile\/(?:\w+\/)?route\.js$/, changed: /to_add/, tests: ["envoy/loop"] },
	{ file: /^compile\/(?:\w+\/)?route\.js$/, changed: /claims|tokens/, tests: CLAIMS },
	{ file: /^compile\/(?:\w+\/)?route\.js$/, changed: /response_headers_to_remove/, tests: ["envoy/transparency"] },
	{
		file: /^compile\/(?:\w+\/)?route\.js$/,
		changed: /request_headers_to_remove/,
		tests: ["attack/config", "attack/claimValues", "compile/access/trustedProxies"],
	},
	{
		file: /^compile\/(?:\w+\/)?route\.js$/,
		changed: /upgrade_configs|route\.timeout/,
		tests: ["attack/config", "compile/envoy/failure"],
	},
	{
		file: /^compile\/(?:\w+\/)?routeAction\.js$/,
		tests: [
			"compile/table/plan",
			"compile/envoy/variantAccess",
			"compile/envoy/callout",
			"compile/envoy/failure",
			...CLAIMS,
		],
	},
	{ file: /^compile\/(?:\w+\/)?token(?:s|Metadata|Rules)\.js$/, tests: TOKENS },
	{ file: /^compile\/(?:\w+\/)?denial\.js$/, tests: ["compile/envoy/secure/denial"] },
	{ file: /^compile\/assignment\//, tests: ["compile/assignment/region", "compile/assignment/table"] },
];

export const testsOf = ({ mutant, changed }: Verdict, owners: readonly Owner[]): readonly string[] => [
	...new Set(
		owners
			.filter((own) => own.file.test(mutant.file))
			.filter((own) => own.changed === undefined || changed.some((path) => own.changed?.test(path)))
			.flatMap(({ tests }) => tests),
	),
];

/** The owners' answer to a survivor that no one has judged; the mutant is in place. */
export async function askOwners(workspace: Workspace, verdict: Verdict, owners: readonly Owner[]): Promise<Verdict> {
	if (verdict.fate !== "survived" || judgementOf(verdict) !== null) return verdict;
	for (const name of testsOf(verdict, owners)) {
		if (!(await passes(workspace, name))) return { ...verdict, fate: "killed", by: name };
	}
	return verdict;
}

/** The owners' tests that fail without any mutant. */
export async function failingOwners(workspace: Workspace, owners: readonly Owner[]): Promise<readonly string[]> {
	const failing: string[] = [];
	for (const name of new Set(owners.flatMap(({ tests }) => tests))) {
		if (!(await passes(workspace, name))) failing.push(name);
	}
	return failing;
}

/** What a busy machine can do by itself counts only if it happens twice. */
const passes = async (workspace: Workspace, name: string): Promise<boolean> =>
	isPass(await workspace.test(name)) || isPass(await workspace.test(name));

/** One that somebody ended from outside, or that had no time, says nothing against the code. */
const isPass = ({ ended, code, stdout }: ProbeEnd): boolean =>
	ended === "for wall time" ||
	ended === "from outside" ||
	(ended === "by itself" && code === 0 && /^1\.\.\d+/m.test(stdout));
