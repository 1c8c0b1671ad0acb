/** Indirect ways around approvals: another namespace's server, one person with two identities. */
import t from "tap";
import { ALL, file, METRIC, SERVICE } from "../employment.js";
import { mutualApi, operator } from "../mutualApi.js";

const now = { dryRun: false };
const HEAD = "apiVersion: weir.dev/v1alpha1\n";
const binding = (name: string, verbs: string, namespaces = "[default]"): string => `${HEAD}kind: RoleBinding
metadata: {name: ${name}}
spec: {verbs: [${verbs}], subjects: ["${operator(name)}"], namespaces: ${namespaces}}
`;
const policy = (spec: string): string => `${HEAD}kind: ApprovalPolicy\nmetadata: {name: two}\nspec: ${spec}\n`;
const CLICKS = METRIC.replace("accuracy", "clicks");
const denied = { code: "permission-denied" };

t.test("another namespace's server is refused, and named only to readers of that namespace", async (t) => {
	const { owner, as } = await mutualApi(t);
	const guarded = SERVICE.replace("{name: employment}", "{name: guarded, namespace: team-a}").replace(
		"employment.example",
		"guarded.example",
	);
	await owner.apply(
		file([guarded, binding("ada", "apply", "[team-b]"), binding("bob", "apply", "[team-b, team-a]")].join("---\n")),
		now,
	);
	const otherServer = SERVICE.replace("{name: employment}", "{name: other-server, namespace: team-b}");
	const refused = await (await as("ada")).apply(file(otherServer), now);
	t.match(refused, {
		outcome: "refused",
		problems: [
			{
				position: { file: "weir.yaml", line: 10, column: 30 },
				message: "the change conflicts with a resource of another namespace",
			},
			{ message: /conflicts with a resource of another namespace/ },
		],
	});
	t.notMatch(JSON.stringify(refused), /guarded|team-a/);
	t.match(await (await as("bob")).apply(file(otherServer), now), {
		outcome: "refused",
		problems: [{ message: /is declared by Service team-a\/guarded/ }, {}],
	});
	t.match(await owner.apply(file(otherServer), now), { outcome: "refused" }, "an admin neither");
	t.match(await owner.apply(file(otherServer.replace("team-b", "team-a")), now), { outcome: "applied" });
});

t.test("the local owner and the operator's certificate are one person", async (t) => {
	const { owner, as, store } = await mutualApi(t, { admins: [operator("me")] });
	const spec = "{verbs: [apply], namespaces: [default], approvals: 2}";
	await owner.apply(
		file([ALL, CLICKS, ...["ada", "bob"].map((name) => binding(name, "apply, approve"))].join("---\n")),
		now,
	);
	await owner.apply(file(policy(spec)), now);
	const [me, ada, bob] = [await as("me"), await as("ada"), await as("bob")];
	const ask = async (client: typeof me, window: string): Promise<string> => {
		const answer = await client.apply(file(CLICKS.replace("1s", window)), now);
		if (answer.outcome !== "pending") throw new Error(`not pending: ${answer.outcome}`);
		return answer.request.id;
	};
	const byOwner = await ask(owner, "2s");
	await t.rejects(me.approve(byOwner), { ...denied, message: /local:owner, one person with .*me, asked for it/ });
	await t.rejects(owner.approve(await ask(me, "3s")), denied);
	const byAda = await ask(ada, "4s");
	t.match(await owner.approve(byAda), { state: "pending" });
	await t.rejects(me.approve(byAda), { code: "failed-precondition", message: /already/ }, "nor two of the approvals");
	t.equal(store.current.revision, 2);
	t.match(await bob.approve(byAda), { state: "done" }, "another person's approval counts");
});

t.test("a Service's DataClass, once given, is changed and dropped by an admin alone", async (t) => {
	const { owner, as } = await mutualApi(t);
	const dataClass = (name: string) => `${HEAD}kind: DataClass\nmetadata: {name: ${name}}\nspec: {regions: [eu]}\n`;
	const placed = SERVICE.replace(/port: (\d+)/g, "port: $1, locality: {region: eu}");
	const classed = (name: string) => placed.replace("  protocol:", `  dataClass: ${name}\n  protocol:`);
	await owner.apply(
		file([placed, dataClass("eu"), dataClass("far"), binding("ada", "apply"), binding("bob", "admin")].join("---\n")),
		now,
	);
	const [ada, bob] = [await as("ada"), await as("bob")];
	t.match(await ada.apply(file(classed("eu")), now), { outcome: "applied" }, "to give it one takes no admin");
	t.match(await ada.apply(file(classed("eu").replace("port: 9001", "port: 9003")), now), { outcome: "applied" });
	const admin = { ...denied, message: /ada needs the verb admin in namespace default/ };
	await t.rejects(ada.apply(file(placed), now), admin);
	await t.rejects(ada.apply(file(classed("far")), now), admin);
	await t.rejects(ada.delete("Service", "employment", now), admin, "it could be declared anew without");
	t.match(await bob.apply(file(classed("far")), now), { outcome: "applied" });
	t.match(await bob.apply(file(placed), now), { outcome: "applied" });
});

t.test("a caller without any apply right is refused before its documents are read, and recorded once", async (t) => {
	const { owner, as, store } = await mutualApi(t);
	await owner.apply(file([ALL, binding("ada", "read"), binding("bob", "apply", "[other]")].join("---\n")), now);
	const [ada, bob] = [await as("ada"), await as("bob")];
	let read = 0;
	const planned = store.changeSet.bind(store);
	store.changeSet = (...given) => {
		read++;
		return planned(...given);
	};
	await t.rejects(ada.apply(file("{{ no YAML"), now), {
		...denied,
		message: /ada needs the verb apply in at least one namespace/,
	});
	await t.rejects(ada.apply(file(ALL), { dryRun: true }), denied);
	t.equal(read, 0);
	t.match(store.audit.page(0, 10, "refused").records, [
		{ subject: operator("ada"), verb: "apply", result: "refused", objects: ["files, unread"] },
		{ subject: operator("ada"), verb: "apply", result: "refused" },
	]);
	t.equal(store.audit.page(0, 10, "refused").records.length, 2);
	t.match(await bob.apply(file("{{ no YAML"), now), { outcome: "refused" });
	t.equal(read, 1);
});

t.test("a dry run reports how many approvals are needed, and requests none", async (t) => {
	const { owner, store } = await mutualApi(t);
	const others = ["ann", "ben", "cleo"].map((name) => binding(name, "approve"));
	await owner.apply(file([ALL, CLICKS, ...others].join("---\n")), now);
	const changed = file(CLICKS.replace("1s", "2s"));
	t.match(await owner.apply(changed, { dryRun: true }), { outcome: "applied", approvals: 0 });
	await owner.apply(file(policy("{verbs: [apply], namespaces: [default], approvals: 3}")), now);
	t.match(await owner.apply(changed, { dryRun: true }), { outcome: "applied", approvals: 3 });
	t.match(
		await owner.apply(file(CLICKS), { dryRun: true }),
		{ approvals: 0 },
		"an unchanged resource waits for no approval",
	);
	t.same(await owner.requests(), []);
	t.equal(store.current.revision, 2);
});
