import { createServer } from "node:http";
import { join } from "node:path";
import t from "tap";
import { auditRequests } from "../../../src/cli/commands/audit.js";
import { policyShadow } from "../../../src/cli/commands/policyShadow.js";
import { allowedShare } from "../../../src/cli/roles/ingest.js";
import type { Resource } from "../../../src/declare/resources/resource.js";
import { CALLER_HEADER, encodeCaller } from "../../../src/observe/events/receive/outcomes/sender.js";
import { accessPolicy } from "../../fixtures/resources.js";
import { golden } from "../../golden/golden.js";
import { type Entry, METRICS, type Rig, startRig, tryingOut } from "../../observe/events/rig.js";

/** What a command prints to standard output and to standard error. */
async function output(run: () => Promise<void>): Promise<{ readonly stdout: string; readonly stderr: string }> {
	const text = { stdout: "", stderr: "" };
	const restored = (["stdout", "stderr"] as const).map((stream) => {
		const { write } = process[stream];
		process[stream].write = ((chunk: string) => {
			text[stream] += chunk;
			return true;
		}) as typeof write;
		return () => {
			process[stream].write = write;
		};
	});
	try {
		await run();
	} finally {
		for (const restore of restored) restore();
	}
	return text;
}

const printed = async (run: () => Promise<void>): Promise<string> => (await output(run)).stdout;

t.test("audit requests prints records and shadow counts as readable lines", async (t) => {
	const senders = ["spiffe://a.test/web"];
	const metrics = METRICS.map((one) => (one.name === "revenue" ? { ...one, senders } : one));
	const rig = await startRig({ metrics: async () => metrics });
	t.teardown(() => rig.close());
	const api = await apiOver(t, rig, []);
	const common = { kind: "end", unit: null, startMs: 999_000, principal: "spiffe://a.test/web" } as const;
	await rig.send([
		{
			...common,
			requestId: "r1",
			status: 403,
			codeDetails: "rbac_access_denied_matched_policy[no-admin]",
			path: "/admin\nFORGED",
		},
		{ ...common, requestId: "r2", status: 403, codeDetails: "rbac_access_denied_matched_policy[none]" },
		// Envoy's own answer to gRPC.
		{ ...common, requestId: "grpc", status: 200, codeDetails: "rbac_access_denied_matched_policy[no-admin]" },
	]);
	const all = await printed(() => auditRequests({ api }));
	t.equal(all.trimEnd().split("\n").length, 3, "a line a record, whatever callers write");
	const one = await printed(() => auditRequests({ api, reason: "no-policy-allows", json: true }));
	t.match(JSON.parse(one), { requestId: "r2", reason: "no-policy-allows" });
	t.equal((await printed(() => auditRequests({ api, limit: "1" }))).trimEnd().split("\n").length, 1);
	t.equal(await printed(() => auditRequests({ api, service: "default/shop" })), all, "however its name is written");
	t.match(await printed(() => auditRequests({ api, policy: "default/no-admin" })), /policy no-admin/);
	for (const since of ["noon", "5", "2026", "2026-02-30", "1 Jan 2026", "2026-01-31 12:00", "2026-01-31T12:00:00"])
		await t.rejects(auditRequests({ api, since }), { code: "invalid-argument", message: /is no time/ }, since);
	t.equal(await printed(() => auditRequests({ api, since: "2999-01-31" })), "", "a day is one, in UTC");
	await t.rejects(auditRequests({ api, kind: "nothing" }), { code: "invalid-argument" });
	const sender = { [CALLER_HEADER]: encodeCaller("spiffe://a.test/web") };
	const row = { metric: "accuracy", value: 1, unit: "u" };
	await rig.post([row, row], sender);
	const refused = await printed(() => auditRequests({ api, kind: "outcome-refused", policy: "accuracy" }));
	const unknown = { [CALLER_HEADER]: encodeCaller("spiffe://a.test/unknown") };
	for (let times = 0; times < 4; times++) await rig.post([row, row], unknown);
	await rig.restart();
	const refusals = await printed(() => auditRequests({ api, kind: "outcome-refused", limit: "1" }));
	t.match(refusals, /unknown {2}403 {2}3 times\n/);
	await golden(t, "audit-requests", `${all}${refused}${refusals}${await gapOf(t)}`);
});

/** The line of a gap, with its duration. */
async function gapOf(t: { teardown(run: () => unknown): void }): Promise<string> {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const api = await apiOver(t, rig, []);
	await rig.ingest.close();
	rig.nowMs = 1_060_000;
	await rig.reopen();
	return printed(() => auditRequests({ api, kind: "records-missing" }));
}

