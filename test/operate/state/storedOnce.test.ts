/** Resources that a change leaves alone stay the same objects in memory. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import t from "tap";
import { Store } from "../../../src/operate/state/store/store.js";
import { ALL, file, METRIC, temporaryDirectory } from "../employment.js";

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

t.test("each resource has its own text", async (t) => {
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	const metric = (name: string) => METRIC.replace("accuracy", name).trim();
	const one = (text: string) => ({ name: "same-name.yaml", text });
	const files = [
		one(
			`# of a\n${metric("a")}\n--- # of b\n# still b\n${metric("b")}\n...\n---\n---\n# nothing\n---\n${metric("c")}\n`,
		),
		one(`%YAML 1.2\n---\r\n${metric("d").replaceAll("\n", "\r\n")}\r\n`),
		one(
			`\n\n--- {apiVersion: weir.dev/v1alpha1, kind: Metric, metadata: {name: e},\n spec: {type: rate, source: errors, direction: down, window: 1m}}`,
		),
	];
	const plan = store.changeSet({ files, deletions: [] }, 1_000_000);
	t.same(plan.problems, []);
	store.commit(plan, { by: "ada", dryRun: false, nowMs: 1_000_000 });
	t.same(
		store.sources.map(({ resource, source }) => [resource.metadata.name, source]),
		[
			["a", `# of a\n${metric("a")}\n`],
			["b", `# of b\n# still b\n${metric("b")}\n`],
			["c", `${metric("c")}\n`],
			["d", `${metric("d")}\n`],
			[
				"e",
				"{apiVersion: weir.dev/v1alpha1, kind: Metric, metadata: {name: e},\n spec: {type: rate, source: errors, direction: down, window: 1m}}\n",
			],
		],
	);
});

t.test("a large comment in an applied file does not stay in memory", async (t) => {
	setFlagsFromString("--expose-gc");
	const collect = runInNewContext("gc") as () => void;
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	const comments = `# ${"x".repeat(98)}\n`.repeat(39_000);
	const heapMiB = (): number => {
		collect();
		return process.memoryUsage().heapUsed / 2 ** 20;
	};
	const apply = (name: string): void => {
		const text = `${METRIC.replace("accuracy", name)}---\n${comments}`;
		t.match(store.apply(file(text), { by: "ada", dryRun: false, nowMs: 1 }), { outcome: "applied" });
	};
	apply("first");
	const before = heapMiB();
	for (let index = 0; index < 8; index++) apply(`metric-${index}`);
	t.ok(heapMiB() - before < 8, "each file has 3.7 MiB");
});
