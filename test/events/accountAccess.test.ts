/** Of what ingest tells about one request: what was decided about its access, by whom, and what of it cannot be told. */
import t from "tap";
import type { DecisionsAnswer } from "../../src/events/decisions/decisionQuery.js";
import { accountOf, alice, boosted, rigWith } from "./accountRig.js";
import { type Entry, JUDGED } from "./rig.js";

t.test("a verdict is computed again and held against what Envoy did", async (t) => {
	const rig = await rigWith(t);
	const access = async (over: Partial<Entry>) => (await accountOf(rig, { plan: "guarded", ...over })).route?.access;
	const denied = { codeDetails: "rbac_access_denied_matched_policy[none]", status: 403, cluster: "" };
	t.match(await access({ ...denied }), { verdict: "deny", reason: "no-policy-allows", denied: true, agrees: true });
	t.match(await access({}), { verdict: "deny", denied: false, agrees: false }, "passed although it is denied");
	t.match(await access({ ...denied, principal: alice }), { verdict: "allow", denied: true, agrees: false });
	t.match(
		await access({ ...denied, principal: alice, unit: boosted }),
		{ verdict: "deny", reason: "forbidden", policy: "no-v2", agrees: true },
		"the Variant is the assigned one where none was chosen",
	);
	for (const name of ["(no single identity)", "(no_single_identity)"]) {
		const nobody = { ...denied, codeDetails: `rbac_access_denied_matched_policy[${name}]` };
		t.match(
			await access({ ...nobody, principal: alice }),
			{ by: "envoy", verdict: "deny", reason: "no-single-identity", policy: null, denied: true, agrees: true },
			"a certificate that is no SVID",
		);
		t.match(await access({ ...nobody, cluster: "shop/v1" }), { agrees: false }, "it went to a Variant");
	}
	t.match(await access({ status: 0, cluster: "", flag: 15 }), { verdict: "deny", agrees: null }, "the client left");
});

t.test("what Envoy refuses before any policy or sidecar is told as it says it, whoever judges", async (t) => {
	const rig = await rigWith(t);
	const rule = (name: string): string => `rbac_access_denied_matched_policy[${name}]`;
	for (const plan of ["guarded", "verdict"]) {
		for (const [codeDetails, reason] of [
			[rule("(not_canonical)"), "not-canonical"],
			[rule("(not_canonical,_path_length)"), "not-canonical"],
			[rule("(no_single_identity)_too_long"), "no-single-identity"],
			[rule("(loop)"), "loop-detected"],
			[rule("(probe)"), "forbidden"],
			["local_rate_limited", "rate-limited"],
			["upgrade_failed", "upgrade-refused"],
		] as const) {
			const entry = { plan, codeDetails, status: 403, cluster: "", principal: alice } as const;
			t.match(
				(await accountOf(rig, entry)).route?.access,
				{ by: "envoy", verdict: "deny", reason, policy: null, denied: true, agrees: true },
				`${plan}: ${codeDetails}`,
			);
		}
	}
});

t.test(
	"where rules look at methods, a request whose method Envoy does not name is told as Envoy tells it",
	async (t) => {
		const rig = await rigWith(t);
		const purge = async (over: Partial<Entry>) =>
			(await accountOf(rig, { plan: "guarded", method: "PURGE", principal: alice, ...over })).route?.access;
		t.match(await purge({}), { by: "envoy", verdict: "allow", reason: "allowed", policy: null, agrees: null });
		t.match(await purge({ codeDetails: "rbac_access_denied_matched_policy[no-purge]", status: 403, cluster: "" }), {
			...{ verdict: "deny", reason: "forbidden", policy: "no-purge", denied: true, agrees: true },
		});
		t.match(await purge({ status: 0, cluster: "", flag: 15, codeDetails: "downstream_remote_disconnect" }), {
			...{ verdict: "none", reason: "client-left", denied: false, agrees: null },
		});
		t.match(
			await purge({ plan: "anyMethod" }),
			{ verdict: "deny", reason: "no-policy-allows", denied: false, agrees: false },
			"rules that do not look at it are tried",
		);
	},
);

t.test("whose client left before a verdict took effect has none, whoever was to judge", async (t) => {
	const rig = await rigWith(t);
	const left = { status: 0, cluster: "", flag: 15, codeDetails: "downstream_remote_disconnect" } as const;
	for (const plan of ["guarded", "assigned", "verdict"]) {
		t.match(
			(await accountOf(rig, { ...left, plan, principal: alice })).route?.access,
			{ verdict: "none", reason: "client-left", policy: null, denied: false, agrees: null },
			plan,
		);
	}
});

