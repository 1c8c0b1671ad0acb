/** What an earlier Weir took and this one would not: it stays, is told of, and is for its owners alone to mend. */
import t from "tap";
import { conditionLines } from "../../src/cli/commands/alarms.js";
import { ISSUERS_MAX } from "../../src/limits.js";
import { parseResources } from "../../src/resources/parse.js";
import { resourceTitle } from "../../src/resources/position.js";
import { formatProblem, qualifiedName } from "../../src/resources/resource.js";
import { crossCheck } from "../../src/state/acts/crossCheck.js";
import { type ApplyResult, Store } from "../../src/state/store/store.js";
import { file, temporaryDirectory } from "./employment.js";
import { RULES_GATEWAY as GATEWAY, PLAIN, policyText, serviceText } from "./guarded.js";
import { mutualApi } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const options = { by: "owner", dryRun: false, nowMs: 1_000 };
const said = (result: ApplyResult): string =>
	result.outcome === "refused" ? result.problems.map(formatProblem).join("\n") : "";
const condition = (text: string): string => `  condition: '${text}'\n`;
const CHEAP = 'request.path == "/x"';
const UNBOUND = "request.path.contains(principal)";
/** Some 63,000 steps. */
const dear = (text: string): string =>
	Array.from({ length: 15 }, () => `request.path.contains("${text}")`).join(" || ");
const policy = (name: string, text: string, namespace = "evil", more = "") =>
	policyText(name, "svc", namespace, condition(text) + more).replace(/"spiffe.*"/, '"*"');

function opened(t: { teardown(end: () => unknown): unknown }): Store {
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	return store;
}

/** State as an earlier Weir left it: taken with a cheap condition, and written over. */
function earlier(
	t: { teardown(end: () => unknown): unknown },
	texts: Readonly<Record<string, string>>,
	store = opened(t),
): Store {
	const names = Object.keys(texts);
	const all = [GATEWAY, serviceText("svc", "users"), policy("p", CHEAP, "users"), serviceText("svc", "evil")];
	const result = store.apply(file([...all, ...names.map((name) => policy(name, CHEAP))].join("---\n")), options);
	if (result.outcome === "refused") throw new Error(said(result));
	overwrite(store, (name, source) => {
		const text = texts[name.replace("evil/", "")];
		return text === undefined || !name.startsWith("evil/") ? null : source.replace(CHEAP, text);
	});
	return store;
}

function overwrite(store: Store, change: (name: string, source: string) => string | null): void {
	const other = store.sources.find(({ resource }) => resource.kind === "Gateway");
	store.database.transaction(() => {
		for (const { resource, source } of store.sources) {
			const name = qualifiedName(resource.metadata);
			const text = resource.kind === "AccessPolicy" ? change(name, source) : null;
			if (resource.kind !== "AccessPolicy" || text === null) continue;
			const written = /condition: '(.*)'/.exec(text)?.[1] ?? null;
			const spec = { ...resource.spec, condition: written };
			store.database.resources.putSync([resource.kind, name], { resource: { ...resource, spec }, source: text });
		}
	});
	// Read again what stands.
	const again = store.apply(file(`# read\n${other?.source}`), options);
	if (again.outcome === "refused") throw new Error(said(again));
}

const users = (store: Store, n: number): ApplyResult =>
	store.apply(
		file(policyText(`d${n}`, "svc", "users", condition(`request.path == "/${n}"`)).replace("allow", "deny")),
		options,
	);

t.test("a condition without a bound is met by edits of it alone", async (t) => {
	const store = earlier(t, { p1: UNBOUND });
	const apply = (text: string): string => said(store.apply(file(text), options));
	t.equal(said(users(store, 1)), "", "a deny of others holds");
	t.equal(apply(serviceText("svc", "evil").replaceAll("9001", "9003")), "");
	t.equal(apply(policy("p2", CHEAP)), "");
	t.match(apply(serviceText("bare", "users")), /does not say who may call it/, "no check is laxer for it");
	t.match(apply(policy("p1", UNBOUND)), /contains\(\) with what is no literal text/);
	t.equal(said(store.delete([{ kind: "AccessPolicy", name: "users/d1" }], options)), "");
	t.match(
		store.current.resources.accessPolicies.find(({ metadata }) => metadata.name === "p1")?.spec.condition,
		UNBOUND,
		"and it is kept",
	);
	t.equal(apply(policy("p1", CHEAP)), "");
});

