/** One promotion of a Service at a time, by Weir or by a person: which one is under way where another would begin. Pure. */
import { experimentsOf, findQualified, serviceOf } from "../resources/lookup.js";
import { type Experiment, qualifiedName } from "../resources/resource.js";
import type { State } from "./ports.js";

/**
 * Another Experiment of the Service that is being promoted, by qualified name; null = none. Its takeover ends with a default
 * Variant, and so does its holdback, in which harm is still looked for: which of two winners would be the default in the end
 * nobody has decided, nor whom it would shut out that the other lets in.
 */
export function beingPromoted(
	{ resources, status }: Pick<State, "resources" | "status">,
	experiment: Experiment,
): string | null {
	const service = findQualified(resources.services, serviceOf(experiment));
	if (service === undefined) return null;
	const own = qualifiedName(experiment.metadata);
	const others = experimentsOf(resources.experiments, service).map(({ metadata }) => qualifiedName(metadata));
	return (
		others.find((name) => {
			const { phase, promotion } = status.experiments[name] ?? {};
			return name !== own && phase === "Promoting" && promotion !== null;
		}) ?? null
	);
}