t.test("what has no route of ours is told by the word of the decision log", async (t) => {
	const rig = await rigWith(t);
	const told = async (codeDetails: string, more: Partial<Entry> = {}) => {
		const { route, ...account } = await accountOf(rig, { routeName: "", codeDetails, cluster: "", ...more });
		t.equal(route, null);
		return account;
	};
	t.match(await told("direct_response"), {
		unrouted: { kind: "denied", reason: "configuration-refused", by: "envoy" },
	});
	t.match(await told("rbac_access_denied_matched_policy[none]", JUDGED), { unrouted: { reason: "unknown-service" } });
	t.match(await accountOf(rig, {}), { unrouted: null });
});

t.test("a request that Envoy refused first has no assignment, and says so", async (t) => {
	const rig = await rigWith(t);
	const refused = { status: 403, cluster: "", unit: null, principal: alice } as const;
	const gate = "rbac_access_denied_matched_policy[(not_canonical)]";
	const first = { assignment: null, unassigned: "refused-first" };
	for (const plan of ["callout", "assigned"]) {
		const route = async (codeDetails: string) => (await accountOf(rig, { ...refused, plan, codeDetails })).route;
		for (const codeDetails of [gate, "upgrade_failed", "local_rate_limited"]) {
			t.match(await route(codeDetails), first, `${plan}: ${codeDetails}`);
		}
		t.match(await route("ext_authz_error"), { assignment: null, unassigned: "unanswered" });
		t.match(await route("rbac_access_denied_matched_policy[(unanswered)]"), { unassigned: "unanswered" });
	}
	const denied = { ...refused, plan: "assigned", codeDetails: "rbac_access_denied_matched_policy[no-v2]" };
	t.match((await accountOf(rig, denied)).route, first, "by a policy that is Envoy's to ask");
	const claim = async (codeDetails: string, said?: Record<string, string>) =>
		(
			await accountOf(rig, {
				...{ ...refused, plan: "claim", routeName: "weir|claim|shop|-", codeDetails },
				...(said === undefined ? {} : { namespace: "envoy.filters.http.rbac", said }),
			})
		).route;
	for (const codeDetails of [gate, "upgrade_failed", "local_rate_limited"]) t.match(await claim(codeDetails), first);
	// Of one who shows no token, too, but after the rules about tokens.
	t.match(await claim("local_rate_limited", { weir_claims_shadow_engine_result: "allowed" }), {
		...{ assignment: { whyNone: "no token was verified" }, unassigned: null },
	});
	t.match(await claim("via_upstream"), { assignment: { whyNone: "no token was verified" } });
	t.match(await claim("rbac_access_denied_matched_policy[none]"), { assignment: { whyNone: "no token was verified" } });
});

t.test("whose rules judged is told alike by the account and the decision log", async (t) => {
	const rig = await rigWith(t, { allowedDecisionsPpm: 1_000_000 });
	const both = async (plan: string, said: Record<string, string>, over: Partial<Entry> = {}) => {
		const requestId = `r-${plan}-${said.reason}-${said.policy}`;
		const told = { plan, service: "shop", verdict: "allow", ...said };
		const request = { ...{ plan, requestId, said: told, principal: alice, codeDetails: "via_upstream" }, ...over };
		const { route } = await accountOf(rig, { ...request, unit: null });
		const { json } = await rig.call("GET", `/v1/requests?requestId=${requestId}`, "");
		const [record] = (json as DecisionsAnswer).decisions;
		t.match(record, { by: route?.access?.by, reason: route?.access?.reason }, requestId);
		return [record?.by, record?.reason, record?.policy, route?.access?.agrees];
	};
	t.same(await both("assigned", { reason: "allowed" }), ["envoy", "allowed", null, true]);
	t.same(await both("assignedOpen", { reason: "open" }), ["envoy", "open", null, true]);
	t.same(await both("verdict", { reason: "allowed", policy: "readers" }), ["sidecar", "allowed", "readers", true]);
	// It knew newer rules than the route's.
	t.same(await both("assigned", { reason: "allowed", policy: "newer" }), ["sidecar", "allowed", "newer", true]);
	const refused = { codeDetails: "ext_authz_denied", status: 403, cluster: "" };
	t.same(await both("assigned", { verdict: "deny", reason: "forbidden", policy: "newer" }, refused), [
		...["sidecar", "forbidden", "newer", true],
	]);
});