t.test("conditions too dear together hold up what makes them dearer, and nothing else", async (t) => {
	const store = earlier(t, { p1: dear("aaaaab"), p2: dear("aaaaac") });
	const apply = (text: string): string => said(store.apply(file(text), options));
	const OVER =
		/^w?[^\n]*spec.condition brings what one request to Service evil\/svc can cost to \d+ steps, more than 100000[^\n]*$/;
	t.equal(said(users(store, 1)), "");
	t.equal(apply(serviceText("svc", "evil").replaceAll("9001", "9003")), "");
	t.equal(apply(policyText("more", "svc", "evil")), "", "no condition");
	t.match(apply(policy("p3", CHEAP)), OVER, "a new one");
	t.match(apply(policy("p2", `${dear("aaaaac")} || principal == "a"`)), OVER, "a dearer one");
	t.match(apply(policyText("tried", "svc", "evil", "  mode: shadow\n")), OVER, "asked twice");
	t.equal(
		apply(policy("p2", Array(12).fill('request.path.contains("b")').join(" || "))),
		"",
		"less, if still too much",
	);
	t.match(apply(policy("p2", dear("aaaaac"))), OVER, "and not back");
	t.equal(apply(policy("p2", CHEAP)), "");
	t.equal(apply(policy("p3", CHEAP)), "");
});

t.test("the same for any text that is refused today, and for what is amiss between stored resources", async (t) => {
	const store = earlier(t, { p1: CHEAP, p2: CHEAP });
	overwrite(store, (name, source) => (name === "evil/p1" ? source.replace("spec:", "spec:\n  former: field") : null));
	t.equal(said(users(store, 1)), "");
	const stored = store.sources.find(({ resource }) => qualifiedName(resource.metadata) === "evil/p2");
	if (stored?.resource.kind !== "AccessPolicy") throw new Error("no p2");
	const source = stored.source.replace('"svc"', '"svc", "gone"');
	const resource = { ...stored.resource, spec: { ...stored.resource.spec, services: ["svc", "gone"] } };
	store.database.transaction(() => store.database.resources.putSync(["AccessPolicy", "evil/p2"], { resource, source }));
	t.equal(said(users(store, 2)), "");
	t.equal(said(users(store, 3)), "", "now that it is read");
	t.match(said(store.apply(file(source), options)), /unknown Service "gone"/, "an edit meets it");
	const gone = [{ kind: "Service" as const, name: "evil/svc" }];
	t.match(said(store.delete(gone, options)), /evil\/p2 names Service evil\/svc/, "what a change breaks is its problem");
});

t.test("a path that reads as a pattern stays as it was taken, the text it is, until its owner edits it", async (t) => {
	const store = earlier(t, { p1: CHEAP });
	const stored = store.sources.find(({ resource }) => qualifiedName(resource.metadata) === "evil/p1");
	if (stored?.resource.kind !== "AccessPolicy") throw new Error("no p1");
	const source = stored.source.replace("spec:", "spec:\n  pathPrefixes: ['/admin/*']");
	const resource = { ...stored.resource, spec: { ...stored.resource.spec, pathPrefixes: ["/admin/*"] } };
	store.database.transaction(() => store.database.resources.putSync(["AccessPolicy", "evil/p1"], { resource, source }));
	t.equal(said(users(store, 1)), "", "others change what is theirs");
	const kept = store.current.resources.accessPolicies.find(({ metadata }) => metadata.name === "p1");
	t.same(kept?.spec.pathPrefixes, ["/admin/*"]);
	t.match(said(store.apply(file(source), options)), /"\/admin\/\*", and \* is no pattern here; .*: write \/admin$/);
	t.equal(said(store.apply(file(source.replace("/admin/*", "/admin")), options)), "");
});

