/** What requests for approval take: of the room, of the state file, and of whoever lists them. */
import t from "tap";
import { APPROVAL_REQUESTS_PENDING_MAX } from "../../src/limits.js";
import type { AskedAct, Part } from "../../src/state/approvals/approval.js";
import { ApprovalShelf } from "../../src/state/approvals/approvalShelf.js";
import { openDatabase, type StateDatabase } from "../../src/state/store/database.js";
import { file, temporaryDirectory } from "./employment.js";
import { metricText } from "./guarded.js";
import { mutualApi, operator, READS_NOTHING } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

t.setTimeout(120_000);

const now = { dryRun: false };
const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;
const needs = { needs: 1, needsIn: { team: 1 }, expireMs: DAY_MS };
const ann = { subject: "ann", groups: [], how: "mtls" } as const;
const SOME: AskedAct = { verb: "apply", files: [{ name: "a.yaml", text: "x".repeat(3 * MIB) }] };
const policy = (namespace: string) => `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: own, namespace: ${namespace}}
spec: {verbs: [apply], namespaces: [${namespace}]}
`;

/** Asked by ann in a namespace. */
function asked(namespace: string, act = SOME, effects = ["created Metric team/m"]) {
	const parts = effects.map((effect): Part => ({ effect, resource: null, namespaces: [namespace] }));
	const namespaces = [namespace];
	return { act, askedBy: ann, namespaces, governedBy: namespaces, effects, parts, revision: 1, basis: { m: "absent" } };
}

function opened(t: { teardown(end: () => unknown): unknown }, directory = temporaryDirectory(t)): StateDatabase {
	const database = openDatabase(directory);
	t.teardown(() => database.close());
	return database;
}

/** A file with a request that waits, one that was rejected and one whose time is over, as an earlier Weir kept them. */
async function keptWhole(directory: string, nowMs: number): Promise<void> {
	const database = openDatabase(directory);
	const whole = {
		...asked("team"),
		askedAtMs: nowMs,
		expiresAtMs: nowMs + DAY_MS,
		needs: 2,
		approvals: [],
		state: "pending",
		why: "",
		endedAtMs: null,
	} as const;
	const { parts: _, governedBy: __, ...oldest } = whole;
	database.requests.putSync("000000000000000a", { ...oldest, id: "000000000000000a" });
	const ended = { state: "rejected", why: "no", endedAtMs: nowMs } as const;
	database.requests.putSync("000000000000000b", { ...whole, ...ended, id: "000000000000000b" });
	database.requests.putSync("000000000000000c", { ...whole, expiresAtMs: nowMs, id: "000000000000000c" });
	await database.close();
}

t.test("what is over keeps its head alone; a list and one more request read no content", (t) => {
	const database = opened(t);
	const shelf = new ApprovalShelf(database);
	const effects = Array.from({ length: 30 }, (_, n) => `created Metric team/m${n}`);
	const first = shelf.ask(asked("team", SOME, effects), needs, 1);
	t.match(shelf.get(first.id, 1), { act: SOME, effects, parts: asked("team", SOME, effects).parts });
	const [listed] = shelf.all(1);
	t.match(listed, { act: null, basis: {}, effects: effects.slice(0, 20), effectCount: 30, state: "pending" });
	const headBytes = () => Buffer.byteLength(JSON.stringify([...database.requestHeads.getRange()]));
	t.ok(headBytes() < 10_000, "of 3 MiB");
	shelf.put({ ...first, state: "rejected", why: "no", endedAtMs: 2 });
	t.match(shelf.get(first.id, 2), { act: null, state: "rejected", why: "no", effectCount: 30, bytes: 0 });
	t.equal(database.requestContents.getCount(), 0);
	const late = shelf.ask(asked("team"), { ...needs, expireMs: 60_000 }, 3);
	t.match(shelf.get(late.id, 60_003), { act: null, state: "void", why: "its time is over" });
	shelf.ask(asked("team"), needs, 60_004);
	t.equal(database.requestContents.getCount(), 1, "that of who waits");
	t.match(shelf.get(late.id, 4), { state: "void" }, "whatever the clock says later");
	t.end();
});

t.test("what was done can be read as it was approved, of each namespace so many bytes", (t) => {
	const database = opened(t);
	const shelf = new ApprovalShelf(database);
	const done = (namespace: string, text: string, atMs: number) => {
		const made = shelf.ask(asked(namespace, { verb: "apply", files: [{ name: "a.yaml", text }] }), needs, atMs);
		shelf.put({ ...made, state: "done", made: atMs, endedAtMs: atMs });
		return made.id;
	};
	const other = done("prod", "x", 1);
	const ids = Array.from({ length: 6 }, (_, n) => done("team", `${n}`.repeat(3 * MIB), 2 + n));
	t.match(shelf.get(other, 9), { state: "done", made: 1, act: { files: [{ text: "x" }] } });
	shelf.ask(asked("team"), needs, 10);
	const kept = ids.map((id) => shelf.get(id, 11)?.act !== null);
	t.same(kept, [false, true, true, true, true, true], "16 MiB");
	t.match(shelf.get(ids[0] ?? "", 11), { state: "done", bytes: 0, effects: ["created Metric team/m"] });
	t.match(shelf.get(other, 11), { act: { files: [{ text: "x" }] } }, "that of no other namespace goes for it");
	t.equal(database.requestContents.getCount(), 7);
	t.end();
});

