/** What `weir up` declares at a start, against an API that stands: what it tells, and what it refuses to give back. */
import t, { type Test } from "tap";
import { declare } from "../../src/cli/stack/declare.js";
import type { Store } from "../../src/state/store/store.js";
import { file } from "../state/employment.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "../state/guarded.js";
import { mutualApi, operator } from "../state/mutualApi.js";
import { binding } from "../state/operatorBinding.js";
import { temporaryDirectory } from "./command.js";

const WIDE = policyText("callers", "employment");
const NARROW = `${WIDE}  methods: [GET]\n`;
const text = (policy: string, ...more: readonly string[]): string =>
	[RULES_GATEWAY, serviceText("employment"), policy, ...more].join("---\n");
const now = { dryRun: false };

/** Starts of a stack with those documents, one after the other. */
async function starts(t: Test) {
	const made = await mutualApi(t);
	const dataDirectory = await temporaryDirectory(t);
	const start = async (documents: string | null, loosen = false): Promise<readonly string[]> => {
		const notices: string[] = [];
		const files = documents === null ? [] : [{ name: "weir.yaml", text: documents }];
		const at = { dataDirectory, lastDeclaredFile: `${dataDirectory}/last-declared` };
		const notice = (line: string) => notices.push(line);
		await declare(files, { api: `unix:${made.api.socket}`, at, loosen, notice }).catch((error: Error) => {
			throw Object.assign(error, { notices });
		});
		return notices;
	};
	const methods = () => made.store.current.resources.accessPolicies[0]?.spec.methods;
	return { ...made, start, methods };
}

const ADMIN = `NEWLY ALLOWED: admin in default by ${operator("eve")}, by RoleBinding eve`;
const EVE = `${metricText("accuracy").trimEnd().slice(0, -1)}, senders: ["spiffe://a.example/eve"]}\n`;
const SENDER = "NEWLY ALLOWED: outcomes of Metric accuracy from spiffe://a.example/eve";
const WIDENED = "NEWLY ALLOWED: allow widened: callers (methods), of Service employment";

t.test("who edits the file and starts again is told what it changes and whom it lets in, and is let", async (t) => {
	const { start, methods, store } = await starts(t);
	await t.rejects(start(null), { code: "failed-precondition", message: /no Gateway is declared/, hint: "add -f FILE" });
	t.same(await start(text(NARROW)), [], "nothing stands that it changes");
	t.same(await start(text(NARROW)), []);
	const { revision } = store.current;
	const [head, ...lines] = await start(text(WIDE, metricText("accuracy")));
	t.match(
		head,
		new RegExp(`^the state of \\S+ \\(revision ${revision}, 3 resources\\) is changed by the files given:$`),
	);
	t.same(lines, ["created Metric accuracy", "configured AccessPolicy callers", WIDENED]);
	t.same(methods(), []);
	t.match(await start(null), [new RegExp(`starting from the state of \\S+: revision ${revision + 1}, 4 resources$`)]);
});

t.test("what others have taken away since is given back by nobody who does not say so", async (t) => {
	const { start, methods, owner, store } = await starts(t);
	await start(text(WIDE));
	await owner.apply(file(NARROW), now);
	const { revision } = store.current;
	const refusal = (named: RegExp) => ({ code: "failed-precondition", message: named, hint: /without -f.*--loosen/ });
	const changed = refusal(/would allow what was taken away since weir up .*: AccessPolicy callers was changed$/);
	await t.rejects(start(text(WIDE)), { ...changed, notices: [/^the state/, /^configured/, WIDENED] });
	await start(null);
	await t.rejects(start(text(WIDE)), changed, "whatever was started in between");
	t.equal(store.current.revision, revision);
	t.ok((await start(text(WIDE), true)).includes(WIDENED));
	t.same(methods(), []);

	await owner.rollback(null, null, now);
	t.same(methods(), ["GET"]);
	await t.rejects(start(text(WIDE)), changed, "after a rollback");
	t.same(await start(text(NARROW)), [], "a file that is as the state needs no word");
	t.ok((await start(text(WIDE))).includes(WIDENED), "and from then on it is edited as before");
});

