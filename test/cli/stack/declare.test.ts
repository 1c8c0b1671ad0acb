/** What `weir up` declares at a start, against a real API: its notices, and that it overwrites no changes of others. */

import t, { type Test } from "tap";
import { declare } from "../../../src/cli/stack/declare.js";
import type { Store } from "../../../src/operate/state/store/store.js";
import { actOn } from "../../operate/actOn.js";
import { experiment, file } from "../../operate/employment.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "../../operate/guarded.js";
import { mutualApi, operator } from "../../operate/mutualApi.js";
import { binding } from "../../operate/operatorBinding.js";
import { temporaryDirectory } from "../command.js";

const WIDE = policyText("callers", "employment");
const NARROW = `${WIDE}  methods: [GET]\n`;
const text = (policy: string, ...more: readonly string[]): string =>
	[RULES_GATEWAY, serviceText("employment"), policy, ...more].join("---\n");
const now = { dryRun: false };

/** Starts of a stack with these documents, in sequence. */
async function starts(t: Test) {
	const made = await mutualApi(t);
	const dataDirectory = await temporaryDirectory(t);
	const start = async (documents: string | null, overwrite = false): Promise<readonly string[]> => {
		const notices: string[] = [];
		const files = documents === null ? [] : [{ name: "weir.yaml", text: documents }];
		const at = { dataDirectory };
		const notice = (line: string) => notices.push(line);
		await declare(files, { api: `unix:${made.api.socket}`, at, overwrite, notice }).catch((error: Error) => {
			throw Object.assign(error, { notices });
		});
		return notices;
	};
	const methods = () => made.store.current.resources.accessPolicies[0]?.spec.methods;
	return { ...made, start, methods };
}

const EVE = `${metricText("accuracy").trimEnd().slice(0, -1)}, senders: ["spiffe://a.example/eve"]}\n`;

t.test("a start with an edited file prints what it changes, and proceeds", async (t) => {
	const { start, methods, store } = await starts(t);
	await t.rejects(start(null), { code: "failed-precondition", message: /no Gateway is declared/, hint: "add -f FILE" });
	t.same(await start(text(NARROW)), [], "nothing stands that it changes");
	t.same(await start(text(NARROW)), []);
	const { revision } = store.current;
	const [head, ...lines] = await start(text(WIDE, metricText("accuracy")));
	t.match(
		head,
		new RegExp(`^the files given would change the state of \\S+ \\(revision ${revision}, 3 resources\\):$`),
	);
	t.same(lines, ["create Metric accuracy", "configure AccessPolicy callers"]);
	t.same(methods(), []);
	t.match(await start(null), [new RegExp(`starting from the state of \\S+: revision ${revision + 1}, 4 resources$`)]);
});

const since = (named: string) => ({
	code: "failed-precondition",
	message: new RegExp(
		`^the state was changed since a start declared it last \\(revision \\d+, was \\d+\\), and the files given would change ${named}$`,
	),
	hint: /without -f.*--overwrite/,
});

t.test("changes of others are overwritten only with --overwrite", async (t) => {
	const { start, methods, owner, store } = await starts(t);
	await start(text(WIDE));
	await owner.apply(file(NARROW), now);
	const { revision } = store.current;
	const refused = since("AccessPolicy callers");
	await t.rejects(start(text(WIDE)), { ...refused, notices: [/^the files/, "configure AccessPolicy callers"] });
	await start(null);
	await t.rejects(start(text(WIDE)), refused, "whatever was started in between");
	t.equal(store.current.revision, revision);
	t.ok((await start(text(WIDE), true)).includes("configure AccessPolicy callers"));
	t.same(methods(), []);
	t.ok(
		(await start(text(WIDE, metricText("accuracy")))).includes("create Metric accuracy"),
		"the file is edited as before",
	);

	await owner.rollback(revision, null, now);
	t.same(methods(), ["GET"]);
	await t.rejects(start(text(WIDE)), refused, "after a rollback");
	t.same(await start(text(NARROW)), [], "a file that is as the state needs no word");
	await t.rejects(start(text(WIDE)), refused, "nor has it seen what else was changed");
	t.same(await start(text(NARROW), true), []);
	t.ok((await start(text(WIDE))).includes("configure AccessPolicy callers"), "but by its word");
});

