/**
 * What operators see of each way in which the sidecar can fail: Envoy's counters, and the response code details of the
 * access log. The matrix checks every line on a real Envoy, and docs/failures.md is this table.
 */
import type { CalloutProtocol } from "../../src/compile/plan/compiledPlan.js";
import { ACCESS_LOG_LOSSES } from "./accessLogLosses.js";
import { API_LIMITS } from "./apiLimits.js";
import { CONNECTION_LIMITS } from "./connectionLimits.js";
import { IDENTITY_ENDS } from "./identityEnds.js";
import { VERIFICATION_LIMITS } from "./verificationLimits.js";

/** How one protocol shows it. */
export interface Sign {
	/** Counters that move when a request is refused; of Envoy, by full name, the Gateway being `edge`. */
	readonly counters: readonly string[];
	/** RESPONSE_CODE_DETAILS of the refused request. */
	readonly details: RegExp;
	/** RESPONSE_FLAGS of it. */
	readonly flags: "UAEX" | "-";
}

export interface FailureCase {
	readonly name: string;
	readonly signs: Readonly<Record<CalloutProtocol, Sign>>;
	/** Of the sidecar itself. */
	readonly sidecar?: string;
	/** Envoy refuses requests that may pass unanswered too: the answer is there, but tried what it may not. */
	readonly refusesAll?: boolean;
}

const AUTHZ = "http.gateway.edge.ext_authz.weir_verdict";
const PROC = "http.gateway.edge.ext_proc.weir_process";
const CALLS = "cluster.weir_sidecar";
const STREAMS = "cluster.weir_sidecar_streams";

const authzError = (...more: readonly string[]): Sign => ({
	counters: [`${AUTHZ}.error`, ...more],
	details: /^ext_authz_error$/,
	flags: "UAEX",
});
const procError = (details: RegExp, ...more: readonly string[]): Sign => ({
	counters: [`${PROC}.streams_failed`, ...more],
	details,
	flags: "-",
});

const unanswered: Sign = {
	counters: ["http.gateway.edge.rbac.weir_proof_.denied"],
	details: /^rbac_access_denied_matched_policy\[\(unanswered\)\]$/,
	flags: "-",
};