t.test("what two stored Services name stays with the first, whichever of them is edited", async (t) => {
	const store = opened(t);
	const applied = (text: string): string => said(store.apply(file(text), options));
	const edited = (text: string): string => text.replace("  protocol: http1", "  protocol: http1\n  timeout: 3s");
	const identity = '  identities: ["spiffe://a.example/server"]\n';
	const first = serviceText("svc", "evil", identity);
	const second = serviceText("svc", "users", identity.replace("server", "other"));
	const policies = [policy("p", CHEAP), policy("p", CHEAP, "users")];
	t.equal(applied([GATEWAY, first, second, ...policies].join("---\n")), "");
	const theirs = second.replaceAll("svc.users", "svc.evil").replace("other", "server");
	const stored = store.sources.find(({ source }) => source === second);
	const [service] = parseResources(file(theirs)).resources.services;
	if (stored === undefined || service === undefined) throw new Error("no Service");
	store.database.transaction(() =>
		store.database.resources.putSync(["Service", "users/svc"], { resource: service, source: theirs }),
	);
	t.equal(applied(`# read\n${GATEWAY}`), "");
	t.equal(applied(edited(first)), "");
	const faults =
		/host svc.evil.example is taken by Service evil\/svc.*identities.*(endpoint .* by Service evil\/svc.*){2}/s;
	t.match(applied(edited(theirs)), faults);
	t.match(applied(serviceText("svc", "third").replaceAll("svc.third", "svc.evil")), /taken by Service evil\/svc/);
	t.equal(applied(edited(second)), "", "it gives way");
	t.match(
		applied(first.replace("[svc.evil.example]", "[svc.evil.example, svc.users.example]")),
		/^weir.yaml:5:.*host svc.users.example is taken by Service users\/svc/,
	);
	t.match(applied(first.replace("[svc.evil.example]", "[svc.evil.example, svc.evil.example]")), /listed twice/);
});

t.test("weir status tells those who may read them", async (t) => {
	const { store, owner, as } = await mutualApi(t);
	earlier(t, { p1: UNBOUND, p2: dear("aaaaab"), p3: dear("aaaaac") }, store);
	await owner.apply(file(binding("readers", "read", ["ada"], "[users]")), { dryRun: false });
	const { conditions } = await owner.status();
	t.match(conditions, [
		{ resource: "AccessPolicy evil/p1", words: /no literal text.*never told, so that the policy lets nobody in/ },
		{ resource: "Service evil/svc", words: /\d+ steps, more than 100000/ },
	]);
	t.equal(conditions?.length, 2);
	t.match(conditionLines(conditions), [/^WARNING AccessPolicy evil\/p1: its condition calls/, /^WARNING Service/]);
	t.same((await (await as("ada")).status()).conditions, []);
	t.same((await owner.status()).faults, [], "conditions are told once");
	await owner.apply(file(["p1", "p2"].map((name) => policy(name, CHEAP)).join("---\n")), { dryRun: false });
	t.same((await owner.status()).conditions, []);
});

t.test("weir status tells of any text that would be refused today, until it is edited", async (t) => {
	const { store, owner, as } = await mutualApi(t);
	earlier(t, { p1: CHEAP, p2: CHEAP, p3: CHEAP }, store);
	overwrite(store, (name, source) =>
		name === "evil/p1" ? source.replace("spec:", "spec:\n  former: field") : name === "evil/p2" ? "kind: [" : null,
	);
	await owner.apply(file(binding("readers", "read", ["ada"], "[users]")), { dryRun: false });
	const { faults } = await owner.status();
	t.match(faults, [
		{ resource: "AccessPolicy evil/p1", words: /refused today.*line \d: unknown field spec.former; known fields/ },
		{ resource: "AccessPolicy evil/p2", words: /refused today/ },
	]);
	t.match(conditionLines(faults), [/^WARNING AccessPolicy evil\/p1: its text would/, /^WARNING AccessPolicy evil\/p2/]);
	t.same((await (await as("ada")).status()).faults, []);
	await owner.apply(file(policy("p1", CHEAP)), { dryRun: false });
	t.match((await owner.status()).faults, [{ resource: "AccessPolicy evil/p2" }]);
	await owner.delete("AccessPolicy", "evil/p2", { dryRun: false });
	t.same((await owner.status()).faults, []);
});

