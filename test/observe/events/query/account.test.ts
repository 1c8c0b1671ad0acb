/** Ingest's record of one request: GET /v1/requests/ID. */
import { EventEmitter, once } from "node:events";
import t from "tap";
import type { OutlineAccount } from "../../../../src/observe/events/query/account.js";
import { type Entry, JUDGED, PLANS, startRig, unitsOf } from "../rig.js";
import { accountOf, alice, control, get, rigWith, T0 } from "./accountRig.js";

const [rest = ""] = unitsOf(null, 1);

t.test("identity, rule, bucket, allocation and answer of a request that Envoy assigned", async (t) => {
	const rig = await rigWith(t);
	const account = await accountOf(rig, {
		plan: "guarded",
		principal: alice,
		path: "/v2/models?user=secret#x",
		status: 503,
		flag: 6,
		attempts: 1,
		codeDetails: "upstream_reset",
		durationMs: 12.5,
	});
	t.match(account, {
		known: "whole",
		requestId: "r1",
		startMs: T0,
		durationMs: 12.5,
		status: 503,
		principal: alice,
		host: "shop.test",
		method: "POST",
		path: "/v2/models",
		codeDetails: "upstream_reset",
		flags: ["UF"],
	});
	t.match(account.route, { service: "shop", plan: "guarded", planKept: true, sentTo: "v1" });
	t.same(account.access, { kind: "allowed", by: "envoy", policy: "readers", reason: "allowed" });
	t.match(account.route?.assignment, {
		by: "envoy",
		unitFrom: { from: "header", header: "x-user-id" },
		unit: /^[0-9a-f]{32}$/,
		experiment: "models",
		arm: "control",
		variant: "v1",
		experiments: [{ experiment: "models", slotPoint: null, inSlot: true, region: "control", live: true }],
	});
	const [where] = account.route?.assignment?.experiments ?? [];
	t.ok(where !== undefined && where.point < 400_000);
	t.same(where?.arms[0], { name: "control", variant: "v1", loPpm: 0, hiPpm: 500_000, livePoints: 400_000 });
	t.notMatch(JSON.stringify(account), new RegExp(`${control}\\b|secret`), "neither unit nor query");
});

t.test("the path is shown masked", async (t) => {
	const rig = await rigWith(t);
	const token = `${Buffer.from('{"alg":"HS256"}').toString("base64url")}.AAAA.${"s".repeat(43)}`;
	for (const [path, shown] of [
		[`/v2/${token}`, "/v2/(masked)"],
		[`/v2/x;access_token=${token}`, "/v2/x;(masked)"],
		["/v2/ann@a.example", "/v2/(masked)"],
	] as const) {
		const account = await accountOf(rig, { plan: "guarded", principal: alice, path, requestId: shown });
		t.equal(account.path, shown);
		t.notMatch(JSON.stringify(account), /eyJ|ann@/);
	}
});

t.test("no unit, the rest, outside the slot, no Experiment", async (t) => {
	const rig = await rigWith(t);
	const assignment = async (over: Partial<Entry>) => (await accountOf(rig, over)).route?.assignment;
	t.match(await assignment({ unit: null }), { unit: null, experiments: [], arm: null, variant: "v1" });
	t.match(await assignment({ unit: rest }), { arm: null, variant: "v1", experiments: [{ live: false, inSlot: true }] });
	t.match(await assignment({ unit: control, plan: "slotted", routeName: "weir|slotted|shop|-" }), {
		unit: /^[0-9a-f]{32}$/,
		arm: null,
		experiment: null,
		experiments: [{ inSlot: false, slotPoint: Number }],
	});
	t.match(await assignment({ plan: "bare", routeName: "weir|bare|shop|-" }), { unitFrom: null, variant: "v1" });
});

t.test("a plan that is gone, a host that is no Service's", async (t) => {
	const rig = await rigWith(t);
	const gone = (await accountOf(rig, { plan: "gone" })).route;
	t.match(gone, { plan: "gone", planKept: false, assignment: null });
	t.equal((await accountOf(rig, { routeName: "", ...JUDGED })).route, null);
});

