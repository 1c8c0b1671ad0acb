/** Authorisation at the API: real certificates, a real HTTPS listener and RoleBindings. */
import { request as httpsRequest } from "node:https";
import t from "tap";
import { StateClient } from "../../../src/operate/api/client.js";
import { ALL, experiment, file, METRIC, SERVICE, temporaryDirectory } from "../employment.js";
import { controlTls, mutualApi, newCa, operator, operatorClient, READS_NOTHING } from "../mutualApi.js";

const now = { dryRun: false };

export function binding(name: string, verbs: string, subjects: readonly string[], namespaces = "[team]"): string {
	return `apiVersion: weir.dev/v1alpha1
kind: RoleBinding
metadata: {name: ${name}}
spec: {verbs: [${verbs}], subjects: ${JSON.stringify(subjects)}, namespaces: ${namespaces}}
`;
}

/** The documents in a namespace, with a host name and servers of its own. */
const inNamespace = (namespace: string, text: string): string =>
	text
		.replaceAll("metadata: {", `metadata: {namespace: ${namespace}, `)
		.replaceAll("employment.example", `${namespace}.example`)
		.replaceAll("address: 127.0.0.1, port: 900", `address: ${namespace}.internal, port: 900`);

t.test("a caller needs a certificate that the listener trusts", async (t) => {
	const faults: string[] = [];
	const { api, ca, store } = await mutualApi(t, { onHandshakeFault: (fault) => void faults.push(fault) });
	t.match(api.url, /^https:/);
	await t.rejects((await operatorClient(ca, api.url, null)).get(), { code: "unavailable" }, "no certificate");
	const otherCa = await newCa();
	await t.rejects((await operatorClient(ca, api.url, "ada", otherCa)).get(), { code: "unavailable" }, "another CA's");
	await t.rejects((await operatorClient(ca, api.url, "ada")).get(), READS_NOTHING, "known, and bound to nothing");
	const refusedConnects = store.audit.page(0, 10, "refused").records.filter(({ verb }) => verb === "connect");
	t.match(
		refusedConnects,
		[
			{ subject: null, verb: "connect", result: "refused", why: "no-certificate" },
			{ subject: null, verb: "connect", result: "refused", why: "untrusted-certificate" },
		],
		"who never got through TLS is recorded too",
	);
	t.equal(refusedConnects.length, 2);
	for (let times = 0; times < 5; times++)
		await t.rejects((await operatorClient(ca, api.url, null)).get(), { code: "unavailable" });
	t.same(
		faults,
		["no-certificate", "untrusted-certificate", ...Array<string>(5).fill("no-certificate")],
		"each counts",
	);
	const connects = () => store.audit.page(0, 10, "refused").records.filter(({ verb }) => verb === "connect");
	t.equal(connects().length, 2, "one record a minute for each reason");
	await api.close();
	t.match(connects()[2], { subject: null, why: "no-certificate, 5 times" }, "with the number of attempts");
});

t.test("deny by default: a known operator without a binding does nothing, and every attempt is recorded", async (t) => {
	const { owner, as, store } = await mutualApi(t);
	await owner.apply(file(ALL), now);
	const ada = await as("ada");
	const denied = { code: "permission-denied" };
	await t.rejects(ada.apply(file(METRIC.replace("accuracy", "clicks")), now), denied);
	await t.rejects(ada.apply(file(METRIC.replace("accuracy", "clicks")), { dryRun: true }), denied, "a dry run too");
	await t.rejects(ada.proxies(), denied);
	await t.rejects(ada.audit(0), denied);
	await t.rejects(ada.act("boosted", "pause"), { code: "not-found" }, "an unreadable Experiment is not found");
	await t.rejects(ada.delete("Metric", "accuracy", now), { code: "not-found" });
	await t.rejects(ada.approve("0".repeat(20)), { code: "not-found" });
	await t.rejects(ada.reject("0".repeat(20), "no"), { code: "not-found" });
	const reads: readonly (() => Promise<unknown>)[] = [
		() => ada.decisions("boosted", 0),
		() => ada.moves("boosted", Date.now()),
		() => ada.get(),
		() => ada.getYaml(),
		() => ada.status(),
		() => ada.diff(),
		() => ada.requests(),
		() => ada.history(null),
		() => ada.shadowGaps(),
	];
	for (const read of reads) await t.rejects(read(), READS_NOTHING, "an empty list would look complete");
	t.equal(store.current.revision, 1);
	t.match(
		store.audit.page(0, 10, "refused").records.map(({ subject, how, verb, result, objects, namespaces }) => ({
			subject,
			how,
			verb,
			result,
			objects,
			namespaces,
		})),
		[
			{
				subject: operator("ada"),
				how: "mtls",
				verb: "apply",
				result: "refused",
				objects: ["files, unread"],
				namespaces: [],
			},
			{ verb: "apply", result: "refused" },
			{ verb: "read", result: "refused", objects: ["/v1/proxies"], namespaces: ["*"] },
			{ verb: "read", result: "refused", objects: ["/v1/audit"] },
			{ verb: "pause", result: "refused", objects: ["Experiment boosted"], namespaces: ["default"] },
			{ verb: "delete", result: "refused", objects: ["Metric accuracy"], namespaces: ["default"] },
			{ verb: "read", result: "refused", objects: ["/v1/experiments/boosted/decisions"], namespaces: [] },
		],
	);
});

