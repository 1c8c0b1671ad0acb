/** How long the gates of an Experiment that ended without a promotion stand. */
import t from "tap";
import type { Experiment } from "../../src/resources/resource.js";
import { initialStatus } from "../../src/rollout/status.js";
import { gatesWeakened, heldGates } from "../../src/state/consequences/gatesWeakened.js";
import { majoritiesStarted } from "../../src/state/consequences/majorityStarted.js";
import { promotionsIn } from "../../src/state/consequences/promotedByHand.js";
import { experiment, resourceSet, service, variant } from "../fixtures/resources.js";

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

t.test("of many gates and many Experiments some are named, and the others counted", async (t) => {
	const gatesOf = (of: string) =>
		Array.from({ length: 16 }, (_, at) => ({
			at: "before-promotion" as const,
			url: `https://ci.example/${of}/${at}`,
			timeoutMs: 1_000,
		}));
	const gated = (name: string): Experiment => {
		const made = experiment(name, "model", [1, 1]);
		return { ...made, spec: { ...made.spec, rollout: { ...made.spec.rollout, gates: gatesOf(name) } } };
	};
	const old = ["a", "b", "c", "d", "e"].map(gated);
	const model = service("model", [variant("v1", 1), variant("v2", 2)]);
	const state = {
		resources: resourceSet({ services: [model], experiments: old }),
		status: {
			services: {},
			experiments: Object.fromEntries(
				old.map(({ metadata }) => [metadata.name, { ...initialStatus([20_000], 1), phase: "Aborted" as const }]),
			),
		},
	};
	const told = gatesWeakened(state, [], [experiment("next", "model", [1, 1])]).map(({ effect }) => effect);
	t.equal(told.length, 17);
	t.equal(told[0], "starts Experiment next without gate before-promotion (ci.example) of Experiment a");
	t.equal(told[16], "starts Experiment next without 64 more gates of Service model");
	const after = { ...model, spec: { ...model.spec, defaultVariant: "v2" } };
	t.same(
		promotionsIn(state, [{ before: model, after }]).map(({ effect }) => effect),
		[
			"moves the default Variant of Service model from v1 to v2, past the gates of Experiment a, b, c and 2 more, which ended without a promotion",
		],
	);
});

t.test("a small edit in front of thousands of gates, and many that start there, are judged soon", async (t) => {
	const gated = (name: string, of: string, stepsPpm: readonly number[]): Experiment => {
		const made = experiment(name, "model", [1, 1]);
		const gates = Array.from({ length: 16 }, (_, at) => ({
			at: "before-step" as const,
			url: `https://ci.example/${of}/${at}`,
			timeoutMs: 1_000,
		}));
		return { ...made, spec: { ...made.spec, rollout: { ...made.spec.rollout, stepsPpm, gates } } };
	};
	const old = Array.from({ length: 2_000 }, (_, at) => gated(`e${at}`, `e${at}`, [20_000, 30_000]));
	const state = {
		resources: resourceSet({
			services: [service("model", [variant("v1", 1), variant("v2", 2)])],
			experiments: old,
		}),
		status: {
			services: {},
			experiments: Object.fromEntries(old.map(({ metadata }) => [metadata.name, initialStatus([20_000], 1)])),
		},
	};
	const isSoon = (from: NodeJS.CpuUsage): void => {
		const ms = process.cpuUsage(from).user / 1_000;
		t.ok(ms < 1_000, `${ms} ms of CPU`);
	};
	let from = process.cpuUsage();
	const [before, after] = [old[0] as Experiment, gated("e0", "e0", [20_000, 40_000])];
	t.match(
		majoritiesStarted(state, [{ before, after }]),
		[],
		"each is asked before a step, at which no more than is live has been shown",
	);
	isSoon(from);
	from = process.cpuUsage();
	const started = Array.from({ length: 1_000 }, (_, at) => gated(`s${at}`, "mine", [20_000]));
	t.equal(gatesWeakened(state, [], started).length, 1_000 * 17);
	// They were 2 s and more each.
	isSoon(from);
});
