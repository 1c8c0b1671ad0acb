/** Tables are compiled lazily: nothing at a swap, and unchanged rules are not read again. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import t from "tap";
import type { AccessRequest, Verdict } from "../../../src/compile/access/rules/policy.js";
import { answer } from "../../../src/publish/sidecar/answer.js";
import { CompiledAccess } from "../../../src/publish/sidecar/compiledAccess.js";
import { type CompiledTable, compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import { Tables } from "../../../src/publish/sidecar/tables.js";
import { arm, experimentTable, serviceTable } from "./calloutTable.js";
import { NOBODY_ASKED, question } from "./question.js";
import { versioned } from "./sampleTable.js";

const halves = [arm("a", "v1", 0, 500_000), arm("b", "v2", 500_000, 1_000_000)];
/** @param salt text that makes versions differ */
const tableOf = (salt: string, services = 50) =>
	versioned({
		gateways: [],
		services: Array.from({ length: services }, (_, index) =>
			serviceTable(`s${index}`, {
				hosts: [`s${index}.test`, `*.s${index}.test`],
				experiments: [experimentTable("e", halves, { salt })],
				access: {
					open: false,
					policies: [
						{
							name: "p",
							action: "allow",
							principals: ["spiffe://a/b"],
							methods: [],
							pathPrefixes: [],
							variants: ["v2"],
							shadow: false,
							more: null,
						},
					],
				},
			}),
		),
	});

const lazyTables = () => new Tables<CompiledTable>({ compile: compileTable });

const ASKED: AccessRequest = {
	principal: "spiffe://a/b",
	method: "GET",
	path: "/",
	variant: null,
	token: null,
	region: null,
	nowMs: 0,
};

t.test("a new table compiles a Service once, at the first request by name or by host", (t) => {
	const tables = lazyTables();
	for (const salt of ["1", "2"]) {
		tables.put(tableOf(salt));
		const newest = tables.get(null);
		t.equal(newest?.compiledServices(), 0);
		t.equal(newest?.service("none"), null);
		t.equal(newest?.byHost("none.test"), null);
		t.equal(newest?.compiledServices(), 0);
		const service = newest?.service("s7");
		t.equal(newest?.service("s7"), service);
		t.equal(newest?.byHost("S7.test:443"), service);
		t.equal(newest?.byHost("deep.s7.test"), service);
		t.equal(newest?.compiledServices(), 1);
	}
	t.end();
});

t.test("rules that are equal in the old and the new table are not read again", async (t) => {
	const rules = new CompiledAccess();
	const authoriseOf = (given: ReturnType<typeof tableOf>) => compileTable(given, rules).service("s1")?.authorise;
	const first = authoriseOf(tableOf("1"));
	t.type(first, "function");
	t.equal(authoriseOf(tableOf("2")), first, "another salt, the same rules");
	const changed = tableOf("3");
	const [service] = changed.table.services.filter(({ name }) => name === "s1");
	const policy = service?.access.policies[0];
	if (policy === undefined) throw new Error("no policy");
	Object.assign(policy, { methods: ["GET"] });
	const second = authoriseOf(changed);
	t.not(second, first, "other rules");
	t.equal(authoriseOf(changed), second);
	compileTable(tableOf("4", 1), rules);
	t.not(authoriseOf(changed), second, "a Service that was gone");
});

t.test("opening or closing a Service changes its rules, although its policies are the same", async (t) => {
	const rules = new CompiledAccess();
	const allowed = (open: boolean) => {
		const service = serviceTable("s", { access: { open, policies: [] } });
		return compileTable(versioned({ gateways: [], services: [service] }), rules)
			.service("s")
			?.authorise(ASKED).allowed;
	};
	t.same([allowed(true), allowed(false), allowed(true)], [true, false, true]);
});

t.test("requests of an Envoy with an old plan cause no reading of rules, old or new", async (t) => {
	const rules = new CompiledAccess();
	const tables = new Tables<CompiledTable>({
		compile: (given) => compileTable(given, rules),
		kept: 5,
	});
	tables.confirm();
	const put = (salt: string, methods: readonly string[]): string => {
		const given = tableOf(salt);
		for (const { access } of given.table.services)
			for (const policy of access.policies) Object.assign(policy, { methods });
		tables.put(given);
		return given.version;
	};
	const lagging = put("1", ["POST"]);
	const ask = () =>
		answer(
			{ tables, freshness: tables, mint: () => "x", ...NOBODY_ASKED },
			question({ plan: lagging, service: "s1", principal: "spiffe://a/b", headers: { "x-user-id": "u1" } }),
		).ruling;
	t.match(ask(), { plan: lagging, verdict: "deny" });
	put("2", ["GET"]);
	const seen = new Set<unknown>();
	for (const salt of ["3", "4", "5"]) {
		seen.add(tables.get(null)?.service("s1")?.authorise);
		t.match(ask(), { plan: lagging });
		put(salt, ["GET"]);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
	t.equal(seen.size, 1);
});

t.test("an old table does not collect the verdicts of newer ones", async (t) => {
	setFlagsFromString("--expose-gc");
	const collect: () => void = runInNewContext("gc");
	const place = compileTable(tableOf("1")).service("s1")?.place("u1");
	const verdictOf = (): WeakRef<Verdict> => {
		const verdict: Verdict = { allowed: true, reason: "allowed", policy: "newer" };
		t.equal(place?.ruling(verdict, true, true), place?.ruling(verdict, true, true), "one object for one verdict");
		return new WeakRef(verdict);
	};
	const held = verdictOf();
	// A WeakRef keeps its target to the end of the turn.
	await new Promise((resolve) => setImmediate(resolve));
	collect();
	t.equal(held.deref(), undefined);
});