t.test("what the sidecar decided is shown as it answered", async (t) => {
	const rig = await rigWith(t);
	const metadata = {
		plan: "callout",
		service: "shop",
		experiment: "models",
		arm: "control",
		unit: control,
		variant: "v1",
		verdict: "allow",
		reason: "allowed",
		policy: "readers",
	};
	const account = (over: Partial<Entry>) => accountOf(rig, { unit: null, plan: "callout", metadata, ...over });
	t.match(await account({}), {
		access: { by: "sidecar", kind: "allowed", reason: "allowed", policy: "readers" },
		route: {
			assignment: { by: "sidecar", plan: "callout", unitFrom: { from: "cookie", cookie: "id" }, arm: "control" },
		},
	});
	const denial = { ...metadata, verdict: "deny", reason: "forbidden", policy: "no-v2" };
	t.match(await account({ metadata: denial, codeDetails: "ext_authz_denied", status: 403, cluster: "" }), {
		access: { kind: "denied", by: "sidecar", reason: "forbidden", policy: "no-v2" },
	});
	const { metadata: _, ...silent } = { metadata, unit: null, plan: "callout", requestId: "r2" };
	t.match(await accountOf(rig, { ...silent, codeDetails: "ext_authz_error", status: 503, cluster: "" }), {
		access: { kind: "denied", reason: "unanswered" },
		route: { assignment: null },
	});
	// Envoy assigned and the sidecar judged, by a newer plan.
	const judged = { plan: "callout", service: "shop", verdict: "allow", reason: "open" };
	t.match(await accountOf(rig, { plan: "verdict", metadata: judged }), {
		access: { by: "sidecar", reason: "open" },
		route: { plan: "verdict", assignment: { by: "envoy", plan: "verdict", arm: "control" } },
	});
	t.notMatch(JSON.stringify(await account({})), new RegExp(`${control}\\b`));
	const [proxy, boss] = ["spiffe://a.test/proxy", "spiffe://a.test/boss"];
	const proxied = { principal: proxy, metadata: { ...metadata, via: proxy, principal: boss } };
	t.match(await account(proxied), { principal: boss, via: proxy }, "the client that was judged");
});

/** Its 128 bits are above 2¹²⁷, where a signed column would end. */
const ENDED = "f0000000-0000-4000-8000-000000000001";

t.test("an old request has only an outline, and an unknown one is not found", async (t) => {
	const rig = await rigWith(t);
	await rig.send([
		{ kind: "start", unit: control, requestId: "open", startMs: T0 },
		{ kind: "start", unit: control, requestId: ENDED, startMs: T0 },
		{ kind: "end", unit: control, requestId: ENDED, startMs: T0, status: 404, cluster: "shop/v1" },
	]);
	const open = (await get(rig, "open")).json as OutlineAccount;
	t.match(open, {
		known: "outline",
		ended: false,
		status: null,
		service: "shop",
		experiment: "models",
		arm: "control",
	});
	await rig.restart();
	const ended = (await get(rig, ENDED)).json as OutlineAccount;
	t.match(ended, { known: "outline", ended: true, status: 404, durationMs: 5, variant: "v1", unit: /^[0-9a-f]{32}$/ });
	t.equal(open.unit, ended.unit);
	const { status, json } = await get(rig, "no%20such%20id");
	t.equal(status, 404);
	t.match(json, { error: { code: "not-found", hint: /x-request-id/ } });
	t.equal((await get(rig, "")).status, 400);
	t.equal((await get(rig, "%E0%A4%A")).status, 400);
	t.equal((await get(rig, "x".repeat(300))).status, 400);
	t.equal((await rig.call("POST", `/v1/requests/${ENDED}`, "")).status, 405);
});

t.test("a request that ends during the query is returned complete", async (t) => {
	const plan = new EventEmitter();
	const asked = once(plan, "asked");
	const rig = await startRig({
		plans: async (version) => {
			plan.emit("asked");
			await once(plan, "answered");
			return PLANS[version] ?? null;
		},
	});
	t.teardown(() => rig.close());
	const request = { unit: control, requestId: "ending", startMs: T0, cluster: "shop/v1" } as const;
	await rig.send([{ kind: "start", ...request }]);
	const answer = get(rig, request.requestId);
	await asked;
	await rig.send([{ kind: "end", ...request }]);
	plan.emit("answered");
	t.match((await answer).json, { known: "whole", status: 200 });
});
