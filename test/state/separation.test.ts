/** Ways around a guard that look like something else: another's server, one person twice, a promotion by declaration. */
import t from "tap";
import { ALL, experiment, file, METRIC, outcome, SERVICE } from "./employment.js";
import { mutualApi, operator } from "./mutualApi.js";

const now = { dryRun: false };
const HEAD = "apiVersion: weir.dev/v1alpha1\n";
const binding = (name: string, verbs: string, namespaces = "[default]"): string => `${HEAD}kind: RoleBinding
metadata: {name: ${name}}
spec: {verbs: [${verbs}], subjects: ["${operator(name)}"], namespaces: ${namespaces}}
`;
const policy = (spec: string): string => `${HEAD}kind: ApprovalPolicy\nmetadata: {name: two}\nspec: ${spec}\n`;
const CLICKS = METRIC.replace("accuracy", "clicks");
const moved = SERVICE.replace("defaultVariant: v1", "defaultVariant: v2");
const denied = { code: "permission-denied" };

t.test("another namespace's server is refused, and told only to who may read that namespace", async (t) => {
	const { owner, as } = await mutualApi(t);
	const guarded = SERVICE.replace("{name: employment}", "{name: guarded, namespace: team-a}").replace(
		"employment.example",
		"guarded.example",
	);
	await owner.apply(
		file([guarded, binding("ada", "apply", "[team-b]"), binding("bob", "apply", "[team-b, team-a]")].join("---\n")),
		now,
	);
	const backdoor = SERVICE.replace("{name: employment}", "{name: backdoor, namespace: team-b}");
	const refused = await (await as("ada")).apply(file(backdoor), now);
	t.match(refused, {
		outcome: "refused",
		problems: [
			{
				position: { file: "weir.yaml", line: 10, column: 30 },
				message: "endpoint 127.0.0.1:9001 is declared by a resource of another namespace",
			},
			{ message: /127\.0\.0\.1:9002 is declared/ },
		],
	});
	t.notMatch(JSON.stringify(refused), /guarded|team-a/);
	t.match(await (await as("bob")).apply(file(backdoor), now), {
		outcome: "refused",
		problems: [{ message: /is declared by Service team-a\/guarded/ }, {}],
	});
	t.match(await owner.apply(file(backdoor), now), { outcome: "refused" }, "an admin neither");
	t.match(await owner.apply(file(backdoor.replace("team-b", "team-a")), now), { outcome: "applied" });
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
	t.match(await bob.approve(byAda), { state: "done" }, "somebody else is somebody else");
});

t.test("a changed default Variant under a running Experiment is a promotion too", async (t) => {
	const { owner, as, store } = await mutualApi(t);
	const people = [binding("ada", "apply"), binding("bob", "apply, promote"), binding("carol", "approve")];
	await owner.apply(file([ALL, ...people].join("---\n")), now);
	const [ada, bob, carol] = [await as("ada"), await as("bob"), await as("carol")];
	await owner.act("boosted", "abort");
	t.match(
		await ada.apply(file(moved), { dryRun: true }),
		{ outcome: "applied" },
		"where none runs it is a declaration",
	);
	await owner.apply(file(ALL.slice(ALL.indexOf("kind: Experiment") - HEAD.length).replaceAll("boosted", "fresh")), now);
	const both = { ...denied, message: /ada promote in namespace default/ };
	await t.rejects(ada.apply(file(moved), { dryRun: true }), both);
	t.match(await ada.apply(file(SERVICE.replace("v1alpha1", "v1alpha1 # said").replace("open", "open # all")), now), {
		outcome: "applied",
	});
	await owner.act("fresh", "abort");
	await owner.apply(file(policy("{verbs: [promote], namespaces: [default]}")), now);
	await t.rejects(ada.apply(file(moved), now), both, "and where a policy watches promotions");
	const asked = await bob.apply(file(moved), now);
	t.match(asked, {
		outcome: "pending",
		request: {
			needs: 1,
			effects: ["configured Service employment", "moves the default Variant of Service employment from v1 to v2"],
		},
	});
	const other = SERVICE.replace("{name: employment}", "{name: other}").replace("employment.example", "other.example");
	t.match(await ada.apply(file(other), now), { outcome: "applied" }, "a new Service moves nobody");
	await t.rejects(ada.delete("Service", "other", now), both, "it could be declared anew with another default");
	if (asked.outcome === "pending") t.match(await carol.approve(asked.request.id), { state: "done" });
	t.equal(store.current.resources.services[0]?.spec.defaultVariant, "v2");
});