/** Control's API as these commands see it: what is declared, and ingest's answers. @returns its address */
async function apiOver(
	t: { teardown(run: () => void): unknown },
	rig: Rig,
	resources: readonly Resource[],
): Promise<string> {
	const server = createServer((asked, response) => {
		const answer = (status: number, json: unknown): void =>
			void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json));
		if (asked.url === "/v1/resources") answer(200, { revision: 1, resources });
		else if (asked.url === "/v1/policies/shadow-gaps") answer(200, { gaps: [] });
		else void rig.call("GET", asked.url ?? "", "").then(({ status, json }) => answer(status, json));
	});
	const socket = join(rig.directory, `api-${resources.length}.sock`);
	await new Promise<void>((resolve) => server.listen(socket, resolve));
	t.teardown(() => server.close());
	return `unix:${socket}`;
}

t.test("policy shadow counts changes by declared shadow policies only, and since a given time", async (t) => {
	const { plans, newestPlan } = tryingOut();
	let inForce = newestPlan;
	const rig = await startRig({ plans, newestPlan: () => inForce() });
	t.teardown(() => rig.close());
	const tried = (policy: string): Entry => ({
		kind: "end",
		unit: null,
		startMs: 999_000,
		principal: "spiffe://a.test/web",
		requestId: policy,
		namespace: "envoy.filters.http.rbac",
		metadata: { weir_deny_shadow_engine_result: "denied", weir_deny_shadow_effective_policy_id: policy },
	});
	await rig.send([tried("try"), tried("gone"), tried("enforced"), tried("none")]);
	const enforced = accessPolicy("enforced", "deny", ["shop"]);
	const api = await apiOver(t, rig, [accessPolicy("try", "deny", ["shop"], { mode: "shadow" }), enforced]);
	const asked = await printed(() => policyShadow({ api }));
	t.notMatch(asked, /gone|enforced|earlier/);
	rig.nowMs += 60_000;
	const since = new Date(rig.nowMs).toISOString();
	const later = await printed(() => policyShadow({ api, since }));
	await t.rejects(policyShadow({ api, since: "noon" }), { code: "invalid-argument" });
	inForce = async () => null;
	const now = await printed(() => policyShadow({ api }));
	const all = await printed(() => policyShadow({ api, allRules: true }));
	const none = await apiOver(t, rig, [enforced]);
	const nothing = await printed(() => policyShadow({ api: none }));
	await golden(t, "policy-shadow", [asked, later, now, all, nothing].join("\n"));
	const elsewhere = [enforced, enforced, accessPolicy("try", "deny", ["other"], { mode: "shadow" })];
	const other = await apiOver(t, rig, elsewhere);
	t.notMatch(await printed(() => policyShadow({ api: other })), /no policy would allow/, "of another Service");
});

t.test("audit requests reports dropped records once, beside the records that are kept", async (t) => {
	const rig = await startRig({ ...tryingOut(), recordsMax: 4 });
	t.teardown(() => rig.close());
	const api = await apiOver(t, rig, [accessPolicy("try", "deny", ["shop"], { mode: "shadow" })]);
	const common = { kind: "end", unit: null, startMs: 900_000, namespace: "envoy.filters.http.rbac" } as const;
	const ids = (name: string, count: number) => Array.from({ length: count }, (_, index) => `${name}${index}`);
	const denied = (requestId: string): Entry => ({
		...{ ...common, requestId, status: 403, codeDetails: "rbac_access_denied_matched_policy[none]" },
		metadata: { weir_allow_enforced_engine_result: "denied" },
	});
	const tried = (requestId: string): Entry => ({
		...{ ...common, requestId, path: `/${requestId}` },
		metadata: { weir_deny_shadow_engine_result: "denied", weir_deny_shadow_effective_policy_id: "try" },
	});
	await rig.send([...ids("r", 5).map(denied), ...ids("t", 5).map(tried)]);
	await rig.send(ids("n", 3).map((id) => ({ ...denied(id), routeName: "" })));
	t.equal((await output(() => auditRequests({ api }))).stderr, "");
	await rig.ingest.maintain();
	const dropped = "were dropped, the log was full; it is complete from 1970-01-01T00:15:00.001Z on";
	const printed = await output(() => auditRequests({ api, json: true }));
	t.equal(printed.stderr, `weir: 4 older records ${dropped}\n`);
	t.equal(printed.stdout.trimEnd().split("\n").length, 4, "and no line of them among the records");
	const later = await output(() => auditRequests({ api, since: "1970-01-01T00:15:00.001Z" }));
	t.equal(later.stderr, "weir: no such record\n", "no record after that time was dropped");
	t.match((await output(() => policyShadow({ api }))).stderr, /^weir: 5 older counts were dropped/);
});

t.test("the option for recorded allowed requests takes all, denied or a percentage", (t) => {
	t.same(["denied", "1%", "0.5%", "all"].map(allowedShare), [0, 10_000, 5_000, 1_000_000]);
	t.throws(() => allowedShare("some"), { code: "invalid-argument" });
	t.end();
});