t.test("changes of others that were reverted, or that emptied the state, count as changes", async (t) => {
	const { start, owner, store } = await starts(t);
	await start(text(NARROW));
	await owner.apply(file(WIDE), now);
	await owner.rollback(store.current.revision - 1, null, now);
	await t.rejects(start(text(WIDE)), since("AccessPolicy callers"), "the state is as the start left it");
	const eve = binding("eve", "admin", ["eve"], "[default]");
	await owner.apply(file(eve), now);
	await owner.delete("RoleBinding", "eve", now);
	await t.rejects(start(text(NARROW, eve)), {
		...since("RoleBinding eve"),
		notices: [/^the files/, "create RoleBinding eve"],
	});
	await owner.deleteAll(
		store.current.resources.gateways
			.map(({ metadata }) => ({ kind: "Gateway" as const, name: metadata.name }))
			.concat([
				{ kind: "Service", name: "employment" },
				{ kind: "AccessPolicy", name: "callers" },
			] as never),
		now,
	);
	await t.rejects(start(text(NARROW)), since("Gateway .*, Service employment, AccessPolicy callers"), "all of it");
	t.same(store.current.resources.services, []);
});

t.test(
	"a start cannot restore a removed binding under another name, or remove more, without --overwrite",
	async (t) => {
		const { start, owner, methods } = await starts(t);
		const eve = binding("eve", "admin", ["eve"], "[default]");
		await start(text(WIDE, eve));
		await owner.delete("RoleBinding", "eve", now);
		const renamed = binding("eve2", "admin", ["eve"], "[default]");
		await t.rejects(start(text(WIDE, renamed)), since("RoleBinding eve2"));
		await t.rejects(start(text(NARROW)), since("AccessPolicy callers"));
		t.same(methods(), []);
		await t.rejects(start(text(WIDE, eve)), since("RoleBinding eve"), "after starts with other files, too");
	},
);

t.test("a state that no start has declared is overwritten only with --overwrite", async (t) => {
	const { start, owner } = await starts(t);
	await owner.apply(file(text(NARROW)), now);
	await t.rejects(start(text(WIDE)), {
		message: /^no start with -f has declared the state \(it is of revision 1\), and .* AccessPolicy callers$/,
	});
	await start(text(NARROW));
	await t.rejects(start(text(WIDE)), { code: "failed-precondition" });
	await start(text(WIDE), true);
	await start(text(NARROW));
});

t.test(
	"Weir's own changes to Experiments, and another text with the same meaning, are no changes of others",
	async (t) => {
		const { start, owner, store } = await starts(t);
		const running = [metricText("accuracy"), experiment("boosted")];
		await start(text(NARROW, ...running));
		actOn(store, "boosted", { verb: "pause", by: "ann", arm: null, nowMs: 1, reason: "a fire" });
		await owner.apply(file(`# another comment\n${NARROW}`), now);
		t.same([store.current.revision, store.declarations.revision], [2, 1]);
		await start(text(WIDE, ...running));
		t.same([store.current.revision, store.declarations.revision], [3, 3]);
	},
);

t.test("the revision of the last start is part of the state, so that an older copy of it is noticed", async (t) => {
	const { start, store } = await starts(t);
	const running = [metricText("accuracy"), experiment("boosted")];
	await start(text(WIDE, ...running));
	const { counters } = store.database;
	store.database.transaction(() => counters.putSync("started", 9));
	await t.rejects(start(text(NARROW, ...running)), { message: /\(revision 1, was 9\)/ }, "of another history");
	store.database.transaction(() => counters.removeSync("started"));
	await t.rejects(start(text(NARROW, ...running)), { message: /it is of revision 1\)/ }, "of none");
	t.same(await start(text(WIDE, ...running), true), []);
	actOn(store, "boosted", { verb: "pause", by: "ann", arm: null, nowMs: 1, reason: "a fire" });
	await start(text(NARROW, ...running));
	t.equal(store.declarations.startRevision, 3);
});

