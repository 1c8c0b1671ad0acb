/** How long the gates of an Experiment that ended without a promotion stand. */
import t from "tap";
import type { Experiment } from "../../src/resources/resource.js";
import { initialStatus } from "../../src/rollout/status.js";
import { heldGates } from "../../src/state/gatesWeakened.js";
import { experiment, resourceSet } from "../fixtures/resources.js";

t.test(
	"gates of what ended go over to what began after that end, however often others were promoted before",
	async (t) => {
		const gates = [{ at: "before-promotion", url: "https://ci.example/first", timeoutMs: 1_000 }] as const;
		const one = (name: string, has: boolean): Experiment => {
			const made = experiment(name, "model", [1, 1]);
			return { ...made, spec: { ...made.spec, rollout: { ...made.spec.rollout, gates: has ? gates : [] } } };
		};
		const [boosted, other] = [one("boosted", true), one("other", false)];
		const held = (startedAtMs: number, phase: "Promoted" | "Aborted", second = other, endedAtMs: number | null = 10) =>
			heldGates({
				resources: resourceSet({ experiments: [boosted, second] }),
				status: {
					services: {},
					experiments: {
						boosted: {
							...{ ...initialStatus([20_000], 1), phase: "RolledBack" },
							...(endedAtMs === null ? {} : { endedAtMs }),
						},
						other: { ...initialStatus([20_000], startedAtMs), phase, endedAtMs: startedAtMs + 1 },
					},
				},
			})(boosted);
		t.same(held(11, "Promoted"), []);
		t.same(held(11, "Aborted"), gates, "it has none of them");
		t.same(held(11, "Aborted", one("other", true)), [], "it has them, and holds them now");
		t.same(held(5, "Promoted"), gates, "it began beside it, and its promotion asked none");
		t.same(held(5, "Promoted", other, null), [], "ended under former rules, nobody knows when");
		t.same(held(5, "Promoted", other, 0), [], "by a clock that was set back");
	},
);