t.test("of what is over a namespace keeps so many, and pushes out no other's", (t) => {
	const shelf = new ApprovalShelf(opened(t));
	const act: AskedAct = { verb: "abort", experiment: "team/e", arm: null, reason: "" };
	const end = (namespaces: readonly string[], atMs: number) => {
		const made = shelf.ask({ ...asked("team", act), governedBy: namespaces }, needs, atMs);
		shelf.put({ ...made, state: "rejected", endedAtMs: atMs });
		return made.id;
	};
	const [both, prod] = [end(["team", "prod"], 1), end(["prod"], 2)];
	const ids = Array.from({ length: 150 }, (_, n) => end(["team"], 3 + n));
	shelf.ask(asked("team", act), needs, 200);
	const kept = new Set(shelf.all(200).map(({ id }) => id));
	t.equal(kept.size, 103, "100, those of prod, and the one that waits");
	for (const id of [both, prod, ...ids.slice(-100)]) t.ok(kept.has(id));
	t.end();
});

t.test("the same act of the same person waits once: as it waits, or anew where it is otherwise now", (t) => {
	const database = opened(t);
	const shelf = new ApprovalShelf(database);
	const act = (reason: string): AskedAct => ({ verb: "promote", experiment: "team/e", arm: "b", reason });
	const waiting = (nowMs: number) => shelf.all(nowMs).flatMap(({ id, state }) => (state === "pending" ? [id] : []));
	const first = shelf.ask(asked("team", act("good")), needs, 1);
	shelf.put({ ...first, approvals: [{ by: { ...ann, subject: "bob" }, atMs: 2 }] });
	t.match(shelf.ask(asked("team", act("good")), needs, 3), { id: first.id, askedAtMs: 1, approvals: [{ atMs: 2 }] });
	t.match(shelf.all(3), [{ reason: "good" }]);
	const anew = shelf.ask(asked("team", act("better")), needs, 4);
	t.match(shelf.get(first.id, 4), { state: "void", why: `asked for again: ${anew.id}`, endedAtMs: 4 });
	t.same([waiting(4), anew.approvals], [[anew.id], []], "nobody has approved it as it is now");
	const changed = { ...asked("team", act("better")), basis: { m: "other" } };
	const third = shelf.ask(changed, needs, 5);
	t.same(waiting(5), [third.id]);
	const grouped = shelf.ask({ ...changed, askedBy: { ...ann, groups: ["g"] } }, needs, 6);
	t.same(waiting(6), [grouped.id], "by other groups it may be otherwise");
	const other = shelf.ask({ ...changed, askedBy: { ...ann, subject: "bob" } }, needs, 7);
	const another = shelf.ask(asked("team", { ...act("better"), arm: "c" } as AskedAct), needs, 8);
	t.same(waiting(8), [grouped.id, other.id, another.id], "another person's, and another act");
	const file = shelf.ask(asked("team"), needs, 9);
	t.equal(shelf.ask(asked("team"), needs, 10).id, file.id);
	t.equal(database.requestContents.getCount(), 4);
	t.end();
});

t.test("who asks again and again with other words pushes out nothing that is over", (t) => {
	const shelf = new ApprovalShelf(opened(t));
	const act = (reason: string): AskedAct => ({ verb: "abort", experiment: "team/e", arm: null, reason });
	const harmful = shelf.ask(asked("team"), needs, 1);
	shelf.put({ ...harmful, state: "rejected", why: "it is harmful", endedAtMs: 2 });
	const ids = Array.from({ length: 150 }, (_, n) => shelf.ask(asked("team", act(`r${n % 2}`)), needs, 3 + n).id);
	t.match(shelf.get(harmful.id, 200), { state: "rejected", why: "it is harmful" });
	t.same(
		shelf.all(200).map(({ id }) => id),
		[harmful.id, ids.at(-1)],
		"of what nobody approved nothing is left",
	);
	t.equal(shelf.get(`${ids[0]}`, 200), null);
	t.end();
});