t.test(
	"to take the promoted Variant away moves the default back, takes promote, and it does not come back",
	async (t) => {
		const { owner, as, store } = await mutualApi(t);
		await owner.apply(file([ALL, binding("ada", "apply"), binding("bob", "apply, promote")].join("---\n")), now);
		const { boosted } = store.current.status.experiments;
		if (boosted === undefined) throw new RangeError("no status");
		const promotion = { arm: "boosted", variant: "v2", stepIndex: 3, takeoverPpm: 1_000_000 };
		await store.decide({
			...{ experiment: "boosted", expectedRevision: store.current.revision, by: "weir", atMs: 1, input: null },
			outcome: outcome({ ...boosted, phase: "Promoted", promotion }, { defaultVariant: "v2" }),
		});
		const third = SERVICE.replace(
			"  variants:",
			"  variants:\n    - {name: v3, endpoints: [{address: 127.0.0.1, port: 9003}]}",
		);
		await owner.apply(
			file([third, policy("{verbs: [promote], namespaces: [default]}"), binding("carol", "approve")].join("---\n")),
			now,
		);
		const live = () => store.current.status.services.employment?.defaultVariant ?? "as declared";
		t.equal(live(), "v2");
		const without = third.replace(/ {4}- \{name: v2.*\n/, "");
		const [ada, bob] = [await as("ada"), await as("bob")];
		await t.rejects(ada.apply(file(without), now), { ...denied, message: /promote/ });
		const asked = await bob.apply(file(without), now);
		t.match(asked, {
			request: {
				effects: ["configured Service employment", "moves the default Variant of Service employment from v2 to v1"],
			},
		});
		if (asked.outcome === "pending") await (await as("carol")).approve(asked.request.id);
		t.equal(live(), "as declared");
		t.match(store.decisions("boosted", 2, 10).decisions, [
			{
				outcome: {
					rule: "declaration",
					defaultVariant: "v1",
					reason: /^Variant v2, which was promoted, is declared no more/,
				},
			},
		]);
		t.match(await ada.apply(file(third), now), { outcome: "applied" }, "moves nobody");
		t.equal(live(), "as declared");
	},
);

t.test(
	"a host or an endpoint that goes to another Variant is a promotion; more and fewer endpoints are none",
	async (t) => {
		const { owner, as, store } = await mutualApi(t);
		const people = [binding("ada", "apply"), binding("bob", "apply, promote")];
		const gate = 'alpha: 0.05, gates: [{at: before-promotion, url: "https://ci.example/yes"}]';
		const wild = ALL.replace("[employment.example]", '[employment.example, "*.wild.example"]');
		await owner.apply(file([wild, ...people].join("---\n")), now);
		const [ada, bob] = [await as("ada"), await as("bob")];
		const [service = ""] = wild.split("---\n");
		const v2 = "endpoints: [{address: 127.0.0.1, port: 9002}]";
		const scaled = service
			.replace(v2, "endpoints: [{address: 127.0.0.1, port: 9002}, {address: 127.0.0.1, port: 9003}]")
			.replace("port: 9001}]", "port: 9001}, {address: 10.0.0.1, port: 9001}]");
		t.match(await ada.apply(file(scaled), now), { outcome: "applied" }, "scaled up");
		t.match(await ada.apply(file(scaled.replace("{address: 127.0.0.1, port: 9002}, ", "")), now), {
			outcome: "applied",
		});
		t.match(await ada.apply(file(service), now), { outcome: "applied" }, "and down");
		const further = service.replace(/( +)(- \{name: v2, endpoints: .*)/, (line, indent: string, two: string) =>
			[line, `${indent}${two.replace("name: v2", "name: v3")}`].join("\n"),
		);
		t.match(further, /name: v3/);
		t.match(
			await ada.apply(file(further), { dryRun: true }),
			{ outcome: "applied" },
			"a further Variant, which nobody has",
		);
		const other = (host: string, more = ""): string =>
			`${SERVICE.replace("{name: employment}", `{name: other${more}}`).replace("employment.example", host)}`
				.replaceAll("127.0.0.1", "10.0.0.9")
				.replace("defaultVariant: v1", "defaultVariant: v2");
		const ways = [
			[
				service.replace(/900[12]/g, (port) => (port === "9001" ? "9002" : "9001")),
				"moves endpoint 127.0.0.1:9001 from Variant v1 to v2 of Service employment",
			],
			[
				service.replace("port: 9001}", "port: 9001}, {address: 127.0.0.1, port: 9002}"),
				"moves endpoint 127.0.0.1:9002 from Variant v2 to v1 of Service employment",
			],
			[
				service.replace("port: 9001}", 'port: 9001}, {address: "::FFFF:127.0.0.1", port: 9002}'),
				"moves endpoint ::FFFF:127.0.0.1:9002 from Variant v2 to v1 of Service employment",
			],
			[
				[service.replace("employment.example", "old.example"), other("employment.example")].join("---\n"),
				"takes host employment.example from Service employment",
			],
			[service.replace("employment.example, ", ""), "takes host employment.example from Service employment"],
			[other("a.wild.example"), "takes host a.wild.example from Service employment"],
		] as const;
		for (const [text, effect] of ways) {
			const message = new RegExp(`ada promote in namespace default, which it takes where a declaration ${effect}`);
			await t.rejects(ada.apply(file(text), { dryRun: true }), { ...denied, message }, effect);
			t.match(await bob.apply(file(text), { dryRun: true }), { outcome: "applied" }, effect);
		}
		t.match(await ada.apply(file(other("else.example")), { dryRun: true }), { outcome: "applied" });
		await owner.apply(file(experiment("boosted").replace("alpha: 0.05", gate)), now);
		for (const [text, effect] of ways) {
			const message = new RegExp(`bob admin in namespace default, which it takes where a declaration ${effect}`);
			await t.rejects(bob.apply(file(text), now), { ...denied, message }, "past the gates, which nobody asks then");
		}
		await owner.act("boosted", "abort");
		for (const [text, effect] of ways.slice(1)) {
			const message = new RegExp(`bob admin in .* a declaration ${effect}, past the gates of Experiment boosted`);
			const hint = effect.startsWith("moves")
				? /^declare another Experiment with those gates, .* or to delete Experiment boosted$/
				: /^ask an admin to apply it, or to delete Experiment boosted$/;
			await t.rejects(bob.apply(file(text), now), { ...denied, message, hint }, "none runs, and its gates stand");
			await t.rejects(ada.apply(file(text), now), { ...denied, hint }, "nor would promote alone do");
		}
		const back = file(service.replace("defaultVariant: v1", "defaultVariant: v2"));
		await t.rejects(
			bob.apply(back, now),
			{
				...denied,
				message:
					/moves the default Variant of Service employment from v1 to v2, past the gates of Experiment boosted, which ended without a promotion$/,
			},
			"an abort is no way around its gates",
		);
		await owner.delete("Experiment", "boosted", now);
		for (const text of [...ways.map(([text]) => text), back[0]?.text ?? ""])
			t.match(await ada.apply(file(text), { dryRun: true }), { outcome: "applied" }, "none runs");
		t.match(store.current.resources.services, [{ spec: { hosts: ["employment.example", "*.wild.example"] } }]);
	},
);

t.test(
	"an endpoint is another Variant's however it is spelt, and all addresses of this machine are one server",
	async (t) => {
		const { owner, as } = await mutualApi(t);
		const at = (one: readonly string[], two: readonly string[]) => {
			const list = (addresses: readonly string[]) =>
				addresses.map((address) => `{address: "${address}", port: 9000}`).join(", ");
			return SERVICE.replace(/endpoints: .*9001}]/, `endpoints: [${list(one)}]`).replace(
				/endpoints: .*9002}]/,
				`endpoints: [${list(two)}]`,
			);
		};
		const before = at(["10.0.0.1"], ["10.0.0.2", "fd00::2", "127.0.0.2"]);
		await owner.apply(file([before, METRIC, experiment("boosted"), binding("ada", "apply")].join("---\n")), now);
		const ada = await as("ada");
		const all = ["10.0.0.2", "fd00::2", "127.0.0.2"];
		const elsewhere = ["FD00::2", "fd00:0:0:0:0:0:0:2", "fd00::0002", "::ffff:10.0.0.2", "::FFFF:a00:2"];
		for (const spelt of [...elsewhere, "127.0.0.2", "127.0.0.3", "localhost", "0.0.0.0", "::1"])
			await t.rejects(ada.apply(file(at(["10.0.0.1", spelt], all)), now), {
				...denied,
				message: `no RoleBinding lets ${operator("ada")} promote in namespace default, which it takes where a declaration moves endpoint ${spelt}:9000 from Variant v2 to v1 of Service employment`,
			});
		t.match(
			await ada.apply(file(at(["10.0.0.1", "10.0.0.3"], all)), { dryRun: true }),
			{ outcome: "applied" },
			"nobody's",
		);
		t.match(await owner.apply(file(at(["127.0.0.1"], ["127.0.0.2"])), now), { outcome: "applied" });
		await t.rejects(
			ada.apply(file(at(["127.0.0.2"], ["127.0.0.1"])), now),
			{ ...denied, message: /moves endpoint 127\.0\.0\.1:9000 from Variant v1 to v2 / },
			"two servers of this machine change places",
		);
	},
);

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
	const admin = { ...denied, message: /ada admin in namespace default/ };
	await t.rejects(ada.apply(file(placed), now), admin);
	await t.rejects(ada.apply(file(classed("far")), now), admin);
	await t.rejects(ada.delete("Service", "employment", now), admin, "it could be declared anew without");
	t.match(await bob.apply(file(classed("far")), now), { outcome: "applied" });
	t.match(await bob.apply(file(placed), now), { outcome: "applied" });
});

