/** What the built-in probe is to watch, as a plan declares it. */
import type { PlanTable } from "../../compiler/plan.js";
import { isOpen } from "../rules/policy.js";

/** What is to be watched: protected Services by Gateway, as the Plan declares them. */
export interface WatchedListener {
	/** Qualified name of the Gateway. */
	readonly gateway: string;
	readonly services: readonly WatchedService[];
}

export interface WatchedService {
	/** Qualified name. */
	readonly name: string;
	/** A host at which it is reached. */
	readonly host: string;
	/** Of those that it has by a wildcard: another Service that declares it takes it away. */
	readonly wild: boolean;
	readonly judgedBy: "envoy" | "sidecar";
}

export function watchedListeners({ gateways, services }: PlanTable): readonly WatchedListener[] {
	const declared = new Set(services.flatMap(({ hosts }) => hosts));
	const watched = services
		.filter(({ access }) => !isOpen(access))
		.map(
			({ name, hosts, callout }): WatchedService => ({
				name,
				host: hostAmong(declared, hosts[0] ?? ""),
				wild: hosts[0]?.startsWith("*.") === true,
				judgedBy: callout?.verdict ? "sidecar" : "envoy",
			}),
		);
	return watched.length === 0 ? [] : gateways.map((gateway) => ({ gateway: gateway.name, services: watched }));
}

/** The host itself; of a wildcard one that it has, as no other Service has declared it. */
function hostAmong(declared: ReadonlySet<string>, host: string): string {
	if (!host.startsWith("*.")) return host;
	let label = "weir-probe";
	for (let count = 2; declared.has(host.replace("*", label)); count++) label = `weir-probe-${count}`;
	return host.replace("*", label);
}
