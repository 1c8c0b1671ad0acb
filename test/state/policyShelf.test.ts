/** What is kept of earlier access rules: each namespace's apart, so much of it, and what an earlier Weir kept. */
import t from "tap";
import { PolicyShelf, type WholePolicyRecord } from "../../src/state/history/policyShelf.js";
import { openDatabase } from "../../src/state/store/database.js";
import { Store } from "../../src/state/store/store.js";
import { file, temporaryDirectory } from "./employment.js";
import { policyText, RULES_GATEWAY, serviceText } from "./guarded.js";

t.setTimeout(120_000);

const by = { by: "owner", dryRun: false, nowMs: 1 };
const everything = () => true;
const methods = (namespace: string, method: string): string =>
	policyText("callers", "cart", namespace, `  methods: [${method}]\n`);

/** A record of one policy in each namespace. */
const record = (revision: number, namespaces: readonly string[], source = "text"): WholePolicyRecord => ({
	...{ revision, revisionBefore: revision - 1, atMs: 1, by: "owner", restored: null },
	changes: namespaces.map((namespace) => ({
		...{ kind: "AccessPolicy", name: `${namespace}/p`, change: "configured" },
		before: { resource: {} as never, source },
	})),
});

function shelfIn(t: Parameters<typeof temporaryDirectory>[0] & { teardown(end: () => unknown): unknown }) {
	const database = openDatabase(temporaryDirectory(t));
	t.teardown(() => database.close());
	const shelf = new PolicyShelf(database);
	const put = (records: readonly WholePolicyRecord[]): void =>
		database.transaction(() => {
			for (const one of records) shelf.put(one);
		});
	return { database, shelf, put };
}

t.test("a namespace's changes push out its own, and nobody else's rollback is refused for them", async (t) => {
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	const both = ["team", "busy"].flatMap((one) => [serviceText("cart", one), methods(one, "GET")]);
	store.apply(file([RULES_GATEWAY, ...both].join("---\n")), by);
	const good = store.current.revision;
	store.apply(file(methods("team", "PUT")), by);
	for (let at = 0; at <= 200; at++) store.apply(file(methods("busy", at % 2 === 0 ? "PUT" : "GET")), by);
	const ofTeam = (namespace: string) => namespace === "team";
	t.match(store.restoration(good, ofTeam), { revision: good, documents: [{ text: /GET/ }] });
	t.same(store.policies.dropped(ofTeam), []);
	t.same(store.policies.dropped(everything), [{ namespace: "busy", keptFrom: good + 2 }]);
	t.throws(() => store.restoration(good, everything), {
		code: "failed-precondition",
		message: /^access rules of namespace busy are kept back to revision 3, not to 1: earlier changes were dropped/,
		hint: /other namespaces by --namespace/,
	});
	t.match(store.restoration(good + 2, everything), { revision: good + 2 });
	t.match(store.restoration(null, ofTeam), { revision: good }, "before its last change");
});

t.test("what is large pushes out what is older, of its namespace", (t) => {
	const { shelf, put } = shelfIn(t);
	const large = "x".repeat(6 * 1024 * 1024);
	put([record(1, ["a", "b"]), record(2, ["a"], large), record(3, ["a"], large), record(4, ["a"], large)]);
	t.same(
		["a", "b"].map((one) => shelf.heads(one).map(({ revision }) => revision)),
		[[4, 3], [1]],
	);
	t.same([shelf.keptFrom("a"), shelf.keptFrom("b")], [2, 0]);
	put([record(5, ["a"], large.repeat(3))]);
	t.same(
		shelf.heads("a").map(({ revision }) => revision),
		[5],
		"the newest stays, whatever its size",
	);
	t.equal(shelf.replacedSince("a", 3), null);
	t.match(shelf.replacedSince("a", 4)?.get("AccessPolicy a/p"), { before: { source: /^x/ } });
	t.end();
});