t.test(
	"a host leaves a Service's DataClass by an admin alone, for whoever has it next need not have the class",
	async (t) => {
		const { owner, as } = await mutualApi(t);
		const service = (name: string, hosts: string, dataClass = "", region = "eu"): string => `${HEAD}kind: Service
metadata: {name: ${name}}
spec:
  hosts: [${hosts}]
  access: open
${dataClass === "" ? "" : `  dataClass: ${dataClass}\n`}  defaultVariant: v1
  variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: 9101, locality: {region: ${region}}}]}]
`;
		const classes = ["health", "far"].map(
			(name) => `${HEAD}kind: DataClass\nmetadata: {name: ${name}}\nspec: {regions: [eu]}\n`,
		);
		const records = service("records", '"*.records.example", records.example', "health");
		const plain = service("plain", '"*.plain.example"');
		const carved = service("carved", "carved.plain.example", "health");
		await owner.apply(
			file([...classes, records, plain, carved, binding("ada", "apply"), binding("bob", "admin")].join("---\n")),
			now,
		);
		const [ada, bob] = [await as("ada"), await as("bob")];
		const renamed = records.replace(", records.example", ", records-old.example");
		const from = (host: string, name = "records"): string =>
			`takes host ${host} from Service ${name}, which has a DataClass`;
		const ways = [
			[[renamed, service("other", "records.example", "", "us")], from("records.example")],
			[[renamed, service("other", "records.example", "far")], from("records.example")],
			[[renamed], from("records.example")],
			[[service("other", "a.records.example")], from("a.records.example")],
			[[service("other", '"*.a.records.example"')], from("*.a.records.example")],
			[
				[plain.replace('"*.plain', '"carved.plain'), carved.replace("carved.plain", "c.plain")],
				from("carved.plain.example", "carved"),
			],
			[[carved.replace("carved.plain", "c.plain")], from("carved.plain.example", "carved")],
		] as const;
		for (const [texts, effect] of ways) {
			const message = `no RoleBinding lets ${operator("ada")} admin in namespace default, which it takes where a declaration ${effect}`;
			await t.rejects(ada.apply(file(texts.join("---\n")), { dryRun: true }), { ...denied, message }, effect);
			t.match(await bob.apply(file(texts.join("---\n")), { dryRun: true }), { outcome: "applied" }, effect);
		}
		const harmless = [
			[renamed, service("other", "records.example", "health")],
			[service("other", "a.records.example", "health")],
			[records.replace(", records.example", ", records.example, more.example")],
			[plain.replace('"*.plain', '"*.more')],
			[service("other", "else.example, other.plain.example")],
		];
		for (const texts of harmless)
			t.match(await ada.apply(file(texts.join("---\n")), { dryRun: true }), { outcome: "applied" }, texts.join());
	},
);

