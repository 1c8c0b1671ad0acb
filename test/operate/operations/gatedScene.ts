/** An API with an Experiment whose gates a test controls, and operators who promote, approve and override. */
import type { GateQuestion } from "../../../src/decide/rollout/gate.js";
import type { WebhookAnswer } from "../../../src/decide/rollout/ports.js";
import { experiment, file, METRIC, SERVICE } from "../employment.js";
import { type MutualApiOptions, mutualApi } from "../mutualApi.js";
import { binding } from "../operatorBinding.js";

const GATES = `  gates:
      - {at: before-step, url: "https://ci.example/step"}
      - {at: before-promotion, url: "https://ci.example/first?key=secret"}
      - {at: before-promotion, url: "https://ci.example/second"}
`;
const DECLARED = [SERVICE, METRIC, experiment("boosted").replace("rollout: {steps", "rollout:\n    steps")].join(
	"---\n",
);
export const GATED = DECLARED.replace(
	/rollout:\n {4}steps: (.*), every: (.*), minUnits: (.*), alpha: (.*)\}/,
	(_, ...found) => {
		const [steps, every, minUnits, alpha] = found as string[];
		return `rollout:\n    steps: ${steps}\n    every: ${every}\n    minUnits: ${minUnits}\n    alpha: ${alpha}\n  ${GATES}`;
	},
);

/** Gates agree unless `answers` has another answer; ada may promote, bob approve, root is an admin. */
export async function gatedScene(t: Parameters<typeof mutualApi>[0], more: MutualApiOptions = {}) {
	const asked: GateQuestion[] = [];
	const answers: (WebhookAnswer | (() => Promise<WebhookAnswer>))[] = [];
	const made = await mutualApi(t, {
		webhook: async (_, question) => {
			asked.push(question);
			const next = answers.shift() ?? { ok: true };
			return typeof next === "function" ? next() : next;
		},
		...more,
	});
	const rules = [
		binding("ada", "promote", ["ada"], "[default]"),
		binding("bob", "approve", ["bob"], "[default]"),
		binding("root", "admin", ["root"], "[default]"),
	];
	const applied = await made.owner.apply(file([GATED, ...rules].join("---\n")), { dryRun: false });
	if (applied.outcome !== "applied") throw new Error(JSON.stringify(applied));
	return { ...made, asked, answers };
}
