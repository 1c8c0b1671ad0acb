/** What a change leaves as it is stays the same object in memory, with all that is known of it. */
import t from "tap";
import { Store } from "../../src/state/store.js";
import { ALL, file, METRIC, temporaryDirectory } from "./employment.js";

t.test("a change of one resource leaves the others as they were read", async (t) => {
	const directory = temporaryDirectory(t);
	const store = new Store(directory);
	t.teardown(() => store.close());
	const options = { by: "ada", dryRun: false, nowMs: 1_000_000 };
	t.match(store.apply(file(ALL), options), { outcome: "applied" });
	const before = store.sources;
	const of = (sources: typeof before, kind: string) => sources.find(({ resource }) => resource.kind === kind);
	t.match(store.apply(file(METRIC.replace("accuracy", "other")), options), { outcome: "applied" });
	t.equal(store.sources.length, before.length + 1);
	for (const one of before) t.ok(store.sources.includes(one), `${one.resource.kind} as it was`);
	t.match(store.apply(file(`# a comment\n${METRIC}`), options), { outcome: "applied" });
	t.equal(of(store.sources, "Service"), of(before, "Service"));
	t.match(of(store.sources, "Metric")?.source, /# a comment/, "and what changed is as it is stored");
});