t.test("asked for again as it is, it waits as long as if it were new, unless somebody has approved it", (t) => {
	const shelf = new ApprovalShelf(opened(t));
	const first = shelf.ask(asked("team"), needs, 1);
	t.match(shelf.ask(asked("team"), needs, DAY_MS), { id: first.id, askedAtMs: 1, expiresAtMs: 2 * DAY_MS });
	t.match(shelf.get(first.id, DAY_MS + 2), { state: "pending", act: SOME });
	const approvals = [{ by: { ...ann, subject: "bob" }, atMs: DAY_MS }];
	shelf.put({ ...first, expiresAtMs: 2 * DAY_MS, approvals });
	t.match(shelf.ask(asked("team"), needs, DAY_MS + 3), { expiresAtMs: 2 * DAY_MS, approvals });
	t.end();
});

t.test("so many requests wait, and so many bytes of them", (t) => {
	const tooMany = { code: "resource-exhausted", hint: /weir requests/ };
	const shelf = new ApprovalShelf(opened(t));
	const abort = (at: number): AskedAct => ({ verb: "abort", experiment: `team/e${at}`, arm: null, reason: "" });
	for (let at = 0; at < APPROVAL_REQUESTS_PENDING_MAX; at++) shelf.ask(asked("team", abort(at)), needs, 1);
	t.throws(() => shelf.ask(asked("team", abort(-1)), needs, 1), tooMany);
	shelf.ask(asked("team", abort(0)), needs, 1);
	const large = new ApprovalShelf(opened(t));
	const files = (name: string): AskedAct => ({ verb: "apply", files: [{ name, text: "x".repeat(64 * MIB - 1_000) }] });
	for (const name of ["a", "b", "c", "d"]) large.ask(asked("team", files(name)), needs, 1);
	t.throws(() => large.ask(asked("team", files("e")), needs, 1), tooMany);
	t.end();
});

t.test("what an earlier Weir kept whole is taken over: what waits with its content, the rest without", async (t) => {
	const directory = temporaryDirectory(t);
	await keptWhole(directory, 1_000);
	const database = openDatabase(directory);
	const shelf = new ApprovalShelf(database);
	t.equal(database.requests.getCount(), 0);
	const [waits, rejected, late] = ["a", "b", "c"].map((last) => shelf.get(`000000000000000${last}`, 1_000));
	t.match(waits, { act: SOME, basis: { m: "absent" }, governedBy: ["team"], needsIn: { team: 2 }, parts: [] });
	t.ok(Number(waits?.bytes) > 3 * MIB, "it counts where another is asked for");
	t.match(rejected, { act: null, state: "rejected", why: "no", effects: ["created Metric team/m"], bytes: 0 });
	t.match(late, { act: null, state: "void" });
	shelf.ask(asked("team"), needs, 1_001);
	t.equal(database.requestContents.getCount(), 2);
	await database.close();
	t.match(new ApprovalShelf(opened(t, directory)).all(1_001), [{ id: /a$/ }, { id: /b$/ }, { id: /c$/ }, {}]);
});

t.test(
	"over the API: the list tells no content, and nothing to who has no right; what did not happen has none",
	async (t) => {
		const { owner, as, store } = await mutualApi(t);
		const rules = [
			binding("ann", "apply", ["ann"], "[team]"),
			binding("carl", "approve", ["carl"], "['*']"),
			policy("team"),
		];
		await owner.apply(file(rules.join("---\n")), now);
		const [ann, carl, eve] = [await as("ann"), await as("carl"), await as("eve")];
		const pad = `# ${"x".repeat(3_900_000)}\n`;
		const ask = async (name: string, text = pad) => {
			const made = await ann.apply(file(metricText(name, "team") + text), now);
			if (made.outcome !== "pending") throw new Error(made.outcome);
			return made.request.id;
		};
		const first = await ask("m0", "");
		t.match(await carl.requests(), [{ id: first, verb: "apply", act: null, effects: ["created Metric team/m0"] }]);
		t.match(await carl.request(first), { act: { files: [{ text: metricText("m0", "team") }] } });
		t.match(await carl.approve(first), { state: "done" });
		const content = { files: [{ text: metricText("m0", "team") }] };
		const done = { state: "done", effects: ["created Metric team/m0"], made: store.current.revision };
		t.match(await ann.request(first), { ...done, act: content }, "what was approved can be read after it was done");
		t.match(store.audit.page(0, 100).records.at(-1), { request: first, revisionAfter: done.made });
		t.match(await carl.requests(), [{ ...done, act: null }]);
		await ask("m1");
		for (const { id, state } of await ann.requests()) if (state === "pending") await ann.reject(id);
		t.equal(store.database.requestContents.getCount(), 1, "that of the one that was done");
		await t.rejects(eve.requests(), READS_NOTHING);
		await owner.delete("RoleBinding", "ann", now);
		const own = await ann.requestsAnswer();
		t.same([own.partial, own.requests.length], [true, 2], "what they have asked for is theirs");
		t.ok(own.requests.every(({ askedBy }) => askedBy === operator("ann")));
		t.match(await ann.request(first), { askedBy: operator("ann") });
	},
);
