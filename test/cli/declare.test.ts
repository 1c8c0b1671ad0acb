/** What `weir up` declares at a start, against an API that stands: what it tells, and what it refuses to give back. */
import t, { type Test } from "tap";
import { declare } from "../../src/cli/stack/declare.js";
import { file } from "../state/employment.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "../state/guarded.js";
import { mutualApi } from "../state/mutualApi.js";
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
		notices: [/^the state/, "created RoleBinding eve", "put back: RoleBinding eve as the files have it"],
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