t.test("each verb allows its own operations, in its own namespaces", async (t) => {
	const { owner, as } = await mutualApi(t);
	for (const namespace of ["team", "other"]) {
		await owner.apply(file(inNamespace(namespace, [SERVICE, METRIC, experiment("boosted")].join("---\n"))), now);
	}
	const people = ["read", "apply", "promote", "abort", "approve", "admin"];
	await owner.apply(file(people.map((verb) => binding(`may-${verb}`, verb, [operator(verb)])).join("---\n")), now);
	const outcome = async (name: string, act: (client: Awaited<ReturnType<typeof as>>) => Promise<unknown>) =>
		act(await as(name)).then(
			() => "done",
			(error: { code: string }) => error.code,
		);
	const operations = {
		read: (client) => client.decisions("team/boosted", 0),
		apply: (client) =>
			client.apply(file(inNamespace("team", METRIC.replace("accuracy", "unused").replace("1s", "2s"))), {
				dryRun: true,
			}),
		delete: (client) => client.delete("Metric", "team/unused", now),
		pause: (client) => client.act("team/boosted", "pause"),
		resume: (client) => client.act("team/boosted", "resume"),
		foreign: (client) => client.act("other/boosted", "pause"),
		foreignRead: (client) => client.decisions("other/boosted", 0),
	} satisfies Record<string, (client: Awaited<ReturnType<typeof as>>) => Promise<unknown>>;
	const found: Record<string, Record<string, string>> = {};
	for (const person of people) {
		found[person] = {};
		await owner.apply(file(inNamespace("team", METRIC.replaceAll("accuracy", "unused"))), now);
		for (const [what, act] of Object.entries(operations)) (found[person] ?? {})[what] = await outcome(person, act);
	}
	const no = "permission-denied";
	const away = { foreign: "not-found", foreignRead: "not-found" };
	const reader = { read: "done", apply: no, delete: no, pause: no, resume: no, ...away };
	t.same(found, {
		read: reader,
		apply: { ...reader, apply: "done", delete: "done" },
		promote: { ...reader, pause: "done", resume: "done" },
		abort: reader,
		approve: reader,
		admin: { ...reader, apply: "done", delete: "done", pause: "done", resume: "done" },
	});
	t.equal(await outcome("promote", (client) => client.act("team/boosted", "abort")), no);
	t.equal(await outcome("abort", (client) => client.act("team/boosted", "abort")), "done");
	t.match(await (await as("abort")).decisions("team/boosted", 0).then(({ decisions }) => decisions.at(-1)), {
		by: operator("abort"),
		outcome: { action: "abort", reason: new RegExp(`Aborted by ${operator("abort")}`) },
	});
});

t.test("reads return resources of the caller's namespaces only", async (t) => {
	const { owner, as } = await mutualApi(t);
	for (const namespace of ["team", "secretive"]) {
		await owner.apply(file(inNamespace(namespace, [SERVICE, METRIC, experiment("boosted")].join("---\n"))), now);
	}
	await owner.apply(file(binding("team", "apply", [operator("ada")])), now);
	const ada = await as("ada");
	const seen = JSON.stringify([await ada.get(), await ada.getYaml(), await ada.status(), await ada.diff()]);
	t.match(seen, /team\/boosted/);
	t.notMatch(seen, /secretive|RoleBinding/);
	const host = inNamespace("team", SERVICE)
		.replaceAll("team.example", "secretive.example")
		.replaceAll("employment", "mine");
	const taken = await ada.apply(file(host), now);
	t.match(
		taken,
		{ outcome: "refused", problems: [{ message: /conflicts with a resource of another namespace/ }] },
		"one host, one Service",
	);
	t.notMatch(JSON.stringify(taken), /employment|namespace.*secretive|stored/);
	const salt = experiment("fresh", "[0%, 1%]").replace("  goal:", "  salt: secretive/boosted\n  goal:");
	const salted = await ada.apply(file(inNamespace("team", salt)), now);
	t.equal(salted.outcome, "refused");
	t.notMatch(
		JSON.stringify(salted).replaceAll("salt 'secretive/boosted'", "").replaceAll('salt \\"secretive/boosted\\"', ""),
		/secretive/,
	);
});

