/** `weir compile` and `weir explain`: the Plan as Envoy's bootstrap, as the sidecar's table, and as text. */

import { compile, NO_COLLECTORS } from "../../compile/compile.js";
import { staticBootstrap } from "../../compile/envoy/bootstrap.js";
import type { CalloutProtocol, CompiledPlan } from "../../compile/plan/compiledPlan.js";
import { COSTS_NOTE, costText } from "../../compile/table/cost.js";
import type { Mode } from "../../compile/table/execution.js";
import { EMPTY_STATUS } from "../../decide/rollout/status.js";
import { parsePercentage } from "../../declare/resources/fields/units.js";
import { qualifiedName, type ResourceSet } from "../../declare/resources/resource.js";
import { trustDomainFault } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";
import { declaredKeys } from "../declaredKeys.js";
import { heldResources, printProblems, validResources } from "../resourceFiles.js";

export interface CompileArguments {
	readonly file: readonly string[];
	readonly allocation?: string;
	readonly adminSocket?: string;
	readonly mode?: Mode;
	readonly protocol?: CalloutProtocol;
	readonly sidecarSocket?: string;
	readonly format?: "envoy" | "table" | "istio" | "envoy-gateway";
	readonly sidecarAddress?: string;
	readonly namespace?: string;
	readonly gateway?: string;
	/** The mesh's trust domain, for Gateways with an identity. */
	readonly trustDomain?: string;
	/** UNIX socket of a SPIFFE agent, for Gateways and Services with an identity. */
	readonly identitySocket?: string;
}

/** Where `weir sidecar` listens by default. */
export const SIDECAR_SOCKET = "/run/weir/sidecar.sock";

/** Prints JSON, which is YAML too. */
export async function compileCommand(options: CompileArguments): Promise<void> {
	const { format } = options;
	refuseUseless(options);
	if (format === "istio" || format === "envoy-gateway") {
		const { compileMesh } = await import("./compileMesh.js");
		return compileMesh({ ...options, format });
	}
	const { plan, resources } = await planOf(options, validResources);
	if (format !== "table") demandIdentity(resources, options);
	if (plan.problems.length > 0) {
		printProblems(plan.problems);
		process.exitCode = 1;
		return;
	}
	if (format === "table") {
		process.stdout.write(`${JSON.stringify({ version: plan.version, table: plan.table })}\n`);
		return;
	}
	const bootstrap = staticBootstrap(plan.envoy, {
		collectors: NO_COLLECTORS,
		adminSocket: options.adminSocket ?? null,
		nodeId: "weir-gateway",
		sidecarSocket: plan.asksSidecar ? (options.sidecarSocket ?? SIDECAR_SOCKET) : null,
		identitySocket: options.identitySocket ?? null,
	});
	process.stdout.write(`${JSON.stringify(bootstrap, null, 2)}\n`);
}

/** Control has both from its own identity. Without them, the Envoy of such a Gateway accepts no client. */
function demandIdentity({ gateways }: ResourceSet, { trustDomain, identitySocket }: CompileArguments): void {
	const [mesh] = gateways.filter(({ spec }) => spec.tls?.from === "identity");
	if (mesh === undefined || (trustDomain !== undefined && identitySocket !== undefined)) return;
	throw new WeirError(
		"invalid-argument",
		`Gateway ${qualifiedName(mesh.metadata)} has tls: {identity: mesh}, but the mesh's trust domain and its agent are not given`,
		"add --trust-domain NAME and --identity-socket PATH, or let weir control serve it, which knows them",
	);
}

/** @throws WeirError `invalid-argument` */
function domainOf(name: string): string {
	const fault = trustDomainFault(name);
	if (fault === null) return name;
	throw new WeirError(
		"invalid-argument",
		`--trust-domain ${name} ${fault}`,
		"write a trust domain such as example.org",
	);
}

/** Refuses options that would be ignored. */
function refuseUseless(options: CompileArguments): void {
	const mesh = options.format === "istio" || options.format === "envoy-gateway";
	const useless = mesh
		? ({
				"--allocation": options.allocation,
				"--admin-socket": options.adminSocket,
				"--trust-domain": options.trustDomain,
				"--identity-socket": options.identitySocket,
			} as const)
		: ({
				"--sidecar-address": options.sidecarAddress,
				"--namespace": options.namespace,
				"--gateway": options.gateway,
				...(options.format === "table"
					? {
							"--admin-socket": options.adminSocket,
							"--sidecar-socket": options.sidecarSocket,
							"--trust-domain": options.trustDomain,
							"--identity-socket": options.identitySocket,
						}
					: {}),
			} as const);
	for (const [name, value] of Object.entries(useless)) {
		if (value === undefined) continue;
		throw new WeirError("invalid-argument", `${name} has no meaning with --format ${options.format}`, "leave it out");
	}
	if (mesh && options.mode === "native")
		throw new WeirError("invalid-argument", `--format ${options.format} cannot be native`, "its Envoys are not ours");
}

export async function explain(options: CompileArguments): Promise<void> {
	const { plan } = await planOf(options, heldResources);
	const { rules } = plan;
	for (const { rule, execution, because, facts = [], cost } of rules) {
		process.stdout.write(`${rule}\n  ${execution === null ? "" : `${execution}: `}${because}\n`);
		const costs = cost === null ? [] : [["costs", costText(cost, execution)] as const];
		for (const [what, text] of [...facts, ...costs]) process.stdout.write(`    ${what.padEnd(FACT_CHARS)}${text}\n`);
	}
	if (rules.some(({ cost }) => cost !== null)) process.stdout.write(`${COSTS_NOTE}\n`);
}

/** What a fact is about, in a column of its own. */
const FACT_CHARS = 14;

async function planOf(
	{ file, allocation, mode, protocol, trustDomain }: CompileArguments,
	read: typeof validResources,
): Promise<{ readonly plan: CompiledPlan; readonly resources: ResourceSet }> {
	const domain = trustDomain === undefined ? {} : { trustDomain: domainOf(trustDomain) };
	const resources = await read(file);
	const { keySets, warnings, unread } = await declaredKeys(resources);
	for (const line of [
		...warnings,
		...unread.map((one) => `${one}: an Envoy will read them; weir did not check them`),
	]) {
		process.stderr.write(`warning: ${line}\n`);
	}
	const live = allocation === undefined ? {} : { allocationPpm: allocationPpm(allocation) };
	const plan = compile(resources, EMPTY_STATUS, {
		collectors: NO_COLLECTORS,
		keySets,
		nowMs: Date.now(),
		...live,
		...domain,
		...(mode === undefined ? {} : { mode }),
		...(protocol === undefined ? {} : { protocol }),
	});
	return { plan, resources };
}

/** @throws WeirError `invalid-argument` (exit 64) for what is not a percentage. */
export function allocationPpm(percent: string): number {
	const ppm = parsePercentage(percent);
	if (ppm === null)
		throw new WeirError(
			"invalid-argument",
			`--allocation ${percent} is not a percentage`,
			"write for example 20% or 12.5%",
		);
	return ppm;
}
