/** References of every kind stay within a namespace; some names are global. */
import t from "tap";
import { initialStatus } from "../../../src/decide/rollout/status.js";
import { parseResources } from "../../../src/declare/resources/parse.js";
import { changeSetOf } from "../../../src/operate/changes/changeSet.js";
import { Store } from "../../../src/operate/state/store/store.js";
import { experiment, file, METRIC, SERVICE, temporaryDirectory } from "../employment.js";
import { PLAIN } from "../guarded.js";

const HEAD = "apiVersion: weir.dev/v1alpha1\n";
const inNamespace = (namespace: string, text: string): string =>
	text.replaceAll("metadata: {", `metadata: {namespace: ${namespace}, `);
const PROTECTED = SERVICE.replace("  access: open\n", PLAIN);
const GATEWAY = `${HEAD}kind: Gateway
metadata: {name: edge}
spec:
  address: 127.0.0.1
  port: 0
  tls: {certificateFile: a.pem, privateKeyFile: a.key, clientCaFile: ca.pem}
`;
const policy = (spec: string): string => `${HEAD}kind: AccessPolicy
metadata: {name: rule}
spec: {action: allow, principals: ["spiffe://a.example/x"], ${spec}}
`;
const OTHER = "mine.example";
/** On servers of one's own too. */
const mine = (text: string): string => text.replace("employment.example", OTHER).replaceAll("port: 900", "port: 901");

/** What team `a` holds; each case is a document of team `b` that reaches for it. */
const CASES: readonly { readonly what: string; readonly text: string; readonly match: RegExp }[] = [
	{
		what: "an AccessPolicy on another's Service",
		text: policy("services: [employment]"),
		match: /unknown Service "employment"/,
	},
	{
		what: "an Experiment on another's Service",
		text: [METRIC, experiment("steal")].join("---\n"),
		match: /unknown Service/,
	},
	{
		what: "an Experiment by another's Metric",
		text: [mine(SERVICE), experiment("steal")].join("---\n"),
		match: /unknown Metric "accuracy"/,
	},
	{
		what: "a guardrail by another's Metric",
		text: [
			mine(SERVICE),
			METRIC.replaceAll("accuracy", "own"),
			experiment("steal")
				.replace("metric: accuracy", "metric: own")
				.replace("  rollout:", "  guardrails: [{metric: accuracy, margin: {absolute: 1pp}}]\n  rollout:"),
		].join("---\n"),
		match: /unknown Metric "accuracy"/,
	},
	{
		what: "a Service with another's DataClass",
		text: mine(SERVICE).replace("  protocol:", "  dataClass: secret\n  protocol:"),
		match: /DataClass/,
	},
	{
		what: "an AccessPolicy by another's DataClass",
		text: policy("services: ['*'], dataClasses: [secret]"),
		match: /DataClass|Service/,
	},
	{
		what: "another's server",
		text: SERVICE.replace("employment.example", OTHER),
		match: /endpoint 127\.0\.0\.1:9001 is declared by Service a\/employment/,
	},
	{ what: "another's host name", text: SERVICE, match: /host employment\.example is taken/ },
	{ what: "a name with the other namespace in it", text: policy("services: [a/employment]"), match: /./ },
	{
		what: "an Experiment that names it so",
		text: experiment("steal").replace("service: employment", "service: a/employment"),
		match: /./,
	},
	{
		what: "another's salt",
		text: [mine(SERVICE), METRIC, experiment("fresh").replace("  goal:", "  salt: a/boosted\n  goal:")].join("---\n"),
		match: /salt/,
	},
];

t.test("references of every kind resolve only within their namespace", async (t) => {
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	const options = { by: "owner", dryRun: false, nowMs: 1_000 };
	const dataClass = `${HEAD}kind: DataClass\nmetadata: {name: secret}\nspec: {regions: [eu]}\n`;
	const all = inNamespace("a", [GATEWAY, SERVICE, METRIC, experiment("boosted"), dataClass].join("---\n"));
	t.match(store.apply(file(all), options), { outcome: "applied" });
	for (const { what, text, match } of CASES) {
		const answer = store.apply(file(inNamespace("b", text)), options);
		t.match(answer, { outcome: "refused" }, what);
		t.match(
			answer.outcome === "refused" ? answer.problems.map(({ message }) => message).join("\n") : "",
			match,
			`${what}: why`,
		);
	}
	t.equal(store.current.revision, 1);
});