t.test("bindings, policies, data classes and Gateways need an admin in each namespace that they affect", async (t) => {
	const { owner, as } = await mutualApi(t);
	await owner.apply(
		file(
			[
				binding("a", "apply, promote, abort, approve", [operator("ada")]),
				binding("b", "admin", [operator("bob")]),
			].join("---\n"),
		),
		now,
	);
	const [ada, bob] = [await as("ada"), await as("bob")];
	const denied = { code: "permission-denied" };
	const inTeam = (text: string) => text.replace("{name:", "{namespace: team, name:");
	const dataClass =
		"apiVersion: weir.dev/v1alpha1\nkind: DataClass\nmetadata: {namespace: team, name: eu}\nspec: {regions: [eu]}\n";
	const approval =
		"apiVersion: weir.dev/v1alpha1\nkind: ApprovalPolicy\nmetadata: {namespace: team, name: two}\nspec: {verbs: [apply], namespaces: [team]}\n";
	const gateway =
		"apiVersion: weir.dev/v1alpha1\nkind: Gateway\nmetadata: {namespace: team, name: edge}\nspec: {address: 127.0.0.1, port: 0}\n";
	for (const text of [dataClass, approval, inTeam(binding("more", "admin", [operator("ada")])), gateway]) {
		await t.rejects(ada.apply(file(text), now), denied);
	}
	t.match(await bob.apply(file(dataClass), now), { outcome: "applied" });
	t.match(await bob.apply(file(inTeam(binding("more", "read", [operator("eve")]))), now), { outcome: "applied" });
	await t.rejects(bob.apply(file(gateway), now), denied, "a Gateway reaches every namespace");
	await t.rejects(bob.apply(file(inTeam(binding("wide", "admin", [operator("bob")], "['*']"))), now), denied);
	await t.rejects(bob.apply(file(inTeam(binding("next", "read", [operator("bob")], "[other]"))), now), denied);
	await owner.apply(file(inTeam(binding("wide", "read", [operator("carol")], "['*']"))), now);
	await t.rejects(bob.delete("RoleBinding", "team/wide", now), denied, "nor may it be narrowed or taken away");
	await t.rejects(bob.apply(file(inTeam(binding("wide", "read", [operator("carol")]))), now), denied);
	t.match(await (await as("carol")).proxies(), { proxies: [] });
});

t.test("an unchanged resource needs no right except read", async (t) => {
	const { owner, as } = await mutualApi(t);
	const team = inNamespace("team", [SERVICE, METRIC].join("---\n"));
	const shared = [SERVICE, METRIC].join("---\n");
	await owner.apply(file(`${team}---\n${shared}`), now);
	await owner.apply(
		file(
			[binding("a", "apply", [operator("ada")]), binding("r", "read", [operator("ada")], "[default]")].join("---\n"),
		),
		now,
	);
	const ada = await as("ada");
	const changed = team.replace("window: 1s", "window: 2s");
	t.match(await ada.apply(file(`${changed}---\n${shared}`), now), { outcome: "applied" });
	await t.rejects(ada.apply(file(`${team}---\n${shared.replace("window: 1s", "window: 2s")}`), now), {
		code: "permission-denied",
	});
	await owner.delete("RoleBinding", "r", now);
	await t.rejects(ada.apply(file(`${changed}---\n${shared}`), now), { code: "permission-denied" });
});

t.test("a token gives a subject and groups; an invalid one is refused even with a certificate", async (t) => {
	const tokens = async (authorization: string) =>
		authorization === "Bearer good"
			? { subject: "https://issuer.example#ada", groups: ["ml"] }
			: authorization === "Bearer liar"
				? { subject: "local:owner", groups: [] }
				: { refused: "the token does not hold" };
	const { owner, as, withToken, ca, api, store } = await mutualApi(t, { tokens });
	await owner.apply(file([METRIC, binding("ml", "read", ["group:ml"], "[default]")].join("---\n")), now);
	t.match(await withToken("good").get(), { resources: [{ kind: "Metric" }, { kind: "RoleBinding" }] });
	await t.rejects((await as("ada")).get(), READS_NOTHING, "a certificate works too, and is no group");
	await t.rejects((await operatorClient(ca, api.url, null)).get(), { code: "permission-denied" }, "neither");
	await t.rejects(withToken("forged").get(), { code: "permission-denied" });
	await t.rejects(
		withToken("liar").get(),
		{ code: "permission-denied" },
		"no caller is the local owner over the network",
	);
	const otherCa = await newCa();
	await t.rejects(
		(await operatorClient(ca, api.url, "ada", otherCa)).get(),
		{ code: "permission-denied" },
		"another CA's",
	);
	const refused = store.audit.page(0, 10, "refused").records.filter(({ subject }) => subject !== operator("ada"));
	t.same(
		refused.map(({ subject, result }) => [subject, result]),
		Array(4).fill([null, "refused"]),
	);
	t.notMatch(JSON.stringify(refused), /Bearer|liar|forged/);
});