t.test("of very many namespaces those with most give way", (t) => {
	const { database, shelf, put } = shelfIn(t);
	const many = Array.from({ length: 200 }, (_, at) => `n${at}`);
	put([record(1, ["quiet"]), ...Array.from({ length: 51 }, (_, at) => record(2 + at, many))]);
	t.equal(database.policyHeads.getKeysCount(), 10_000);
	t.equal(database.policyReplaced.getKeysCount(), 10_000);
	t.equal(shelf.heads("quiet").length, 1);
	t.equal(shelf.dropped.size, 200);
	put([
		record(
			53,
			Array.from({ length: 12_000 }, (_, at) => `m${at}`),
		),
	]);
	t.equal(database.policyHeads.getKeysCount(), 10_000);
	const [gone = ""] = [...shelf.dropped.keys()].filter((one) => shelf.heads(one).length === 0);
	t.ok(shelf.namespaces.includes(gone), "what has nothing left is still known");
	t.equal(shelf.replacedSince(gone, 1), null);
	t.end();
});

t.test("what an earlier Weir kept of all together is taken over, and may be added to by it again", async (t) => {
	const directory = temporaryDirectory(t);
	let database = openDatabase(directory);
	database.transaction(() => {
		database.counters.putSync("revision", 9);
		for (const revision of [5, 7]) database.policies.putSync(revision, record(revision, ["a", "b"], `${revision}`));
	});
	let shelf = new PolicyShelf(database);
	t.same(shelf.namespaces, ["a", "b"]);
	t.match(shelf.replacedSince("b", 4)?.get("AccessPolicy b/p"), { before: { source: "5" } });
	t.match(shelf.replacedSince("b", 5)?.get("AccessPolicy b/p"), { before: { source: "7" } });
	t.equal(shelf.replacedSince("b", 3), null, "it began at its oldest");
	t.equal(shelf.replacedSince("other", 3), null);
	t.equal(shelf.grantsKeptFrom, 9, "of grants it kept none");
	t.equal(database.policies.getKeysCount(), 0);
	await database.close();

	database = openDatabase(directory);
	t.teardown(() => database.close());
	shelf = new PolicyShelf(database);
	t.equal(shelf.keptFrom("a"), 4, "and that stays known");
	database.transaction(() => {
		database.counters.putSync("revision", 12);
		database.policies.putSync(12, record(12, ["a"]));
	});
	shelf = new PolicyShelf(database);
	t.same([shelf.keptFrom("a"), shelf.grantsKeptFrom], [11, 12], "what it did before that is not known");
});

t.test("to list them no earlier text is read, however many there are", (t) => {
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	store.apply(file([RULES_GATEWAY, serviceText("cart"), methods("default", "GET")].join("---\n")), by);
	store.apply(file(methods("default", "PUT")), by);
	const { policyReplaced } = store.database;
	policyReplaced.get = () => t.fail("read") as never;
	policyReplaced.getRange = () => t.fail("read") as never;
	t.same(
		store.policies.list(everything).map(({ revision, changes }) => [revision, changes.map(({ change }) => change)]),
		[
			[2, ["configured"]],
			[1, ["created"]],
		],
	);
	t.end();
});

t.test("a grant is remembered with them, and is none of what is listed or comes back", (t) => {
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	const grant =
		"apiVersion: weir.dev/v1alpha1\nkind: ReferenceGrant\nmetadata: {name: in}\nspec: {from: [{kind: AccessPolicy, namespace: security}], to: [{kind: Service}]}\n";
	store.apply(file([RULES_GATEWAY, serviceText("cart"), methods("default", "GET")].join("---\n")), by);
	store.apply(file([methods("default", "PUT"), grant].join("---\n")), by);
	store.delete([{ kind: "ReferenceGrant", name: "in" }], by);
	t.equal(store.policies.shelf.heads("default").length, 3);
	t.same(
		store.policies.list(everything).map(({ changes }) => changes.map(({ kind }) => kind)),
		[["AccessPolicy"], ["AccessPolicy"]],
	);
	t.match(store.restoration(2, everything), { documents: [], deletions: [] });
	t.match(store.restoration(null, everything), { revision: 1, documents: [{ text: /GET/ }], deletions: [] });
	t.end();
});
