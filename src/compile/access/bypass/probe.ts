/**
 * The bypass probe: two requests that no policy allows, to each protected Service through each listener. A specific
 * filter of Weir must refuse each, with its own reason: a filter that is missing from the chain leaves no other trace
 * (envoyproxy/ai-gateway#2560).
 */

import { type Gateway, qualifiedName, tlsFiles } from "../../../declare/resources/resource.js";
import type { PlanTable } from "../../plan/compiledPlan.js";
import { isOpen } from "../rules/policy.js";

/** The filter that must refuse: weir.gate, which is first, or the rules after it (weir.deny, or the sidecar). */
export type Guard = "gate" | "rules";

export const GUARDS: readonly Guard[] = ["gate", "rules"];

/** The gate refuses a method override. No other filter reads that header. */
export const probeHeaders = (guard: Guard): Readonly<Record<string, string>> =>
	guard === "gate" ? { "x-http-method-override": "OPTIONS" } : {};

/** Probe targets that control sends to an Envoy's agent. Every Service is reachable through every Gateway. */
export interface ProbeTargets {
	/** The version of the plan. */
	readonly version: string;
	readonly gateways: readonly ProbedGateway[];
	readonly services: readonly ProbedService[];
}

export interface ProbedGateway {
	/** Qualified, as Envoy names the listener. */
	readonly name: string;
	/** `mesh`: both sides prove a SPIFFE id. `client-ca`: clients need a certificate that Weir does not have. */
	readonly tls: "none" | "files" | "mesh" | "client-ca";
}

export interface ProbedService {
	/** Qualified. */
	readonly name: string;
	/** A host that reaches it. */
	readonly host: string;
	readonly judgedBy: "envoy" | "sidecar";
}

export function probeTargets(
	version: string,
	{ services }: Pick<PlanTable, "services">,
	gateways: readonly Gateway[],
): ProbeTargets {
	const hosts = new Set(services.flatMap((one) => one.hosts));
	return {
		version,
		gateways: gateways.map((gateway) => ({ name: qualifiedName(gateway.metadata), tls: tlsOf(gateway) })),
		services: services
			.filter(({ access }) => !isOpen(access))
			.map(({ name, hosts: [host = ""], callout }) => ({
				name,
				host: hostUnder(host, hosts),
				judgedBy: callout?.verdict ? "sidecar" : "envoy",
			})),
	};
}

function tlsOf(gateway: Gateway): ProbedGateway["tls"] {
	if (gateway.spec.tls === null) return "none";
	const files = tlsFiles(gateway);
	if (files === null) return "mesh";
	return files.clientCaFile === null ? "files" : "client-ca";
}

/** A host that matches the wildcard and that no other Service declares. */
function hostUnder(host: string, declared: ReadonlySet<string>): string {
	if (!host.startsWith("*.")) return host;
	let label = "weir-probe";
	for (let count = 2; declared.has(host.replace("*", label)); count++) label = `weir-probe-${count}`;
	return host.replace("*", label);
}

export interface ProbeAnswer {
	/** HTTP status; null = no answer came. */
	readonly status: number | null;
	readonly body: string;
	/** Why no answer came. */
	readonly why?: string;
}

/** `unprobed`: cannot be probed, which is no failure. */
export const OUTCOMES = ["denied", "bypassed", "unanswered", "unprobed"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** The result for a Service through one listener. */
export interface ProbeResult {
	readonly gateway: string;
	readonly service: string;
	readonly outcome: Outcome;
	/** Text for a person; empty if the request is denied. From the response body it quotes only Weir's own reason. */
	readonly detail: string;
}

/** The report of an Envoy's agent for one round. */
export interface ProbeReport {
	/** The version of the targets. */
	readonly version: string;
	readonly results: readonly ProbeResult[];
	/** Requests of protected Services that were served beyond those that were judged (served.ts), by judge. */
	readonly unjudged: Readonly<Record<ProbedService["judgedBy"], number>>;
}

const REASONS: Readonly<Record<Guard, string>> = { gate: "not-canonical", rules: "forbidden" };

/** The response of a Service whose configuration this Envoy refuses (compile/table/closedVirtualHost.ts). */
const CLOSED = "closed: configuration-refused\n";
const CLOSED_REASON = "configuration-refused";

/** Reasons of a correct refusal. */
export const PROBE_REASONS: ReadonlySet<string> = new Set([...Object.values(REASONS), CLOSED_REASON]);

/** A denial of Weir, by Envoy or the sidecar. Any other response may be the upstream's. */
const DENIED = /^access denied: ([a-z-]+)\n$/;
const DENIED_STATUSES: ReadonlySet<number | null> = new Set([401, 403, 429]);

/** For both requests to one Service; the worse response counts. */
export function judgeProbes(answers: Readonly<Record<Guard, ProbeAnswer>>): Pick<ProbeResult, "outcome" | "detail"> {
	const judged = GUARDS.map((guard) => judge(guard, answers[guard]));
	const outcome = (["bypassed", "unanswered"] as const).find((one) => judged.some((of) => of.outcome === one));
	if (outcome === undefined) return { outcome: "denied", detail: "" };
	return { outcome, detail: judged.map(({ detail }) => detail).join(", ") };
}

function judge(guard: Guard, { status, body, why }: ProbeAnswer): Pick<ProbeResult, "outcome" | "detail"> {
	const closed = status === 503 && body === CLOSED;
	const reason = closed ? CLOSED_REASON : DENIED_STATUSES.has(status) ? DENIED.exec(body)?.[1] : undefined;
	const detail = `${guard}: ${status ?? why ?? "no answer"}${reason === undefined ? "" : ` ${reason}`}`;
	if (closed || reason === REASONS[guard]) return { outcome: "denied", detail };
	// Rate limits precede the rules, and 503 is a failed check: neither proves anything about the rules.
	if (status === null || status === 503 || (guard === "rules" && reason === "rate-limited"))
		return { outcome: "unanswered", detail };
	return { outcome: "bypassed", detail };
}