export const DEAD: FailureCase = {
	name: "dead: no socket, or no process listens on it",
	signs: {
		ext_authz: authzError(`${CALLS}.upstream_cx_connect_fail`),
		ext_proc: procError(/^ext_proc_error_gRPC_error_14\{.*connection_failure/, `${STREAMS}.upstream_cx_connect_fail`),
	},
};

export const LATE: FailureCase = {
	name: "hung, or late: no answer within callout.timeout",
	signs: {
		ext_authz: authzError(`${CALLS}.upstream_rq_timeout`),
		ext_proc: {
			counters: [`${PROC}.message_timeouts`],
			details: /^ext_proc_error_per-message_timeout_exceeded/,
			flags: "-",
		},
	},
};

export const KILLED: FailureCase = {
	name: "killed while it answers",
	signs: {
		ext_authz: authzError(`${CALLS}.upstream_cx_destroy_remote_with_active_rq`),
		ext_proc: procError(/^ext_proc_error_gRPC_error_14\{/, `${STREAMS}.upstream_cx_destroy_remote_with_active_rq`),
	},
};

export const OVERLOADED: FailureCase = {
	name: "overloaded: more open calls than the breaker lets wait",
	signs: {
		ext_authz: authzError(`${CALLS}.upstream_rq_pending_overflow`),
		ext_proc: procError(/^ext_proc_error_gRPC_error_14\{.*overflow/, `${STREAMS}.upstream_rq_pending_overflow`),
	},
	sidecar:
		"weir_sidecar_shed_total counts what reached the sidecar and was refused early; Envoy 1.40 counts some of the rest in upstream_rq_active_overflow",
};

export const BROKEN: FailureCase = {
	name: "answers what is no gRPC, or ends the call with an error",
	signs: { ext_authz: authzError(), ext_proc: procError(/^ext_proc_error_gRPC_error_-?\d+\{/) },
};

export const UNANSWERED: FailureCase = {
	name: "ends the call well without having said allow",
	signs: { ext_authz: unanswered, ext_proc: unanswered },
};

export const SPURIOUS: FailureCase = {
	name: "answers what was not asked",
	signs: {
		ext_authz: unanswered,
		ext_proc: {
			counters: [`${PROC}.spurious_msgs_received`],
			details: /^(spurious_message|unhandled_message)$/,
			flags: "-",
		},
	},
};

export const FORBIDDEN: FailureCase = {
	name: "changes what it may not, or to what is no header",
	signs: {
		ext_authz: { counters: [`${AUTHZ}.invalid`], details: /^ext_authz_invalid$/, flags: "UAEX" },
		ext_proc: {
			counters: [`${PROC}.rejected_header_mutations`],
			details: /^(header_mutation_set_|Invalid_)/,
			flags: "-",
		},
	},
	refusesAll: true,
};

const noWord: FailureCase["signs"] = {
	ext_authz: authzError(),
	ext_proc: procError(/^ext_proc_error_gRPC_error_14\{/),
};

export const NO_TABLE: FailureCase = {
	name: "has no table: control was never there, or its file cannot be read; or it starts, for up to 2 s until control gives one",
	signs: noWord,
	sidecar: 'weir_sidecar_answers_total{verdict="none",reason="no-table"}; gRPC health says NOT_SERVING',
};

export const STALE: FailureCase = {
	name: "has a table older than callout.maxStaleness; or stood still for more than 3 s, until control has answered anew or is away",
	signs: noWord,
	sidecar: 'weir_sidecar_answers_total{verdict="none",reason="stale-table"}; weir_sidecar_table_age_seconds',
};

export const CLOSED: FailureCase = {
	name: "cannot execute the Service's rules: another version's, or a time zone that its machine does not know",
	signs: {
		ext_authz: { counters: [`${AUTHZ}.denied`], details: /^ext_authz_denied$/, flags: "UAEX" },
		ext_proc: {
			counters: ["http.gateway.edge.downstream_rq_5xx"],
			details: /^weir_configuration_refused$/,
			flags: "-",
		},
	},
	sidecar: 'weir_sidecar_answers_total{verdict="deny",reason="configuration-refused"}; weir_sidecar_services_closed',
	refusesAll: true,
};

export const CASES: readonly FailureCase[] = [
	DEAD,
	LATE,
	KILLED,
	OVERLOADED,
	BROKEN,
	UNANSWERED,
	SPURIOUS,
	FORBIDDEN,
	NO_TABLE,
	STALE,
	CLOSED,
];

/** Counters of a request that passed unanswered, to the default Variant, where Envoy knows that it did. */
export const PASSED: Readonly<Record<CalloutProtocol, string>> = {
	ext_authz: "http.gateway.edge.ext_authz.weir_assign.failure_mode_allowed",
	ext_proc: `${PROC}.failure_mode_allowed`,
};

/** docs/failures.md. */
export function failuresPage(): string {
	const code = (text: string): string => `\`${text.replaceAll("|", "\\|")}\``;
	const rows = CASES.map(({ name, signs, sidecar = "", refusesAll = false }) => {
		const cell = ({ counters, details, flags }: Sign): string =>
			`${counters.map((counter) => code(counter.replace("gateway.edge", "gateway.NAME"))).join(", ")}; details ${code(details.source)}; flags ${code(flags)}`;
		return `| ${name}${refusesAll ? " (refuses requests that may pass unanswered too)" : ""} | ${cell(signs.ext_authz)} | ${cell(signs.ext_proc)} | ${sidecar} |`;
	});
	return `# Failures

What happens when a part fails, and what shows it. Made by \`test/failure\`, which checks it on a real Envoy. NAME is the Gateway's name,
and NAMESPACE/NAME outside of the namespace default. Counters are Envoy's (\`/stats\`); details and flags are those of its access log
(\`%RESPONSE_CODE_DETAILS%\`, \`%RESPONSE_FLAGS%\`).

## When the sidecar fails

A Service whose verdict comes from the sidecar, or that has \`callout.onFailure: deny\`, answers 503, and its upstream sees nothing.
\`weir status\` has ALARM \`verdicts-unanswered\` for the Gateway, up to a minute after the last such answer.

A Service with \`callout.onFailure: default-variant\` is served by its default Variant. Then
${code(PASSED.ext_authz.replace("gateway.edge", "gateway.NAME"))} or
${code(PASSED.ext_proc.replace("gateway.edge", "gateway.NAME"))} moves, and the access log has no metadata of the sidecar
(\`envoy.filters.http.ext_authz\` or \`weir\`).

One caller can ask for more than the sidecar can answer: \`rateLimits.principal\` bounds that, and \`weir explain\` names the Services that
lack it.

If ext_proc changes the response too (\`exposeArm\`, a minted cookie), a sidecar that is killed between its verdict and the response costs
that request: 503, although the upstream has served it. SIGTERM costs none.

| the sidecar | ext_authz | ext_proc | and in the sidecar's metrics |
|---|---|---|---|
${rows.join("\n")}

${VERIFICATION_LIMITS}
${CONNECTION_LIMITS}
${ACCESS_LOG_LOSSES}
${API_LIMITS}
${IDENTITY_ENDS}`;
}