t.test("so are a role, and a Service, that were taken away; what takes more away is let", async (t) => {
	const { start, owner } = await starts(t);
	const eve = binding("eve", "admin", ["eve"], "[default]");
	await start(text(WIDE, eve));
	await owner.delete("RoleBinding", "eve", now);
	await t.rejects(start(text(WIDE, eve)), {
		message: /RoleBinding eve was deleted$/,
		notices: [/^the state/, "created RoleBinding eve", ADMIN],
	});
	await start(text(NARROW));
	await owner.deleteAll(
		[
			{ kind: "Service", name: "employment" },
			{ kind: "AccessPolicy", name: "callers" },
		],
		now,
	);
	await t.rejects(start(text(NARROW)), { message: /Service employment was deleted/ });
});

t.test("of a state that nobody knows who changed last nothing is opened without a word", async (t) => {
	const { start, owner } = await starts(t);
	await owner.apply(file(text(NARROW)), now);
	await t.rejects(start(text(WIDE)), { message: /nobody knows who changed the state last$/ });
	await start(text(NARROW));
	await start(text(WIDE));
});

t.test(
	"who may send a Metric's outcomes moves traffic: that is told, and given back by nobody's restart",
	async (t) => {
		const { start, owner, store } = await starts(t);
		await start(text(NARROW, metricText("accuracy")));
		t.same((await start(text(NARROW, EVE))).slice(1), ["configured Metric accuracy", SENDER]);
		const [since, back] = [/Metric accuracy was changed$/, /Metric accuracy was deleted$/];
		await owner.apply(file(metricText("accuracy")), now);
		await t.rejects(start(text(NARROW, EVE)), { message: since, notices: [/^the state/, /^configured/, SENDER] });
		await owner.delete("Metric", "accuracy", now);
		await t.rejects(start(text(NARROW, EVE)), { message: back });
		t.same(store.current.resources.metrics, []);
		t.same(
			(await start(text(NARROW, metricText("accuracy")))).slice(1),
			["created Metric accuracy"],
			"it gives nobody anything",
		);
	},
);

t.test("what was taken away is given back no more easily after a start with files that do not name it", async (t) => {
	const { start, owner, methods } = await starts(t);
	const eve = binding("eve", "admin", ["eve"], "[default]");
	await start(text(WIDE, eve));
	await owner.apply(file(NARROW), now);
	await owner.delete("RoleBinding", "eve", now);
	const changed = /: AccessPolicy callers was changed$/;
	const deleted = /: RoleBinding eve was deleted$/;
	await start([RULES_GATEWAY, serviceText("employment")].join("---\n"));
	await t.rejects(start(text(WIDE)), { message: changed });
	await start(text(WIDE), true);
	t.same(methods(), []);
	await t.rejects(start(text(WIDE, eve)), { message: deleted, notices: [/^the state/, /^created/, ADMIN] });
});

t.test("what others have changed of what the files do not give, or give as it stands, holds up nobody", async (t) => {
	const { start, owner } = await starts(t);
	await start(text(WIDE, metricText("accuracy")));
	await owner.apply(file([serviceText("other"), policyText("z", "other")].join("---\n")), now);
	await owner.apply(file(NARROW), now);
	const more = policyText("more", "employment");
	t.ok((await start(text(NARROW, more))).includes("NEWLY ALLOWED: allow added: more, of Service employment"));
	await owner.apply(file(serviceText("employment").replace("v1\n", "v2\n")), now);
	t.ok((await start(text(NARROW, more, EVE))).includes(SENDER), "what is opened has nothing to do with that");
});

t.test(
	"what comes between the look at the state and the declaration is seen, and never kept as the start's own",
	async (t) => {
		const { start, store, methods } = await starts(t);
		const revoke = (): void => void store.apply(file(NARROW), { by: "ada", dryRun: false, nowMs: 1 });
		const changed = { message: /: AccessPolicy callers was changed$/ };
		await start(text(WIDE));
		soonAfter(store, "planApply", revoke);
		await t.rejects(start(text(WIDE)), changed, "revoked after the dry run, which changed nothing");
		t.same(methods(), ["GET"]);
		await start(text(WIDE), true);
		soonAfter(store, "realise", revoke);
		await start(text(WIDE, metricText("accuracy")));
		t.same(methods(), ["GET"], "revoked after the declaration");
		await t.rejects(start(text(WIDE)), changed);
	},
);

/** Once, when what the store is asked next has been answered, and before it is asked anything else. */
function soonAfter<Name extends "planApply" | "realise">(store: Store, name: Name, then: () => void): void {
	const asked = store[name].bind(store) as (...given: readonly unknown[]) => unknown;
	const once = (...given: readonly unknown[]): unknown => {
		Reflect.deleteProperty(store, name);
		setImmediate(then);
		return asked(...given);
	};
	Object.assign(store, { [name]: once });
}
