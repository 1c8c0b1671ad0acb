/** Services that answer 503 because an Envoy rejected them or a sidecar cannot execute them, as the publisher reports them. Pure. */
import type { Action } from "./decision.js";
import type { ClosedService, ProxyStatus } from "./ports.js";

/** One Service that is closed at one Envoy. */
export interface Closure extends Omit<ClosedService, "form"> {
	readonly node: string;
}

export const closuresOf = (proxies: readonly ProxyStatus[]): readonly Closure[] =>
	proxies.flatMap(({ node, closed = [] }) => closed.map(({ form: _, ...closure }) => ({ node, ...closure })));

/** Qualified names, sorted. */
export const closedServices = (proxies: readonly ProxyStatus[]): readonly string[] =>
	[...new Set(closuresOf(proxies).map(({ service }) => service))].sort();

/** One sentence for readers of the namespace. */
export function closureText({ node, service, why, sinceMs, others = 0 }: Closure): string {
	const since = new Date(sinceMs).toISOString();
	const where = others === 0 ? node : `${node} and ${others} more`;
	const detail = why === "" ? "" : `: ${why.slice(0, 500)}`;
	return `Service ${service} answers 503 at ${where} since ${since}, which refuses its newest configuration${detail}`;
}

/** Actions that protect users are not in it: they do not wait. */
const MOVES_ON: ReadonlySet<Action> = new Set([
	"ramp",
	"reallocate",
	"resume",
	"promote",
	"advance-takeover",
	"complete",
]);

/** Whether the action waits while the Experiment's Service is closed. */
export const movesOn = (action: Action): boolean => MOVES_ON.has(action);