t.test("so it does the policies of another namespace, which an apply there could not change", async (t) => {
	const { owner, as } = await mutualApi(t);
	const R = (kind: string, name: string, namespace: string, spec: string): string =>
		`${HEAD}kind: ${kind}\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;
	const variants = "variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: 9101}]}]";
	const service = (name: string, host: string): string =>
		R("Service", name, "team", `{hosts: [${host}], defaultVariant: v1, ${variants}}`);
	const deny = (services: string, mode = "enforce"): string =>
		R("AccessPolicy", "no-delete", "gov", `{services: [${services}], action: deny, methods: [DELETE], mode: ${mode}}`);
	await owner.apply(
		file(
			[
				service("records", "records.example"),
				service("judged", "judged.example"),
				R("AccessPolicy", "own", "team", '{services: ["*"], principals: [anyone]}'),
				R("ReferenceGrant", "gov", "team", "{from: [{kind: AccessPolicy, namespace: gov}], to: [{kind: Service}]}"),
				deny("team/records, team/judged"),
				binding("ada", "apply", "[team]"),
				binding("bob", "apply", "[team, gov]"),
				binding("carol", "admin", "[team]"),
			].join("---\n"),
		),
		now,
	);
	const [ada, bob, carol] = [await as("ada"), await as("bob"), await as("carol")];
	const moved = [service("records", "old.example"), service("other", "records.example")].join("---\n");
	const message =
		/ada admin in namespace team, which it takes where a declaration takes host records\.example from Service team\/records, which a policy of another namespace judges$/;
	await t.rejects(ada.apply(file(moved), { dryRun: true }), { ...denied, message });
	await t.rejects(ada.delete("Service", "team/records", { dryRun: true }), { ...denied, message });
	t.match(await carol.apply(file(moved), { dryRun: true }), { outcome: "applied" });
	const swapped = [service("records", "judged.example"), service("judged", "records.example")].join("---\n");
	t.match(await ada.apply(file(swapped), { dryRun: true }), { outcome: "applied" }, "the same policies judge it there");
	t.match(
		await bob.apply(file([moved, deny("team/records, team/judged, team/other")].join("---\n")), { dryRun: true }),
		{ outcome: "applied" },
		"whoever owns the policy takes it along",
	);
	await owner.apply(file(deny("team/records", "shadow")), now);
	t.match(await ada.apply(file(moved), { dryRun: true }), { outcome: "applied" }, "a shadow policy refuses nobody");
});

t.test("who may apply nothing anywhere is refused before a document is read, and recorded once", async (t) => {
	const { owner, as, store } = await mutualApi(t);
	await owner.apply(file([ALL, binding("ada", "read"), binding("bob", "apply", "[other]")].join("---\n")), now);
	const [ada, bob] = [await as("ada"), await as("bob")];
	let read = 0;
	const planned = store.planApply.bind(store);
	store.planApply = (...given) => {
		read++;
		return planned(...given);
	};
	await t.rejects(ada.apply(file("{{ no YAML"), now), { ...denied, message: /ada apply in any namespace/ });
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

t.test("a dry run says how many others would have to approve it, and asks none", async (t) => {
	const { owner, store } = await mutualApi(t);
	const others = ["ann", "ben", "cleo"].map((name) => binding(name, "approve"));
	await owner.apply(file([ALL, CLICKS, ...others].join("---\n")), now);
	const changed = file(CLICKS.replace("1s", "2s"));
	t.match(await owner.apply(changed, { dryRun: true }), { outcome: "applied", approvals: 0 });
	await owner.apply(file(policy("{verbs: [apply], namespaces: [default], approvals: 3}")), now);
	t.match(await owner.apply(changed, { dryRun: true }), { outcome: "applied", approvals: 3 });
	t.match(await owner.apply(file(CLICKS), { dryRun: true }), { approvals: 0 }, "what stays as it is waits for nobody");
	t.same(await owner.requests(), []);
	t.equal(store.current.revision, 2);
});

t.test("a host is taken by who has it then, not by whose wildcard is over it", async (t) => {
	const { owner, as } = await mutualApi(t);
	const one = (name: string, hosts: string, port: number) =>
		SERVICE.replace("{name: employment}", `{name: ${name}}`)
			.replace("[employment.example]", `[${hosts}]`)
			.replace(/900[12]/g, (text) => `${Number(text) + port}`);
	const watched = SERVICE.replace("[employment.example]", '["*.example", h.example]');
	const below = one("below", '"*.b.example"', 10);
	await owner.apply(file([watched, below, METRIC, experiment("boosted"), binding("ada", "apply")].join("---\n")), now);
	const ada = await as("ada");
	for (const [text, what] of [
		[one("other", "x.b.example", 20), "below the wildcard of one that nobody watches"],
		[one("below", '"*.b.example", x.b.example', 10), "its own already"],
		[watched.replace(", h.example", ""), "still its own, by its wildcard"],
	] as const)
		t.match(await ada.apply(file(text), { dryRun: true }), { outcome: "applied" }, what);
	for (const [text, host] of [
		[one("other", "y.example", 20), "y.example"],
		[one("other", '"*.c.example"', 20), "*.c.example"],
		[watched.replace('"*.example", ', ""), "*.example"],
	] as const)
		await t.rejects(ada.apply(file(text), now), {
			...denied,
			message: `no RoleBinding lets ${operator("ada")} promote in namespace default, which it takes where a declaration takes host ${host} from Service employment`,
		});
});

t.test("many hosts and endpoints are one effect, and another namespace's are told nobody", async (t) => {
	const { owner, as } = await mutualApi(t);
	const hosts = (count: number) => Array.from({ length: count }, (_, at) => `h${at}.example`);
	const wide = SERVICE.replace("[employment.example]", `["*.secret.example", ${hosts(5).join(", ")}]`);
	const mallory = binding("mal", "apply", "[mallory]");
	await owner.apply(file([wide, METRIC, experiment("boosted"), binding("ada", "apply"), mallory].join("---\n")), now);
	const [ada, mal] = [await as("ada"), await as("mal")];
	const needs = (what: string) => ({
		...denied,
		message: `no RoleBinding lets ${operator("ada")} promote in namespace default, which it takes where a declaration ${what} Service employment`,
	});
	const few = wide.replace(`, ${hosts(5).join(", ")}`, "");
	await t.rejects(ada.apply(file(few), now), needs("takes hosts h0.example, h1.example, h2.example and 2 more from"));
	const ports = (count: number) =>
		Array.from({ length: count }, (_, at) => `{address: 10.0.0.${at}, port: 80}`).join(", ");
	const large = wide.replace(/(name: v2, endpoints: \[).*?\]/, `$1${ports(5)}]`);
	t.match(await owner.apply(file(large), now), { outcome: "applied" });
	const moved = large.replace(/(name: v1, endpoints: \[).*?\]/, `$1${ports(4)}]`);
	await t.rejects(
		ada.apply(file(moved), now),
		needs("moves endpoints 10.0.0.0:80, 10.0.0.1:80, 10.0.0.2:80 and 1 more from Variant v2 to v1 of"),
	);
	const own = SERVICE.replace("{name: employment}", "{name: own, namespace: mallory}")
		.replace("employment.example", "q.secret.example")
		.replaceAll("127.0.0.1", "10.9.9.9");
	const answer = await mal.apply(file(own), now);
	t.match(answer, { outcome: "refused" });
	t.notMatch(JSON.stringify(answer), /employment/);
});

t.test("a Variant that an Experiment of the same apply begins to use is used", async (t) => {
	const { owner, as } = await mutualApi(t);
	await owner.apply(file([ALL, binding("ada", "apply")].join("---\n")), now);
	const ada = await as("ada");
	const third = SERVICE.replace(
		"  variants:\n",
		"  variants:\n    - {name: v3, endpoints: [{address: 127.0.0.1, port: 9002}]}\n",
	);
	const begins = experiment("third", "[0%, 10%]").replaceAll("variant: v2", "variant: v3");
	t.match(begins, /variant: v3/);
	t.match(await ada.apply(file(third), { dryRun: true }), { outcome: "applied" }, "nobody has it");
	await t.rejects(
		ada.apply(file([third, begins.replace("layer: {name: models", "layer: {name: others")].join("---\n")), now),
		{
			...denied,
			message: /moves endpoint 127.0.0.1:9002 from Variant v2 to v3/,
		},
	);
});

t.test("of a long act what follows from it is told first, and all of it is recorded", async (t) => {
	const { owner, store } = await mutualApi(t);
	const gated = experiment("boosted").replace(
		"alpha: 0.05",
		'alpha: 0.05, gates: [{at: before-promotion, url: "https://ci.example/yes"}]',
	);
	await owner.apply(file([SERVICE, METRIC, gated].join("---\n")), now);
	const before = store.audit.page(0, 1_000).records.length;
	const many = Array.from({ length: 60 }, (_, at) => METRIC.replace("accuracy", `metric-${at}`));
	const moved = SERVICE.replace("employment.example", "other.example");
	const policy = `${HEAD}kind: AccessPolicy\nmetadata: {name: all}\nspec: {services: [closed], principals: [anyone]}\n`;
	const closed = SERVICE.replace("{name: employment}", "{name: closed}")
		.replace("employment.example", "closed.example")
		.replace("  access: open\n", "")
		.replace(/900([12])/g, "910$1");
	await owner.apply(file([...many, moved, closed, policy, binding("eve", "apply")].join("---\n")), now);
	const records = store.audit.page(0, 1_000).records.slice(before);
	const told = records.flatMap(({ objects }) => objects);
	t.equal(told[0], "takes host employment.example from Service employment, past the gates of Experiment boosted");
	t.same(
		told.slice(0, 4).map((one) => one.replace(/:.*/, "")),
		[
			"takes host employment.example from Service employment, past the gates of Experiment boosted",
			"created AccessPolicy all",
			"created RoleBinding eve",
			"configured Service employment",
		],
	);
	t.equal(told.length, records[0]?.objectCount);
});
