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
const REQUESTS = ["compiler/canonicalRules", "attack/http1", "attack/http2", "attack/jwt", "tokens/oidc"];
const CERTIFICATES = ["compiler/identityRule", "compiler/secure/identity", "access/identities"];
const LOGS = ["compiler/plan", "events/shadow", "events/envoy", "telemetry/envoyTrace"];
const TOKENS = [
	"compiler/tokens",
	"compiler/secure/users",
	"attack/jwt",
	"attack/claimUnits",
	"tokens/oidc",
	"tokens/binding",
];
const CLAIMS = ["compiler/tokens", "compiler/callout", "attack/claimUnits", "attack/claimValues", "events/filterUnits"];
const DENIALS = ["compiler/secure/denial", "envoy/loop", "access/identities"];
const CALLOUT = ["compiler/callout", "attack/config", "sidecar/envoyForms", "failure/absent"];

export const OWNERS: readonly Owner[] = [
	{ file: /^access\/requests\/canonical\.js$/, tests: ["access/canonical", ...REQUESTS] },
	{ file: /^access\/rules\/table\.js$/, tests: ["access/table", "access/dryRun", "access/eligibility"] },
	{ file: /^compiler\/cluster\.js$/, changed: /common_http_protocol/, tests: ["compiler/secure/identity"] },
	{ file: /^compiler\/(?:canonical|headers|compile)\.js$/, changed: TRAILERS, tests: HEADERS_FROM_CLIENTS },
	{ file: /^compiler\/canonical\.js$/, changed: /protocol_options|upgrade|strip_any/, tests: ["attack/config"] },
	{ file: /^compiler\/canonical\.js$/, changed: /\(probe\)/, tests: ["attack/config"] },
	{ file: /^compiler\/canonical\.js$/, tests: REQUESTS },
	{
		file: /^compiler\/accessControl\.js$/,
		changed: /shadow|rbac/,
		tests: ["access/dryRun", "access/openDryRun", "events/shadow"],
	},
	{ file: /^compiler\/accessControl\.js$/, changed: /\(loop\)/, tests: ["envoy/loop"] },
	{ file: /^compiler\/accessControl\.js$/, changed: /weir\.deny/, tests: ["attack/config", "probe/prober"] },
	{
		file: /^compiler\/accessControl\.js$/,
		changed: /identity|ident_expr|select_expr|forwarded-client-cert/,
		tests: CERTIFICATES,
	},
	{ file: /^compiler\/principalRule\.js$/, tests: CERTIFICATES },
	{ file: /^compiler\/bootstrap\.js$/, changed: /dns_resolver/, tests: ["compiler/slowNames"] },
	{ file: /^compiler\/bootstrap\.js$/, tests: ["compiler/callout", "envoy/connectionShare", "envoy/connectionLife"] },
	{ file: /^compiler\/callout\w+\.js$/, tests: [...CALLOUT, "sidecar/tokenEnvoy", "failure/wrong"] },
	{ file: /^compiler\/claims\.js$/, tests: CLAIMS },
	{
		file: /^compiler\/(?:cluster|plan)\.js$/,
		tests: ["compiler/plan", "attack/trailers", "xds/envoy", "events/envoy"],
	},
	{ file: /^compiler\/compile\.js$/, tests: ["compiler/regionless", "compiler/execution", "compiler/plan"] },
	{
		file: /^compiler\/compile\.js$/,
		tests: ["compiler/callout", "attack/config", ...CERTIFICATES, "envoy/idleTimeout"],
	},
	{ file: /^compiler\/execution\.js$/, tests: ["compiler/execution", "sidecar/tokenEnvoy", "failure/absent"] },
	{ file: /^compiler\/headers\.js$/, tests: ["compiler/canonicalRules", ...HEADERS_FROM_CLIENTS] },
	{ file: /^compiler\/(?:identityTls|listener)\.js$/, tests: ["attack/config"] },
	{ file: /^compiler\/(?:identityTls|listener)\.js$/, changed: /resumption/, tests: ["attack/resumption"] },
	{
		file: /^compiler\/listener\.js$/,
		changed: /http_filters\[\]$/,
		tests: ["compiler/callout", "compiler/secure/denial"],
	},
	{ file: /^compiler\/(?:listener|localReplies)\.js$/, changed: /local_reply/, tests: DENIALS },
	{ file: /^compiler\/listener\.js$/, changed: /alpn/, tests: ["attack/http2"] },
	{ file: /^compiler\/listener\.js$/, changed: /access_log|upstream_log|tracing/, tests: LOGS },
	{ file: /^compiler\/listener\.js$/, changed: /trailer|mutations/, tests: HEADERS_FROM_CLIENTS },
	{ file: /^compiler\/listener\.js$/, changed: /connection_duration|common_http/, tests: ["envoy/connectionLife"] },
	{ file: /^compiler\/listener\.js$/, tests: ["attack/trailers", "envoy/transparency"] },
	{ file: /^compiler\/listener\.js$/, changed: /filter_chains\[\]\.filters\[\]$/, tests: ["envoy/connectionShare"] },
	{ file: /^compiler\/loop\.js$/, tests: ["envoy/loop"] },
	{ file: /^compiler\/matcher\.js$/, tests: ["compiler/slots"] },
	{ file: /^compiler\/policyRule\.js$/, tests: ["compiler/pathRules", "access/envoyAccess"] },
	{ file: /^compiler\/route\.js$/, changed: /per_filter/, tests: ["compiler/callout", "compiler/variantAccess"] },
	{ file: /^compiler\/route\.js$/, changed: /clusters\[\]\.request_headers_to_add/, tests: ["compiler/parameters"] },
	{ file: /^compiler\/route\.js$/, changed: /to_add/, tests: ["envoy/loop"] },
	{ file: /^compiler\/route\.js$/, changed: /claims|tokens/, tests: CLAIMS },
	{ file: /^compiler\/route\.js$/, changed: /response_headers_to_remove/, tests: ["envoy/transparency"] },
	{
		file: /^compiler\/route\.js$/,
		changed: /request_headers_to_remove/,
		tests: ["attack/config", "attack/claimValues", "access/trustedProxies"],
	},
	{
		file: /^compiler\/route\.js$/,
		changed: /upgrade_configs|route\.timeout/,
		tests: ["attack/config", "compiler/failure"],
	},
	{
		file: /^compiler\/routeAction\.js$/,
		tests: ["compiler/plan", "compiler/variantAccess", "compiler/callout", "compiler/failure", ...CLAIMS],
	},
	{ file: /^compiler\/token(?:s|Metadata|Rules)\.js$/, tests: TOKENS },
	{ file: /^compiler\/denial\.js$/, tests: ["compiler/secure/denial"] },
	{ file: /^assignment\//, tests: ["assignment/region", "assignment/table"] },
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
