/** The sidecar's decision as a pure function: units, places, access, staleness. */
import t from "tap";
import { compileAssignment } from "../../../src/compile/assignment/assign.js";
import { weightedEntries } from "../../../src/compile/envoy/weights.js";
import type { ExperimentTable, PlanTable } from "../../../src/compile/plan/compiledPlan.js";
import { answer, type Knowledge } from "../../../src/publish/sidecar/answer.js";
import { type CompiledTable, compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import { cookieValue, mintUnit, setCookie } from "../../../src/publish/sidecar/cookie.js";
import type { Answer } from "../../../src/publish/sidecar/question.js";
import { arm, calloutTable, experimentTable, serviceTable } from "./calloutTable.js";
import { NOBODY_ASKED, type QuestionFields, question } from "./question.js";

const MINTED = "minted-unit";
const ALICE = "spiffe://weir.test/alice";

const compiled = (services: PlanTable["services"], version = "plan-1"): CompiledTable =>
	compileTable({ version, table: { gateways: [], services } });

function knowing(table: CompiledTable | null, ageMs = 0): Knowledge {
	const get = (version: string | null) => (version === null || version === table?.version ? table : null);
	return { tables: { get }, freshness: { ageMs: () => ageMs }, mint: () => MINTED, ...NOBODY_ASKED };
}

const ask = (table: CompiledTable | null, fields: QuestionFields = {}, ageMs = 0): Answer =>
	answer(knowing(table, ageMs), question(fields));

const halves = (fields: Partial<ExperimentTable> = {}): ExperimentTable =>
	experimentTable(
		"ranking",
		[
			arm("control", "v1", 0, 500_000, { livePoints: 200_000 }),
			arm("treatment", "v2", 500_000, 1_000_000, {
				livePoints: 200_000,
				parameters: { "x-weir-param-temperature": "0.2" },
			}),
		],
		fields,
	);

/** A unit at the wanted place. */
function unitWhere(
	table: ExperimentTable,
	where: (place: { region: string | null; live: boolean }) => boolean,
): string {
	const assignment = compileAssignment(table);
	for (let index = 0; index < 100_000; index++) {
		const location = assignment.locate(`u${index}`);
		if (location !== null && where(location)) return `u${index}`;
	}
	throw new Error("no such unit");
}

t.test("a unit gets its arm, the Variant, parameters and headers", async (t) => {
	const experiment = halves();
	const table = compiled([serviceTable("shop", { experiments: [experiment] })]);
	const treated = unitWhere(experiment, ({ region, live }) => region === "treatment" && live);
	const { ruling, unit, setCookie: cookie } = ask(table, { headers: { "x-user-id": treated } });
	t.equal(unit, treated);
	t.equal(cookie, null);
	t.match(ruling, {
		verdict: "allow",
		reason: "open",
		policy: null,
		plan: "plan-1",
		service: "shop",
		experiment: "ranking",
		arm: "treatment",
		variant: "v2",
		variantHeader: "v2",
		armHeader: "ranking/treatment",
		exposedArms: ["ranking/treatment"],
		parameters: { "x-weir-param-temperature": "0.2" },
	});
	const control = unitWhere(experiment, ({ region, live }) => region === "control" && live);
	t.match(ask(table, { headers: { "x-user-id": control } }).ruling, {
		arm: "control",
		variant: "v1",
		variantHeader: null,
		armHeader: "ranking/control",
		parameters: {},
	});
	const rest = unitWhere(experiment, ({ region, live }) => region === "treatment" && !live);
	const { ruling: resting } = ask(table, { headers: { "x-user-id": rest } });
	t.match(resting, { experiment: "ranking", arm: null, variant: "v1", variantHeader: null, armHeader: "ranking/-" });
	t.same(resting.exposedArms, ["ranking/-"]);
	t.same(resting.parameters, {}, "the rest has no parameters");
	t.equal(ask(table, { headers: { "x-user-id": rest } }).ruling, resting, "equal rulings are one object");
	t.equal(ask(table, { headers: { "x-user-id": treated }, exposeArm: false }).ruling.exposedArms, null);
});

t.test("a request without a unit, or outside all slots, gets the default Variant", async (t) => {
	const first = halves({ slotHiPpm: 300_000 });
	const second = { ...halves({ slotLoPpm: 300_000, slotHiPpm: 600_000 }), name: "second", salt: "second" };
	const table = compiled([serviceTable("shop", { experiments: [first, second] })]);
	const none = ask(table);
	t.equal(none.unit, null);
	t.match(none.ruling, { experiment: null, arm: null, variant: "v1", armHeader: null, variantHeader: null });
	t.same(none.ruling.exposedArms, [], "an upstream's own must not pass");
	const seen = new Set<string>();
	for (let index = 0; index < 2_000; index++) {
		const { ruling } = ask(table, { headers: { "x-user-id": `u${index}` } });
		const arms = ruling.exposedArms ?? [];
		seen.add(arms.join(" "));
		const at = [first, second].find((one) => compileAssignment(one).locate(`u${index}`)?.inSlot);
		t.equal(ruling.experiment, at?.name ?? null);
		t.equal(ruling.armHeader, at === undefined ? null : arms[0], "only inside a slot");
	}
	t.same([...seen].sort(), [
		"ranking/- second/-",
		"ranking/control second/-",
		"ranking/treatment second/-",
		"second/- ranking/-",
		"second/control ranking/-",
		"second/treatment ranking/-",
	]);
	t.equal(ask(compiled([serviceTable("shop")])).ruling.exposedArms, null, "without experiments nothing is shown");
});

t.test("during a promotion every point gets the Variant of the native entries", async (t) => {
	for (const ppm of [0, 1, 250_000, 1_000_000]) {
		const three = experimentTable(
			"ranking",
			[
				arm("control", "v1", 0, 400_000, { livePoints: 100_001 }),
				arm("a", "v2", 400_000, 700_000, { livePoints: 75_000, parameters: { "x-weir-param-k": "a" } }),
				arm("b", "v3", 700_000, 1_000_000, { livePoints: 75_000, parameters: { "x-weir-param-k": "b" } }),
			],
			{ takeover: { arm: "a", variant: "v2", ppm }, exposing: false },
		);
		const table = compiled([serviceTable("shop", { experiments: [three] })]);
		const entries = weightedEntries(three, "v1");
		const assignment = compileAssignment(three);
		let mismatches = 0;
		const arms = new Set<string | null>();
		for (let index = 0; index < 3_000; index++) {
			const unit = `person-${index}`;
			const point = assignment.locate(unit)?.point ?? 0;
			let start = 0;
			const entry = entries.find(({ points }) => {
				start += points;
				return point < start;
			});
			const { ruling } = ask(table, { headers: { "x-user-id": unit } });
			arms.add(ruling.arm);
			const parameters = ruling.parameters["x-weir-param-k"] ?? null;
			if (
				ruling.arm !== entry?.arm ||
				ruling.variant !== entry.variant ||
				ruling.armHeader !== `ranking/${entry.arm ?? "-"}` ||
				parameters !== (entry.arm === "a" || entry.arm === "b" ? entry.arm : null)
			) {
				mismatches++;
			}
		}
		t.equal(mismatches, 0, `at ${ppm}`);
		if (ppm === 1_000_000) t.same([...arms], ["a"]);
	}
});

t.test("repeated unit headers are joined, and trimmed only as Envoy trims them", async (t) => {
	const header = compiled([serviceTable("shop", { experiments: [halves()] })]);
	const unit = (value: string | readonly string[]) => ask(header, { headers: { "x-user-id": value } }).unit;
	t.equal(unit("u1"), "u1");
	for (const bad of ["", " ", " u1", "u1\t", "a b", "a,b", "é", "a\u0000"])
		t.equal(unit(bad), null, JSON.stringify(bad));
	t.equal(unit(["u1", "u1"]), null, "repeated");
	const claims = compiled([
		serviceTable("shop", {
			experiments: [halves({ unit: { from: "claim", header: "x-weir-claim-sub", claim: "sub" } })],
		}),
	]);
	const claim = (value: string) => ask(claims, { headers: { "x-weir-claim-sub": value, "x-user-id": "other" } }).unit;
	t.equal(claim("u1"), "u1");
	t.equal(claim(" u1"), null);
});

t.test("units in cookies are found, or minted once and set", async (t) => {
	const cookies = (maxAgeMs = 86_400_999) =>
		compiled([serviceTable("shop", { experiments: [halves({ unit: { from: "cookie", cookie: "wid", maxAgeMs } })] })]);
	const table = cookies();
	const of = (cookie: readonly string[], fields: QuestionFields = {}) => ask(table, { ...fields, headers: { cookie } });
	for (const sent of [
		["wid=u1"],
		["a=b; wid=u1; c=d"],
		["a=b;wid=u1"],
		["a=b", "\t wid=u1 \t; x"],
		["wid2=x; wid=u1"],
	]) {
		t.match(of(sent), { unit: "u1", setCookie: null }, JSON.stringify(sent));
	}
	t.equal(of(['wid="u1"']).unit, '"u1"', "nothing is unquoted");
	for (const sent of [
		[],
		[""],
		["wid"],
		["wid="],
		["wid=a b"],
		["wid=a,b"],
		["WID=u1"],
		["xwid=u1"],
		["wid = u1"],
		["wid=é"],
	]) {
		const minted = of(sent);
		t.equal(minted.unit, MINTED, JSON.stringify(sent));
		t.equal(minted.setCookie, `wid=${MINTED}; Max-Age=86400; Path=/; HttpOnly; SameSite=Lax`);
		const assigned = compileAssignment(halves()).locate(MINTED);
		t.equal(minted.ruling.arm, assigned?.live ? assigned.region : null, "assigned in the same answer");
	}
	for (const sent of [["wid=u1; wid=u2"], ["wid=u1", "wid=u1"], ["wid=; wid=u1"]]) {
		t.match(of(sent), { unit: null, setCookie: null }, `${JSON.stringify(sent)} gives no unit`);
	}
	t.match(of([], { secure: true }).setCookie, /; SameSite=Lax; Secure$/);
	t.equal(ask(compiled([serviceTable("shop")])).setCookie, null, "without experiments nothing is minted");
	t.equal(cookieValue(["a=1;b=2;;"], "b"), "2");
	t.equal(setCookie("n", "v", 1_999, false), "n=v; Max-Age=1; Path=/; HttpOnly; SameSite=Lax");
	const minted = new Set(Array.from({ length: 1_000 }, mintUnit));
	t.equal(minted.size, 1_000);
	for (const unit of minted) if (!/^[\w-]{22}$/.test(unit)) t.fail(`${unit} is no minted unit`);
});

/** @param variants that the policy allows; by default one arm's, so that eligibility matters */
const guarded = (fields: Parameters<typeof serviceTable>[1] = {}, variants: readonly string[] = ["v1"]) =>
	serviceTable("shop", {
		access: {
			open: false,
			policies: [
				{
					name: "v1",
					action: "allow",
					principals: [ALICE],
					methods: ["GET"],
					pathPrefixes: ["/v2"],
					variants,
					shadow: false,
					more: null,
				},
			],
		},
		experiments: [halves()],
		...fields,
	});

t.test("the Variant is authorised after it was chosen, and denied requests still report their arm", async (t) => {
	const table = compiled([guarded({}, ["v1", "v2"])]);
	const [control, treated] = ["control", "treatment"].map((name) =>
		unitWhere(halves(), ({ region, live }) => region === name && live),
	);
	const by = (unit: string | undefined, fields: QuestionFields = {}) =>
		ask(table, { principal: ALICE, path: "/v2/x?y=/admin", headers: { "x-user-id": unit ?? "" }, ...fields });
	t.match(by(control).ruling, {
		verdict: "allow",
		reason: "allowed",
		policy: "v1",
		arm: "control",
		variantHeader: "v1",
	});
	const denied = by(treated, { method: "POST" });
	t.match(denied.ruling, { verdict: "deny", reason: "no-policy-allows", arm: "treatment", variant: "v2" });
	t.equal(denied.unit, treated, "it counts");
	t.same(denied.ruling.exposedArms, ["ranking/treatment"], "shown as Envoy shows it with its own denials");
	t.equal(by(control, { method: "POST" }).ruling.verdict, "deny");
	t.equal(by(control, { path: "/admin?x=/v2" }).ruling.verdict, "deny", "the query is no path");
	t.equal(by(control, { path: "/admin#/v2" }).ruling.verdict, "deny");
	t.equal(by(control, { path: "/v2/../admin" }).ruling.reason, "not-canonical");
	t.equal(by(control, { principal: null }).ruling.verdict, "deny");
	t.equal(by(control, { principal: `${ALICE}\u0000` }).ruling.verdict, "deny");
});

t.test("an arm assigned by Envoy is used, and Envoy sets its own headers", async (t) => {
	const table = compiled([guarded()]);
	const assigned = (variant: string, experiment: string | null, armName: string | null) =>
		ask(table, {
			principal: ALICE,
			path: "/v2",
			headers: { "x-user-id": "u1", cookie: "x" },
			assigned: { experiment, arm: armName, variant },
		});
	const allowed = assigned("v1", "ranking", "control");
	t.match(allowed, { unit: null, setCookie: null });
	t.match(allowed.ruling, {
		verdict: "allow",
		experiment: "ranking",
		arm: "control",
		variant: "v1",
		variantHeader: null,
		armHeader: null,
		exposedArms: null,
	});
	t.equal(assigned("v1", "ranking", "control").ruling, allowed.ruling);
	t.match(assigned("v2", "ranking", "treatment").ruling, { verdict: "deny", variant: "v2" });
	t.match(assigned("v1", null, null).ruling, { verdict: "allow", experiment: null, arm: null });
});

t.test("the sidecar does not authorise if Envoy does", async (t) => {
	const assignOnly = compiled([guarded({ callout: calloutTable({ verdict: false }) })]);
	t.match(ask(assignOnly).ruling, { verdict: "allow", reason: "allowed", policy: null });
	const open = compiled([serviceTable("shop", { callout: calloutTable({ verdict: false }) })]);
	t.match(ask(open).ruling, { verdict: "allow", reason: "open" });
	const native = compiled([guarded({ callout: null })]);
	t.match(ask(native).ruling, { verdict: "deny" }, "an Envoy that is not ours gets the rules of a native Service too");
});

t.test("Services are found by name, else by host as Envoy finds them", async (t) => {
	const table = compiled([
		serviceTable("exact", { hosts: ["api.example.com"] }),
		serviceTable("wide", { hosts: ["*.example.com"] }),
		serviceTable("narrow", { hosts: ["*.eu.example.com"] }),
		serviceTable("v6", { hosts: ["[::1]"] }),
	]);
	for (const [host, want] of [
		["api.example.com", "exact"],
		["API.Example.COM:8443", "exact"],
		["x.example.com", "wide"],
		["a.b.example.com:80", "wide"],
		["x.eu.example.com", "narrow"],
		["eu.example.com", "wide"],
		["example.com", null],
		[".example.com", null],
		["api.example.com.", null],
		["[::1]:80", "v6"],
		["[::1]", "v6"],
		["other", null],
		["", null],
	] as const) {
		const { ruling } = ask(table, { service: null, host });
		t.equal(ruling.service, want, host);
		t.match(
			ruling,
			want === null ? { verdict: "deny", reason: "unknown-service", plan: "plan-1" } : { verdict: "allow" },
		);
	}
	t.match(ask(table, { service: "gone", host: "api.example.com" }).ruling, {
		verdict: "deny",
		reason: "unknown-service",
	});
});

t.test("the default Variant is named if the route may have another one", async (t) => {
	const table = compiled([serviceTable("shop")]);
	t.match(ask(table).ruling, { variant: "v1", variantHeader: null }, "routes of this plan");
	t.match(ask(table, { plan: "older" }).ruling, { variant: "v1", variantHeader: "v1" }, "of another plan");
	t.match(ask(table, { plan: null }).ruling, { variant: "v1", variantHeader: "v1" }, "of an Envoy that is not ours");
	const assigned = { experiment: null, arm: null, variant: "v1" };
	t.match(ask(table, { plan: null, assigned }).ruling, { variant: "v1", variantHeader: null }, "Envoy has chosen");
});

t.test("Envoy's verdict counts only if its routes are of the same plan as the sidecar's table", async (t) => {
	const access = {
		open: false,
		policies: [
			{
				name: "p",
				action: "allow" as const,
				principals: [ALICE],
				methods: [],
				pathPrefixes: [],
				variants: [],
				shadow: false,
				more: null,
			},
		],
	};
	const table = compiled([serviceTable("shop", { access, callout: calloutTable({ verdict: false }) })]);
	const by = (plan: string | null, principal: string | null) => ask(table, { plan, principal }).ruling;
	t.match(
		by("plan-1", null),
		{ verdict: "allow", reason: "allowed", policy: null },
		"its own routes: Envoy's RBAC judged",
	);
	for (const plan of ["another", null]) {
		t.match(by(plan, null), { verdict: "deny", reason: "no-policy-allows" }, `routes of plan ${plan}`);
		t.match(by(plan, ALICE), { verdict: "allow", policy: "p" });
	}
	const unsure = ask(table, { plan: "another", principal: ALICE }, 60_001).ruling;
	t.match(unsure, { verdict: "none", reason: "stale-table" }, "and never by a stale table");
});

t.test("a request that Envoy authorised by older rules is authorised again by the newest", async (t) => {
	const rules = (principal: string) => ({
		open: false,
		policies: [
			{
				name: "p",
				action: "allow" as const,
				principals: [principal],
				methods: [],
				pathPrefixes: [],
				variants: [],
				shadow: false,
				more: null,
			},
		],
	});
	const callout = calloutTable({ verdict: false });
	const old = compiled([serviceTable("shop", { access: rules(ALICE), callout })], "old");
	const revoked = compiled([serviceTable("shop", { access: rules("spiffe://weir.test/bob"), callout })], "new");
	const knowledge = {
		tables: { get: (version: string | null) => (version === "old" ? old : version === null ? revoked : null) },
		freshness: { ageMs: () => 0 },
		mint: () => "minted",
		...NOBODY_ASKED,
	};
	const asked = question({ plan: "old", service: "shop", principal: ALICE });
	t.match(answer(knowledge, asked).ruling, { verdict: "deny", reason: "no-policy-allows" });
});

t.test("the newest rules decide access, whatever plan the route names", async (t) => {
	const rules = (principals: readonly string[]) => ({
		open: false,
		policies: [
			{
				name: "p",
				action: "allow" as const,
				principals,
				methods: [],
				pathPrefixes: [],
				variants: [],
				shadow: false,
				more: null,
			},
		],
	});
	const alice = "spiffe://weir.test/alice";
	const old = compiled([serviceTable("shop", { access: rules([alice]) })], "old");
	const revoked = compiled([serviceTable("shop", { access: rules(["spiffe://weir.test/bob"]) })], "new");
	const gone = compiled([], "gone");
	const asked = (newest: CompiledTable) =>
		answer(
			{
				tables: { get: (version) => (version === "old" ? old : version === null ? newest : null) },
				freshness: { ageMs: () => 0 },
				mint: () => "minted",
				...NOBODY_ASKED,
			},
			question({ plan: "old", service: "shop", principal: alice }),
		).ruling;
	t.match(asked(old), { verdict: "allow", plan: "old" });
	t.match(
		asked(revoked),
		{ verdict: "deny", reason: "no-policy-allows", plan: "old" },
		"the assignment is the named plan's",
	);
	t.match(asked(gone), { verdict: "deny", reason: "no-policy-allows" });
});

t.test("the requested plan answers while it is kept, else the newest, else none", async (t) => {
	const tables = new Map([
		["old", compiled([serviceTable("shop", { defaultVariant: "v0" })], "old")],
		["new", compiled([serviceTable("shop", { defaultVariant: "v9" })], "new")],
	]);
	const knowledge: Knowledge = {
		...knowing(null),
		tables: { get: (version) => tables.get(version ?? "new") ?? null },
	};
	for (const [plan, want] of [
		["old", "v0"],
		["new", "v9"],
		[null, "v9"],
		["forgotten", "v9"],
	] as const) {
		t.match(answer(knowledge, question({ plan })).ruling, { variant: want, plan: want === "v0" ? "old" : "new" });
	}
	t.match(ask(null), { ruling: { verdict: "none", reason: "no-table", plan: null, service: null }, unit: null });
});

t.test("a stale table gives no verdict; it assigns only if the Service allows it", async (t) => {
	const at = (callout: ReturnType<typeof calloutTable> | null, ageMs: number) =>
		ask(
			compiled([serviceTable("shop", { callout, experiments: [halves()] })]),
			{ headers: { "x-user-id": "u" } },
			ageMs,
		);
	const stale = { verdict: "none", reason: "stale-table", plan: "plan-1", service: "shop" };
	t.match(at(calloutTable(), 60_000).ruling, { verdict: "allow" }, "as old as allowed");
	t.match(at(calloutTable({ onStale: "assign" }), 60_001).ruling, stale, "a verdict never");
	t.match(at(calloutTable({ verdict: false, onStale: "deny" }), 60_001).ruling, stale);
	t.match(at(calloutTable({ verdict: false, onStale: "assign" }), 60_001), { ruling: { verdict: "allow" }, unit: "u" });
	t.match(at(null, 600_000).ruling, { verdict: "allow" });
	t.match(at(null, 600_001).ruling, stale, "a Service without callout has the default bound");
});
