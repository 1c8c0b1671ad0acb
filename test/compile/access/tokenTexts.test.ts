/** A token's long lists are read once per request, however many rules use them. */
import t from "tap";
import { NO_MORE } from "../../../src/compile/access/rules/accessTable.js";
import { Rule } from "../../../src/compile/access/rules/rule.js";
import { RuleIndex } from "../../../src/compile/access/rules/ruleIndex.js";
import type { VerifiedToken } from "../../../src/compile/access/users/token.js";
import { hasOne, TokenTexts } from "../../../src/compile/access/users/tokenTexts.js";
import type { MoreConditions } from "../../../src/compile/plan/compiledPlan.js";

const texts = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, at) => `${prefix}${at}`);
const tokenOf = (of: Partial<VerifiedToken>): VerifiedToken => ({
	issuer: "https://i.test",
	subject: "u",
	claims: {},
	groups: [],
	tenants: [],
	purposes: [],
	...of,
});

const rulesOf = (count: number, more: (at: number) => Partial<MoreConditions>): Rule[] =>
	Array.from({ length: count }, (_, at) => {
		const rest = {
			action: "deny",
			principals: [],
			methods: [],
			pathPrefixes: [],
			variants: [],
			shadow: false,
		} as const;
		return new Rule({ ...rest, name: `p${at}`, more: { ...NO_MORE, ...more(at) } }, at, "s");
	});

const ask = (index: RuleIndex, token: VerifiedToken): Rule | null =>
	index.first({ principal: null, method: "GET", path: "/v", variant: null, token, region: null, nowMs: 0 });

t.test("short and long lists with repeated values match as expected", async (t) => {
	for (const count of [0, 1, 8, 9, 500]) {
		const groups = texts("g", count);
		const of = new TokenTexts(tokenOf({ groups: [...groups, ...groups], claims: { scope: groups.join("  ") } }));
		for (const given of [of.groups, of.claim("scope", ["scope"])]) {
			t.same([...new Set(given.list)], groups);
			for (const wanted of [[], ["x"], texts("x", 700)]) t.notOk(hasOne(new Set(wanted), given));
			for (const wanted of [["g0"], ["x", "g0"], [...texts("x", 700), "g0"]]) {
				t.equal(hasOne(new Set(wanted), given), count > 0);
			}
		}
	}
});

t.test("a claim is split once per request, however many rules read it", async (t) => {
	let reads = 0;
	const scope = texts("q", 600).join(" ");
	const token = () =>
		tokenOf({
			claims: {
				get scope() {
					reads++;
					return scope;
				},
			},
		});
	const index = new RuleIndex(
		rulesOf(1_000, () => ({
			claims: [
				{ claim: "scope", values: ["q7"] },
				{ claim: "tier", values: ["gold"] },
			],
		})),
	);
	for (let times = 1; times <= 3; times++) {
		t.equal(ask(index, token()), null);
		for (const rule of rulesOf(20, () => ({ claims: [{ claim: "scope", values: ["x"] }] })))
			ask(new RuleIndex([rule]), token());
		t.equal(reads, 21 * times);
	}
	t.equal(ask(new RuleIndex(rulesOf(1, () => ({ claims: [{ claim: "scope", values: ["q7"] }] }))), token())?.order, 0);
});

t.test("rules with few values search long lists in one pass", async (t) => {
	const [groups, words] = [texts("g", 1_000), texts("w", 1_000)];
	for (const [what, rules] of [
		["alike", rulesOf(1_000, () => ({ groups: ["staff"], claims: [{ claim: "tier", values: ["gold"] }] }))],
		[
			"found by one list, distinguished by the other",
			rulesOf(8_000, (at) => ({
				groups: [`g${at % 1_000}`],
				claims: [{ claim: "scope", values: [`s${at % 7}`, `x${at}`] }],
			})),
		],
	] as const) {
		const index = new RuleIndex(rules);
		const given = () => tokenOf({ groups, claims: { tier: "gold", scope: words.join(" ") } });
		for (let times = 0; times < 10; times++) ask(index, given());
		const before = process.cpuUsage();
		const found = Array.from({ length: 20 }, () => ask(index, given()));
		const { user, system } = process.cpuUsage(before);
		t.same(new Set(found), new Set([null]));
		// Some 10 and 40 ms; with a look at the whole list for each of them 400 ms or more.
		t.ok(user + system < 250_000, `${what}: ${user + system} µs`);
	}
});
