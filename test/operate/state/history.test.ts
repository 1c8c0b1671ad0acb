/** The depth of the history, and its error for a revision that it no longer has. */
import t from "tap";
import { HISTORY_REVISIONS_MAX, History } from "../../../src/operate/state/history/history.js";
import { Store } from "../../../src/operate/state/store/store.js";
import { file, METRIC, temporaryDirectory } from "../employment.js";

const everywhere = () => true;

t.test("the oldest revisions are dropped, and a rollback to them is refused", (t) => {
	const directory = temporaryDirectory(t);
	const store = new Store(directory);
	t.teardown(() => store.close());
	const history = new History(store.database);
	store.atomically(() => {
		for (let revision = 1; revision <= HISTORY_REVISIONS_MAX + 2; revision++) {
			const changes = [{ kind: "Metric", name: `m${revision}`, change: "created" }] as const;
			history.record({ revision, atMs: revision, by: "ada", rolledBackTo: null, changes }, []);
		}
	});
	t.equal(history.list(everywhere).length, HISTORY_REVISIONS_MAX);
	t.equal(history.keptFrom, 2);
	const newest = HISTORY_REVISIONS_MAX + 2;
	const now = { revision: newest, stored: [] };
	t.throws(() => history.rollback(1, now, everywhere), {
		code: "failed-precondition",
		message: "old documents are kept back to revision 2, not to 1",
	});
	const later = { ...now, revision: newest + 2 };
	t.throws(() => history.rollback(9_999, later, everywhere), {
		code: "invalid-argument",
		message: `there is no revision 9999: weir history has revisions up to ${newest}`,
	});
	t.throws(() => history.rollback(9_999, later, () => false), {
		message: "there is no revision 9999: weir history has none",
	});
	t.same(history.rollback(2, now, everywhere), { files: [], deletions: [] }, "nothing of it is there now");
	t.end();
});

t.test("the history is in the state file, with the text as written", async (t) => {
	const directory = temporaryDirectory(t);
	const options = { by: "ada", dryRun: false, nowMs: 1 };
	const before = new Store(directory);
	before.apply(file(`# first\n${METRIC}`), options);
	before.apply(file(METRIC.replace("1s", "2s")), options);
	before.apply(file(METRIC.replace("1s", "2s")), options);
	await before.close();
	const store = new Store(directory);
	t.teardown(() => store.close());
	t.match(store.history.list(everywhere), [{ revision: 2, by: "ada" }, { revision: 1 }]);
	t.same(store.rollbackTo(1, everywhere), {
		files: [{ name: "revision 1 Metric accuracy", text: `# first\n${METRIC}` }],
		deletions: [],
	});
	t.same(
		store.rollbackTo(1, (namespace) => namespace === "other"),
		{ files: [], deletions: [] },
	);
});
