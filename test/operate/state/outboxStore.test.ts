/** The outbox of rollback notifications drops the oldest when it is full. */
import t, { type Test } from "tap";
import { gateQuestion } from "../../../src/decide/rollout/gate.js";
import type { Gate } from "../../../src/declare/resources/resource.js";
import { openDatabase, type StateDatabase } from "../../../src/operate/state/store/database.js";
import { GATE_OUTBOX_MAX, OutboxStore } from "../../../src/operate/state/store/outboxStore.js";
import { Store } from "../../../src/operate/state/store/store.js";
import { input } from "../../decide/rollout/example.js";
import { experiment, file, METRIC, outcome, SERVICE, temporaryDirectory } from "../employment.js";

const GATE: Gate = { at: "after-rollback", url: "https://ci.example/", timeoutMs: 1_000 };
const QUESTION = gateQuestion(input({}), outcome(input({}).status), "after-rollback", 0);

function opened(t: Test) {
	const database = openDatabase(temporaryDirectory(t));
	t.teardown(() => database.close());
	return { database, shelf: new OutboxStore(database) };
}

/** Rollbacks, by Experiment, one revision after the other. */
function fill(database: StateDatabase, experiments: readonly string[], { gates = 16, from = 1 } = {}): void {
	const shelf = new OutboxStore(database);
	database.transaction(() => {
		for (const [at, name] of experiments.entries()) {
			const question = { ...QUESTION, experiment: name };
			shelf.put({ experiment: name, sequence: 2 }, from + at, Array(gates).fill({ gate: GATE, question }));
		}
	});
}

const many = (namespace: string, count: number) => Array.from({ length: count }, (_, at) => `${namespace}/trap-${at}`);
const gatesOf = (shelf: OutboxStore, isMeant: (experiment: string) => boolean): number =>
	shelf.pending().filter(({ experiment }) => isMeant(experiment)).length;
const dropped = ({ counters }: StateDatabase) => counters.get("droppedNotices") ?? 0;

t.test("the oldest notifications are dropped first", (t) => {
	const { database, shelf } = opened(t);
	fill(database, ["x/z-oldest", ...many("x", 624), "x/a-newest"]);
	t.same([shelf.pending().length, dropped(database)], [GATE_OUTBOX_MAX, 16]);
	const left = new Set(shelf.pending().map(({ experiment }) => experiment));
	t.notOk(left.has("x/z-oldest"));
	t.ok(left.has("x/a-newest"));
	t.equal(
		gatesOf(shelf, (name) => name === "x/trap-0"),
		16,
	);
	t.end();
});

t.test("a delivered notification is removed", (t) => {
	const { database, shelf } = opened(t);
	fill(database, ["x/one"], { gates: 2 });
	const [first, second] = shelf.pending().map(({ key }) => key);
	t.match(shelf.message(String(first)), { gate: GATE, question: { at: QUESTION.at } });
	for (const key of [first, first, "no key", "[]"]) shelf.delivered(String(key));
	t.strictSame(shelf.pending(), [{ key: second, experiment: "x/one" }], "listed without its message");
	t.same(
		[first, "no key", "[]"].map((key) => shelf.message(String(key))),
		[null, null, null],
	);
	t.end();
});

t.test("a notification's age is that of its decision", async (t) => {
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	const gates = `alpha: 0.05, gates: [{at: after-rollback, url: "${GATE.url}"}]`;
	const [a, b] = ["[0%, 50%]", "[50%, 100%]"].map((slot, at) => experiment("ba"[at] as string, slot));
	const text = [SERVICE, METRIC, a, b].join("---\n").replaceAll("alpha: 0.05", gates);
	const applied = store.apply(file(text), { by: "owner", dryRun: false, nowMs: 1 });
	t.equal(applied.outcome, "applied");
	for (const name of ["b", "a"]) {
		const status = store.current.status.experiments[name];
		if (status === undefined) throw new Error("not started");
		await store.decide({
			...{ experiment: name, expectedRevision: store.current.revision, by: "weir", atMs: 1 },
			input: input({ experiment: store.experiment(name), status }),
			outcome: outcome({ ...status, phase: "RolledBack", allocationPpm: 0 }, { action: "roll-back" }),
		});
	}
	fill(store.database, [...Array.from({ length: 624 }, (_, at) => `c-${at}`)], { from: 100 });
	fill(store.database, ["d"], { gates: 15, from: 1_000 });
	const left = new Set((await store.pending()).map(({ experiment }) => experiment));
	t.same([left.has("b"), left.has("a")], [false, true]);
});
