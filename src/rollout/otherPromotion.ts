/** One promotion of a Service at a time: whose winner is taking it over while another Experiment is ready. Pure. */
import { experimentsOf, findQualified, serviceOf } from "../resources/lookup.js";
import { type Experiment, qualifiedName } from "../resources/resource.js";
import type { State } from "./ports.js";

/**
 * Another Experiment of the Service whose winner is taking over, by qualified name; null = none. Which of two would be the
 * default Variant in the end nobody has decided, nor whom it would shut out that the other lets in. A holdback's is taken over.
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
			return name !== own && phase === "Promoting" && promotion?.heldBackFromMs === undefined;
		}) ?? null
	);
}
