/** An aborted Experiment is looked at until its last window is over. */
import t from "tap";
import { Endings } from "../../../src/decide/rollout/endings.js";
import type { EvidenceSource, State } from "../../../src/decide/rollout/ports.js";
import { type ExperimentStatus, initialStatus } from "../../../src/decide/rollout/status.js";
import { WeirError } from "../../../src/error.js";
import type { EvidenceQuery } from "../../../src/infer/statistics/evidence.js";
import { EVENTS_MARGIN_MS } from "../../../src/limits/index.js";
import { resourceSet } from "../../fixtures/resources.js";
import { evidence, experiment, METRICS, metric } from "./example.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ENDED = 100 * HOUR;
const aborted: ExperimentStatus = { ...initialStatus([1_000_000], 1), phase: "Aborted", endedAtMs: ENDED };
const takeover = { fromMs: ENDED - HOUR };

const metrics = [metric("accuracy", { windowMs: 2 * HOUR }), METRICS["error-rate"] ?? metric("error-rate", {})];

const inCrowd = metrics.map((one) => ({ ...one, metadata: { ...one.metadata, namespace: "crowd" } }));

/** The Experiments of these qualified names, all aborted at once. */
function endedOnes(names: readonly string[]): State {
	const experiments = names.map((qualified) => {
		const one = experiment();
		const [name = "", namespace = "default"] = qualified.split("/").reverse();
		return { ...one, metadata: { ...one.metadata, name, namespace } };
	});
	return {
		revision: 1,
		resources: resourceSet({ experiments, metrics: [...metrics, ...inCrowd] }),
		status: { experiments: Object.fromEntries(names.map((name) => [name, aborted])), services: {} },
	};
}

/** An evidence source that counts the queries of each Experiment. */
function counting() {
	const seen = new Map<string, number>();
	const source: EvidenceSource = {
		async evidence({ experiment: name }) {
			seen.set(name, (seen.get(name) ?? 0) + 1);
			return evidence({ control: { n: 0 }, boosted: { n: 0 } });
		},
		baselineQuantile: async () => null,
	};
	return { seen, source };
}

/** The minutes after the end at which evidence is queried, with a tick each minute for six hours from `fromMs`. */
async function looks(status: ExperimentStatus, fromMs = ENDED, fails = false): Promise<readonly number[]> {
	const state: State = {
		revision: 1,
		resources: resourceSet({ experiments: [experiment()], metrics }),
		status: { experiments: { main: status }, services: {} },
	};
	const asked: EvidenceQuery[] = [];
	const source: EvidenceSource = {
		async evidence(query) {
			asked.push(query);
			if (fails) throw new WeirError("unavailable", "ingest is gone");
			return evidence({ control: { n: 0 }, boosted: { n: 0 } });
		},
		baselineQuantile: async () => null,
	};
	const endings = new Endings();
	const at: number[] = [];
	for (let nowMs = fromMs; nowMs <= fromMs + 6 * HOUR; nowMs += MINUTE) {
		const before = asked.length;
		await endings.look(state, nowMs, source);
		if (asked.length > before) at.push((nowMs - ENDED) / MINUTE);
	}
	return at;
}

t.test("an ended Experiment is looked at until its longest window is over, and once after", async (t) => {
	const all = [0, 20, 40, 60, 80, 100, 120, 140];
	t.same(await looks(aborted), all);
	t.same(await looks({ ...aborted, phase: "RolledBack" }), all);
	const heldBack = { fromMs: ENDED - HOUR, sharePpm: 100_000 };
	t.same(await looks({ ...aborted, takeover: { ...takeover, heldBack } }), all, "after a holdback");
	t.ok(140 - 121 < EVENTS_MARGIN_MS / MINUTE);
});

t.test("after a restart the loop looks once more if rows may be left, and retries", async (t) => {
	t.same(await looks(aborted, ENDED + 150 * MINUTE), [150]);
	t.same(await looks(aborted, ENDED + 121 * MINUTE + EVENTS_MARGIN_MS + 1_000), []);
	t.same((await looks(aborted, ENDED, true)).slice(-1), [180], "while rows may be left");
});

t.test("no look is made if no window is open, or if another look covers it", async (t) => {
	t.same(await looks({ ...aborted, takeover }), [], "what was open when the takeover began never counts");
	t.same(await looks({ ...aborted, phase: "Promoted", takeover }), []);
	t.same(await looks({ ...aborted, phase: "Running" }), []);
	const { endedAtMs: _, ...withoutEnd } = aborted;
	t.same(await looks(withoutEnd), [], "the time of the end is unknown");
});

t.test("the ended Experiment with the oldest query is queried first", async (t) => {
	const names = Array.from({ length: 30 }, (_, index) => `ended-${index}`);
	const { seen, source } = counting();
	const endings = new Endings();
	for (let minute = 0; minute < 90; minute++) await endings.look(endedOnes(names), ENDED + minute * MINUTE, source);
	t.same([...new Set(names.map((name) => seen.get(name)))], [3]);
});

t.test("an ended Experiment that is no longer declared is dropped", async (t) => {
	const { seen, source } = counting();
	const endings = new Endings();
	for (const [minute, names] of [["one"], ["one"], [], ["one"]].entries())
		await endings.look(endedOnes(names), ENDED + minute * MINUTE, source);
	t.equal(seen.get("one"), 2);
});

t.test(
	"an experiment of the same name that ends again is a new one; one that no longer waits gets no look",
	async (t) => {
		const { seen, source } = counting();
		const endings = new Endings();
		const first = endedOnes(["one"]);
		await endings.look(first, ENDED, source);
		const again = {
			...first,
			status: { ...first.status, experiments: { one: { ...aborted, endedAtMs: ENDED + MINUTE } } },
		};
		await endings.look(again, ENDED + MINUTE, source);
		t.equal(seen.get("one"), 2);
		const many = endedOnes(["a", "b"]);
		await endings.look(many, ENDED + 2 * MINUTE, source);
		const running = { ...many.status.experiments, b: { ...aborted, phase: "Running" as const } };
		await endings.look({ ...many, status: { ...many.status, experiments: running } }, ENDED + 3 * MINUTE, source);
		t.same([seen.get("a"), seen.get("b")], [1, undefined]);
	},
);