t.test("the TCP listener serves no internal API and no cross-site request of a browser", async (t) => {
	const { api, ca, owner, store } = await mutualApi(t);
	const own = await ca.issue({ spiffeId: operator("ada") });
	const get = (path: string, headers: Record<string, string> = {}): Promise<number> =>
		new Promise((resolve, reject) => {
			const options = {
				ca: ca.certificate,
				cert: own.certificate,
				key: own.privateKey,
				checkServerIdentity: () => undefined,
			};
			httpsRequest(new URL(path, api.url), { ...options, agent: false, headers }, (response) => {
				response.resume();
				resolve(response.statusCode ?? 0);
			})
				.on("error", reject)
				.end();
		});
	t.equal(await get("/internal/plans"), 404);
	await owner.apply(file(binding("ada", "read", [operator("ada")], "[default]")), now);
	t.equal(await get("/v1/status"), 200);
	t.equal(await get("/v1/status", { origin: "https://evil.example" }), 403);
	t.equal(await get("/v1/status", { origin: new URL(api.url).origin }), 200);
	t.same(await new StateClient(api.socket).metricNames(), [], "ingest keeps its own");
	t.match(await owner.raw("GET", "/healthz"), { status: 200, text: "ok\n" }, "and the owner the public paths");
	t.equal(store.current.revision, 1);
});

t.test("mounted routes get the caller; by default they need read in every namespace", async (t) => {
	const seen: unknown[] = [];
	const { owner, as, store } = await mutualApi(t, {
		mounts: {
			"/metrics": (_, response) => void response.end("m 1\n"),
			"/v1/probe": {
				needs: "read",
				methods: ["POST"],
				recorded: "probe",
				handle: (_, response) => void response.end("probed"),
			},
			"/v1/outcomes": {
				needs: "identity",
				methods: ["POST"],
				handle: (_, response, caller) => {
					seen.push([caller.how, caller.subject]);
					response.writeHead(202).end();
				},
			},
		},
	});
	const ada = await as("ada");
	t.equal((await ada.raw("POST", "/v1/outcomes")).status, 202);
	t.equal((await owner.raw("POST", "/v1/outcomes")).status, 202);
	t.same(seen, [
		["mtls", operator("ada")],
		["socket", "local:owner"],
	]);
	t.equal((await ada.raw("GET", "/metrics")).status, 403);
	t.equal((await owner.raw("GET", "/metrics")).text, "m 1\n");
	await owner.apply(file(binding("ops", "read", [operator("ada")], "['*']")), now);
	t.equal((await ada.raw("GET", "/metrics")).text, "m 1\n");
	const body = { contentType: "application/json", text: "{}" };
	for (const [status, method, path, sent] of [
		[405, "GET", "/v1/probe", null],
		[405, "DELETE", "/v1/probe", null],
		[405, "DELETE", "/metrics", null],
		[405, "GET", "/v1/outcomes", body],
		[404, "POST", "/v1/probe/nonsense/%2e%2e", null],
		[404, "POST", "/v1/probe?x=y", null],
		[400, "POST", "/v1/probe", body],
		[400, "POST", "/v1/outcomes", body],
		[400, "GET", "/metrics", body],
	] as const)
		t.equal((await ada.raw(method, path, sent)).status, status, `${method} ${path}`);
	t.equal(seen.length, 2);
	const probes = () => store.audit.page(0, 1_000).records.filter(({ verb }) => verb === "probe");
	t.same(probes(), [], "nothing was done");
	t.equal((await ada.raw("POST", "/v1/probe")).text, "probed");
	t.match(probes(), [{ subject: operator("ada"), result: "done" }]);
});

t.test("bootstrap admins need no binding, and a renewed certificate is shown to new connections", async (t) => {
	const { as, api, ca } = await mutualApi(t, { admins: [operator("root")] });
	t.match(await (await as("root")).apply(file(METRIC), now), { outcome: "applied" });
	const next = await newCa();
	const both = { ...(await controlTls(next)), ca: `${next.certificate}\n${ca.certificate}` };
	api.renew(both);
	await t.rejects(
		(await as("root")).get(),
		{ code: "unavailable" },
		"who believes the old CA alone sees another server",
	);
	t.match(await (await operatorClient(next, api.url, "root")).get(), { resources: [{ kind: "Metric" }] });
});

t.test("a plain HTTP listener opens on the loopback only", async (t) => {
	const { store } = await mutualApi(t);
	const { startApi } = await import("../../../src/operate/api/api.js");
	const socket = `${temporaryDirectory(t)}/b.sock`;
	await t.rejects(startApi({ store, socket, insecureLoopback: { address: "0.0.0.0", port: 0 } }), {
		code: "invalid-argument",
	});
});