t.test(
	"servers that an earlier Weir took in plain text stand, are told of, and are met by the next edit",
	async (t) => {
		const { store, owner } = await mutualApi(t);
		earlier(t, { p1: CHEAP }, store);
		const stored = store.sources.find(({ resource }) => resourceTitle(resource) === "Service evil/svc");
		if (stored === undefined) throw new Error("no Service");
		const unsaid = stored.source.replace(PLAIN, "");
		store.database.transaction(() =>
			store.database.resources.putSync(["Service", "evil/svc"], { resource: stored.resource, source: unsaid }),
		);
		t.equal(said(store.apply(file(`# read\n${GATEWAY}`), options)), "");
		t.equal(said(users(store, 1)), "", "others change what is theirs");
		const [fault] = (await owner.status()).faults ?? [];
		t.match(fault, { resource: "Service evil/svc", words: /refused today.*evil.internal:9001, off Envoy's machine/ });
		t.match(said(store.apply(file(unsaid), options)), /off Envoy's machine.*in plain text/);
		t.equal(said(store.apply(file(stored.source), options)), "");
		t.same((await owner.status()).faults, []);
	},
);

t.test("a stored text is read once for a change, also where one has a fault", async (t) => {
	const store = earlier(t, { p1: CHEAP });
	let read = 0;
	const stored = store.sources.map(({ resource, source }) => ({
		resource,
		get source() {
			read++;
			return resource.metadata.name === "p1" ? source.replace('"svc"', '"gone"') : source;
		},
	}));
	t.same(crossCheck(stored, stored, [], store.current.status).problems, [], "what stands is no fault of a change");
	t.equal(read, stored.length);
	read = 0;
	const texts = stored.map((one) => ({
		name: "stored",
		accepted: one.resource,
		get text() {
			return one.source;
		},
	}));
	parseResources(texts);
	t.equal(read, texts.length, "compared with what was read for the change before, and not read again");
});

t.test(
	"a limit of principals where a Gateway demands no certificates holds up what makes it worse, and nothing else",
	async (t) => {
		const store = opened(t);
		const apply = (...texts: readonly string[]): string => said(store.apply(file(texts.join("---\n")), options));
		const open = "  access: open\n";
		const limited = serviceText("limited", "users", `${open}  rateLimits: {principal: {requests: 1}}\n`);
		const bare = GATEWAY.replace(/ {2}tls: .*\n/, "");
		const fault = (gateway: string): RegExp =>
			new RegExp(`rateLimits.principal is given, but Gateway ${gateway} demands no client certificates`);
		t.equal(apply(GATEWAY, limited, serviceText("svc", "evil", open)), "");
		t.match(apply(bare), fault("edge"), "a Gateway that demands none any more");

		const [gateway] = parseResources(file(bare)).resources.gateways;
		if (gateway === undefined) throw new Error("no Gateway");
		store.database.transaction(() =>
			store.database.resources.putSync(["Gateway", "edge"], { resource: gateway, source: bare }),
		);
		t.equal(apply(serviceText("svc", "evil", open).replaceAll("9001", "9003")), "", "others'");
		t.match(store.current.resources.gateways, [{ spec: { tls: null } }]);
		t.equal(apply(bare.replace("port: 0", "port: 8443")), "", "the Gateway is no worse");
		t.match(apply(bare.replace("edge", "public")), fault("public"), "one more");
		t.equal(apply(GATEWAY.replace("edge", "inner")), "");
		t.match(apply(limited.replace("requests: 1", "requests: 2")), fault("edge"), "its own edit");
		t.match(store.current.resources.services.find(({ metadata }) => metadata.name === "limited")?.spec.rateLimits, {
			principal: { requests: 1 },
		});
		t.equal(apply(serviceText("limited", "users", open)), "");
		t.equal(apply(bare.replace("edge", "public")), "");
	},
);

t.test("an endpoint that no Service may have any more stands, is told of, and holds up nothing else", async (t) => {
	const { store, owner } = await mutualApi(t);
	const open = "  access: open\n";
	const mine = serviceText("svc", "evil", open);
	const applied = store.apply(file([mine, serviceText("svc", "users", open)].join("---\n")), options);
	t.equal(said(applied), "");
	const source = mine.replaceAll("svc.evil.internal", "169.254.169.254");
	t.match(said(store.apply(file(source), options)), /^weir.yaml:10:40: .*is 169.254.169.254, a link-local address/m);
	const stored = store.current.resources.services.find(({ metadata }) => metadata.namespace === "evil");
	if (stored === undefined) throw new Error("no Service");
	const variants = stored.spec.variants.map((one) => ({
		...one,
		endpoints: one.endpoints.map((endpoint) => ({ ...endpoint, address: "169.254.169.254" })),
	}));
	const resource = { ...stored, spec: { ...stored.spec, variants } };
	store.database.transaction(() => store.database.resources.putSync(["Service", "evil/svc"], { resource, source }));
	t.equal(said(store.apply(file(serviceText("more", "users", open)), options)), "", "others' changes");
	t.equal(said(store.apply(file(serviceText("last", "users", open)), options)), "", "and now that it is read");
	t.match(
		store.current.resources.services.find(({ metadata }) => metadata.namespace === "evil"),
		resource,
		"it stands",
	);
	const { faults } = await owner.status();
	t.match(faults, [{ resource: "Service evil/svc", words: /refused today.*line 10: .*a link-local address/ }]);
	t.match(conditionLines(faults), [/^WARNING Service evil\/svc/]);
	t.equal(said(store.apply(file(mine), options)), "");
	t.same((await owner.status()).faults, []);
});

t.test("so does a caller that is a trust domain alone, also over a restart", async (t) => {
	const directory = temporaryDirectory(t);
	const before = new Store(directory);
	const own = policyText("p", "svc", "evil");
	const all = [GATEWAY, serviceText("svc", "evil"), own, serviceText("svc", "users"), policyText("p", "svc", "users")];
	t.equal(said(before.apply(file(all.join("---\n")), options)), "");
	const source = own.replace("a.example/p", "a.example");
	const FAULT = /spec.principals\[0\] is a trust domain, and nobody's id; write spiffe:\/\/a.example\/\* for all of it/;
	t.match(said(before.apply(file(source), options)), FAULT);
	const stored = before.current.resources.accessPolicies.find(({ metadata }) => metadata.namespace === "evil");
	if (stored === undefined) throw new Error("no policy");
	const resource = { ...stored, spec: { ...stored.spec, principals: ["spiffe://a.example"] } };
	before.database.transaction(() =>
		before.database.resources.putSync(["AccessPolicy", "evil/p"], { resource, source }),
	);
	await before.close();
	const store = new Store(directory);
	t.teardown(() => store.close());
	t.match(
		store.current.resources.accessPolicies.find(({ metadata }) => metadata.namespace === "evil"),
		resource,
		"it stands",
	);
	t.equal(said(users(store, 1)), "", "others' changes");
	t.match(store.faults.now, [{ resource, words: FAULT }]);
	t.equal(said(store.apply(file(source.replace("a.example", "a.example/*")), options)), "");
	t.same(store.faults.now, []);
});

t.test("so does a Gateway with more issuers than one may have", async (t) => {
	const store = opened(t);
	const open = "  access: open\n";
	const issuers = (count: number): readonly string[] =>
		Array.from({ length: count }, (_, index) => `https://i${index}`);
	const edge = (count: number): string => {
		const list = issuers(count).map(
			(one) => `{issuer: "${one}", audiences: [weir], jwksUrl: "https://keys.example/k"}`,
		);
		return `${GATEWAY}  tokens: [${list.join(", ")}]\n`;
	};
	t.equal(said(store.apply(file([edge(ISSUERS_MAX), serviceText("svc", "evil", open)].join("---\n")), options)), "");
	const FAULT = /spec.tokens .*; write at most 100 issuers/;
	t.match(said(store.apply(file(edge(ISSUERS_MAX + 1)), options)), FAULT);
	const [stored] = store.current.resources.gateways;
	const [one] = stored?.spec.tokens ?? [];
	if (stored === undefined || one === undefined) throw new Error("no Gateway");
	const tokens = issuers(ISSUERS_MAX + 1).map((issuer) => ({ ...one, issuer }));
	const resource = { ...stored, spec: { ...stored.spec, tokens } };
	const source = edge(ISSUERS_MAX + 1);
	store.database.transaction(() => store.database.resources.putSync(["Gateway", "edge"], { resource, source }));
	t.equal(said(store.apply(file(serviceText("more", "users", open)), options)), "", "others' changes");
	t.equal(store.current.resources.gateways[0]?.spec.tokens.length, ISSUERS_MAX + 1, "it stands");
	t.match(store.faults.now, [{ resource, words: FAULT }]);
	t.match(said(store.apply(file(edge(ISSUERS_MAX + 2)), options)), FAULT);
	t.equal(said(store.apply(file(edge(1)), options)), "");
	t.same(store.faults.now, []);
});