t.test("only the socket's owner can mark a declaration as a start", async (t) => {
	const { store, owner, as } = await starts(t);
	await owner.apply(file(binding("ann", "apply", ["ann"], "['*']")), now);
	const asked = { dryRun: false, start: true };
	const ann = await as("ann");
	const metric = file(metricText("accuracy"));
	await t.rejects(ann.apply(metric, asked), { code: "permission-denied", message: /only who owns the socket/ });
	t.equal(store.current.resources.metrics.length, 0);
	t.match(store.audit.page(0, 10, "refused").records, [
		{
			...{ subject: operator("ann"), verb: "apply", objects: ["files, unread"] },
			why: "only who owns the socket can start with files",
		},
	]);
	await t.rejects((await as("roleless")).apply(metric, { ...asked, dryRun: true }), { code: "permission-denied" });
	t.equal(store.audit.page(0, 10, "refused").records.length, 2);
	await ann.apply(metric, now);
	await owner.apply(file(text(NARROW)), { ...asked, dryRun: true });
	t.equal(store.declarations.startRevision, null);
	await owner.apply(file(text(NARROW)), asked);
	t.equal(store.declarations.startRevision, 3);
});

t.test("a start prints a change of who may send a Metric's outcomes", async (t) => {
	const { start } = await starts(t);
	await start(text(NARROW, metricText("accuracy")));
	t.same((await start(text(NARROW, EVE))).slice(1), ["configure Metric accuracy"]);
});

t.test("a start prints a changed Service, which decides verdicts too", async (t) => {
	const { start } = await starts(t);
	await start(text(NARROW));
	const moved = text(NARROW).replaceAll("employment.default.example", "work.example");
	t.not(moved, text(NARROW));
	t.match((await start(moved)).slice(1), ["configure Service employment"]);
});

t.test(
	"a change between the dry run and the declaration is noticed, and never counts as the start's own",
	async (t) => {
		const { start, store, methods } = await starts(t);
		const revoke = (): void => void store.apply(file(NARROW), { by: "ada", dryRun: false, nowMs: 1 });
		const changed = since("AccessPolicy callers");
		await start(text(WIDE));
		soonAfter(store, "changeSet", revoke);
		await t.rejects(start(text(WIDE)), changed, "revoked after the dry run, which changed nothing");
		t.same(methods(), ["GET"]);
		await start(text(WIDE), true);
		soonAfter(store, "commit", revoke);
		await start(text(WIDE, metricText("accuracy")));
		t.same(methods(), ["GET"], "revoked after the declaration");
		await t.rejects(start(text(WIDE)), changed);
	},
);

t.test(
	"a file that needs a second approval is not applied, with --overwrite neither, and that is printed",
	async (t) => {
		const { start, methods } = await starts(t);
		const TWO = [
			binding("others", "approve", ["ben"], "[default]"),
			"apiVersion: weir.dev/v1alpha1\nkind: ApprovalPolicy\nmetadata: {name: two}\nspec: {verbs: [apply], namespaces: [default]}\n",
		];
		await start(text(WIDE, ...TWO));
		const notice = (more: string) => [
			new RegExp(
				`^starting with what is declared already: AccessPolicy callers of the file differ, .*in force${more}; ask for it`,
			),
		];
		t.match(await start(text(NARROW, ...TWO)), notice(""));
		t.match(await start(text(NARROW, ...TWO), true), notice(" \\(--overwrite changes nothing of that\\)"));
		t.same(methods(), []);
	},
);

/** Runs `then` once, after the next call of that method has been answered. */
function soonAfter<Name extends "changeSet" | "commit">(store: Store, name: Name, then: () => void): void {
	const asked = store[name].bind(store) as (...given: readonly unknown[]) => unknown;
	const once = (...given: readonly unknown[]): unknown => {
		Reflect.deleteProperty(store, name);
		setImmediate(then);
		return asked(...given);
	};
	Object.assign(store, { [name]: once });
}
