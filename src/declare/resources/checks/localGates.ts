/** Refuses gates on control's own machine: a server there may trust every loopback client. */
import { bareHost } from "../address.js";
import type { Positions } from "../position.js";
import type { Experiment, Problem } from "../resource.js";
import { isThisMachine } from "./serverOwner.js";

export function localGateProblems(experiments: readonly Experiment[], positions: Positions): readonly Problem[] {
	return experiments.flatMap((one) =>
		one.spec.rollout.gates.flatMap(({ url }, index): readonly Problem[] =>
			isThisMachine(bareHost(new URL(url).hostname))
				? [
						{
							position: positions.at(one, ["spec", "rollout", "gates", index, "url"]),
							message: "a gate on control's own machine is not allowed",
							hint: "write an https URL of another machine, or start control with --allow-local-gates",
						},
					]
				: [],
		),
	);
}
