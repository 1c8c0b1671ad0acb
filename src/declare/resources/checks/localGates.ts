/** Gates on control's own machine: control would post to a server there that may trust everything on the loopback. */
import { bareHost } from "../address.js";
import type { Positions } from "../position.js";
import type { Experiment, Problem } from "../resource.js";
import { isThisMachine } from "./shared.js";

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