t.test("the same name in two namespaces is two resources", async (t) => {
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	const options = { by: "owner", dryRun: false, nowMs: 1_000 };
	const team = (namespace: string) =>
		inNamespace(namespace, [PROTECTED, METRIC, experiment("boosted"), policy("services: ['*']")].join("---\n"))
			.replace("employment.example", `${namespace}.example`)
			.replaceAll("127.0.0.1, port: 900", `${namespace}.internal, port: 900`);
	t.match(store.apply(file([inNamespace("default", GATEWAY), team("a"), team("b")].join("---\n")), options), {
		outcome: "applied",
	});
	t.same(
		Object.keys(store.current.status.experiments),
		["a/boosted", "b/boosted"],
		"slots of one layer name do not meet",
	);
	// The wildcard of a's policy is a's: without it only a's Service is left without rules.
	const left = store.delete([{ kind: "AccessPolicy", name: "a/rule" }], options);
	t.match(left, { outcome: "refused", problems: [{ message: /a\/employment|Service employment/ }] });
	t.equal(left.outcome === "refused" ? left.problems.length : 0, 1);
});

t.test("a host under another namespace's wildcard belongs to that namespace, in any order of applies", async (t) => {
	const options = { by: "owner", dryRun: false, nowMs: 1_000 };
	const [wide, narrow] = ["*.example.com", "api.example.com"].map((host) =>
		SERVICE.replace("employment.example", `'${host}'`),
	);
	for (const [first = "", second = ""] of [
		[wide, narrow],
		[narrow, wide],
	]) {
		const store = new Store(temporaryDirectory(t));
		t.teardown(() => store.close());
		t.match(store.apply(file(inNamespace("a", first)), options), { outcome: "applied" });
		const refused = { outcome: "refused", problems: [{ message: /api\.example\.com lies under \*\.example\.com/ }] };
		t.match(store.apply(file(inNamespace("b", mine(second))), options), refused);
		const own = inNamespace("a", second.replace("name: employment", "name: other"));
		t.match(store.apply(file(own), options), { outcome: "applied" }, "within a namespace it is meant");
	}
});

t.test("a gate's URL is https, or loopback if control allows that, and has no credentials", async (t) => {
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	const options = { by: "owner", dryRun: true, nowMs: 1_000 };
	const withGate = (url: string) =>
		[
			SERVICE,
			METRIC,
			experiment("boosted").replace(", alpha: 0.05", `, alpha: 0.05, gates: [{at: before-step, url: '${url}'}]`),
		].join("---\n");
	t.match(store.apply(file(withGate("https://gate.example/x")), options), { outcome: "applied" });
	const local = new Store(temporaryDirectory(t), { allowLocalGates: true });
	t.teardown(() => local.close());
	for (const url of ["http://127.0.0.1:8080/", "http://localhost/", "https://[::1]/", "http://127.0.0.2/"]) {
		t.match(local.apply(file(withGate(url)), options), { outcome: "applied" }, url);
		t.match(
			store.apply(file(withGate(url)), options),
			{ outcome: "refused", problems: [{ message: /control's own machine/, hint: /--allow-local-gates/ }] },
			url,
		);
	}
	for (const url of [
		"http://gate.example/",
		"https://user:pass@gate.example/",
		"ftp://127.0.0.1/",
		"gate.example",
		"http://127.0.0.1.evil.example/",
	]) {
		t.match(store.apply(file(withGate(url)), options), { outcome: "refused" }, url);
	}
});

t.test("a salt of another namespace is refused, and the refusal does not name its owner", (t) => {
	const salted = (name: string) => experiment(name).replace("  goal:", "  salt: shared\n  goal:");
	const [service, own] = [inNamespace("a", SERVICE), inNamespace("a", [METRIC, experiment("hidden")].join("---\n"))];
	const before = parseResources(file([service, own].join("---\n"))).resources;
	const texts = [service, ...own.split("---\n")];
	const declared = {
		stored: [before.services, before.metrics, before.experiments]
			.flatMap(([resource]) => resource ?? [])
			.map((resource, at) => ({ resource, source: texts[at] ?? "" })),
		resources: before,
		status: { experiments: { "a/hidden": initialStatus([20_000], 0) }, services: {} },
		used: (kind: "name" | "salt", text: string) =>
			kind === "salt" && text === "shared" ? { experiment: "a/hidden", sinceMs: 0 } : undefined,
		controlListeners: [],
		allowLocalGates: false,
	};
	const problems = (text: string) =>
		changeSetOf(declared, { files: file(text), deletions: [] }, 1_000).problems.map(({ message }) => message);
	t.match(problems(inNamespace("a", salted("other").replace("models", "more"))), [
		/second to choose/,
		/salt "shared" is not of namespace a/,
	]);
	const text = [mine(SERVICE), METRIC, experiment("shared")].join("---\n");
	const gone = { ...declared, stored: [], resources: parseResources([]).resources };
	t.match(
		changeSetOf({ ...gone, status: { experiments: {}, services: {} } }, { files: file(text), deletions: [] }, 1_000)
			.problems,
		[{ message: "the salt 'shared' was used by an Experiment of another namespace, whose groups would be the same" }],
	);
	t.end();
});
