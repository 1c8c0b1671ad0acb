/** Large rules are read in slices before their table is in force; the first request reads the rest. */
import t from "tap";
import type { AccessRequest } from "../../../src/compile/access/rules/policy.js";
import type { ServiceTable } from "../../../src/compile/plan/compiledPlan.js";
import { finish, inSlices } from "../../../src/limits/slices.js";
import { CompiledAccess } from "../../../src/publish/sidecar/compiledAccess.js";
import { serviceTable } from "./calloutTable.js";

const RULES = 500;

/** @param method of the last rule, so that versions differ */
const tableOf = (name: string, method: string, rules = RULES): ServiceTable =>
	serviceTable(name, {
		access: {
			open: false,
			policies: Array.from({ length: rules }, (_, at) => ({
				name: `p${at}`,
				action: "allow" as const,
				principals: [`spiffe://t.test/c${at}`],
				methods: [at === rules - 1 ? method : "GET"],
				pathPrefixes: [],
				variants: [],
				shadow: false,
				more: null,
			})),
		},
	});

const request = (method: string, at: number): AccessRequest => ({
	principal: `spiffe://t.test/c${at}`,
	method,
	path: "/",
	variant: "v1",
	token: null,
	region: null,
	nowMs: 0,
});

/** The number of steps to the end. */
function count(steps: Generator<unknown>): number {
	let done = 0;
	while (!steps.next().done) done++;
	return done;
}

t.test("only large and changed rules are read ahead", async (t) => {
	const rules = new CompiledAccess();
	const large = tableOf("large", "GET");
	const small = tableOf("small", "GET", 5);
	t.ok(count(rules.ahead([large, small])) > 2 * RULES, "little by little");
	rules.keep(new Map([["large", 0]]));
	t.ok(count(rules.ahead([tableOf("large", "GET"), small])) < 10, "nothing has changed");
	t.ok(count(rules.ahead([tableOf("large", "PUT"), small])) > RULES);
});

t.test("the previous rules decide until the new table, with its read rules, is in force", async (t) => {
	const rules = new CompiledAccess();
	const [before, after] = [tableOf("large", "GET"), tableOf("large", "PUT")];
	const old = rules.of("large", before.access);
	finish(rules.ahead([after]));
	t.equal(rules.of("large", before.access), old, "still its own");
	t.ok(old.authorise(request("GET", RULES - 1)).allowed);
	rules.keep(new Map([["large", 0]]));
	const made = rules.of("large", after.access);
	t.ok(made.authorise(request("PUT", RULES - 1)).allowed);
	t.notOk(made.authorise(request("GET", RULES - 1)).allowed);
	t.ok(count(rules.ahead([after])) < 10, "read once");
});

t.test("rules that are not read when their table comes are finished by the first request", async (t) => {
	const rules = new CompiledAccess();
	const table = tableOf("large", "PUT");
	let reads = 0;
	const [{ principals = [] } = {}] = table.access.policies;
	Object.defineProperty(table.access.policies[0], "principals", {
		enumerable: true,
		get: () => {
			reads++;
			return principals;
		},
	});
	const steps = rules.ahead([table]);
	for (let step = 0; step < RULES; step++) steps.next();
	rules.keep(new Map([["large", 0]]));
	const readsAhead = reads;
	t.ok(readsAhead > 0);
	t.ok(rules.of("large", table.access).authorise(request("PUT", RULES - 1)).allowed);
	t.equal(reads, readsAhead, "read rules are not read again");
	t.ok(count(rules.ahead([table])) < 10);
	const gone = tableOf("gone", "GET");
	const left = rules.ahead([gone]);
	for (let step = 0; step < RULES; step++) left.next();
	rules.keep(new Map([["large", 0]]));
	t.equal(count(rules.ahead([gone])), count(new CompiledAccess().ahead([gone])), "and dropped with its Service");
});

t.test("half-read rules of a table are continued by the next one, also if that had no time for them", async (t) => {
	const whole = count(new CompiledAccess().ahead([tableOf("large", "PUT")]));
	const rules = new CompiledAccess();
	const begun = rules.ahead([tableOf("large", "PUT")]);
	for (let step = 0; step < RULES; step++) begun.next();
	rules.ahead([tableOf("first", "GET"), tableOf("large", "PUT")]).next();
	t.ok(count(rules.ahead([tableOf("large", "PUT")])) < whole - RULES / 2);
	finish(rules.ahead([tableOf("large", "PUT")]));
	rules.keep(new Map([["large", 0]]));
	const other = rules.ahead([tableOf("large", "GET")]);
	for (let step = 0; step < RULES; step++) other.next();
	t.ok(count(rules.ahead([tableOf("large", "PUT")])) < 10, "unless the rules are the previous ones again");
	rules.keep(new Map([["large", 0]]));
	t.ok(count(rules.ahead([tableOf("large", "GET")])) > whole - 10, "half-read rules of other tables are dropped");
});

t.test("unreadable rules do not block the reading of others, and fail when they are used", async (t) => {
	const rules = new CompiledAccess();
	const [bad, good] = [tableOf("bad", "GET"), tableOf("good", "GET")];
	Object.assign(bad.access.policies[3] ?? {}, { principals: null });
	finish(rules.ahead([bad, good]));
	rules.keep(
		new Map([
			["bad", 0],
			["good", 0],
		]),
	);
	const cause = { message: /null/ };
	for (const again of [1, 2, 3]) t.throws(() => rules.of("bad", bad.access), cause, `asked ${again}`);
	t.ok(count(rules.ahead([good])) < 10);
	const half = tableOf("half", "GET");
	Object.assign(half.access.policies.at(-1) ?? {}, { principals: null });
	const begun = rules.ahead([half]);
	for (let step = 0; step < RULES / 2; step++) begun.next();
	rules.keep(new Map([["half", 0]]));
	for (const again of [1, 2]) t.throws(() => rules.of("half", half.access), cause, `half made, asked ${again}`);
});

t.test("slices let other work run on the event loop, and end in time", async (t) => {
	let steps = 0;
	function* work(most: number): Generator<undefined, void, undefined> {
		for (; steps < most; steps++) {
			const untilMs = performance.now() + 1;
			while (performance.now() < untilMs);
			yield;
		}
	}
	let turns = 0;
	let running = true;
	const turn = (): void => {
		turns++;
		if (running) setImmediate(turn);
	};
	turn();
	await inSlices(work(60), performance.now() + 60_000);
	t.equal(steps, 60);
	t.ok(turns >= 10, `${turns} turns`);
	const fromMs = performance.now();
	await inSlices(work(1_000_000), fromMs + 50);
	t.ok(performance.now() - fromMs < 5_000);
	running = false;
});
