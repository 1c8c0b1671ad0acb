/**
 * CPU of a verdict in process with 10, 1,000 and 10,000 rules of one Service, a mix of callers, users, groups, tenants, claims,
 * paths, denials and conditions. Rounds alternate; figures are medians.
 * Run: `node dist/test/bench/verdict.js`; the last line is `RESULT {"usAt1000":…,"costRatio10000to10":…}`.
 */

import { NO_MORE } from "../../src/compile/access/rules/accessTable.js";
import { type AccessRequest, compileAccess } from "../../src/compile/access/rules/policy.js";
import type { VerifiedToken } from "../../src/compile/access/users/token.js";
import type { AccessTable, MoreConditions, PolicyTable } from "../../src/compile/plan/compiledPlan.js";
import { median } from "./native/median.js";

const ROUNDS = 21;
const ASKED = 40_000;
const SIZES = [10, 1_000, 10_000] as const;
const NOW_MS = Date.UTC(2026, 5, 3, 10, 30);

type Fields = Partial<Omit<PolicyTable, "more">> & { readonly more?: Partial<MoreConditions> };

/** Ten rules of one team; the team with number 0 is the one that calls. */
function rulesOf(team: number): readonly Fields[] {
	const own = `spiffe://example.org/ns/team-${team}`;
	const working = { timezone: "Europe/Berlin", days: [1, 2, 3, 4, 5], fromMinute: 7 * 60, untilMinute: 19 * 60 };
	return [
		{ action: "deny", pathPrefixes: [`/v2/admin/team-${team}`] },
		{ action: "deny", principals: [`${own}/sa/retired`] },
		{ principals: [`${own}/sa/web`], methods: ["GET"], pathPrefixes: ["/v2/health", `/v2/models/m${team}`] },
		{
			principals: [`${own}/sa/web`, `${own}/sa/batch`],
			methods: ["POST"],
			more: { pathTemplates: [`/v2/models/m${team}/versions/{version}/infer`] },
		},
		{ principals: [`${own}/*`], methods: ["GET"], pathPrefixes: ["/v2/docs"] },
		{ methods: ["POST"], more: { users: [`https://id.example.org#user-${team}`] } },
		{ methods: ["GET"], pathPrefixes: ["/v2/reports"], more: { groups: [`team-${team}`] } },
		{ principals: ["*"], more: { tenants: [`tenant-${team}`], pathTemplates: ["/v2/tenants/{tenant}/usage"] } },
		{ more: { groups: [`leads-${team}`], schedule: working } },
		{
			principals: [`${own}/sa/tool`],
			more: { condition: `request.path.startsWith("/v2/tools/") && "team-${team}" in user.groups` },
		},
	];
}

function tableOf(rules: number): AccessTable {
	const policies = Array.from({ length: rules / 10 }, (_, team) => rulesOf(team)).flat();
	return {
		open: false,
		policies: policies.map(
			({ more, ...fields }, index): PolicyTable => ({
				name: `policy-${index}`,
				action: "allow",
				principals: [],
				methods: [],
				pathPrefixes: [],
				variants: [],
				shadow: false,
				...fields,
				more: more === undefined ? null : { ...NO_MORE, ...more },
			}),
		),
	};
}

const token = (groups: readonly string[], tenants: readonly string[], subject: string): VerifiedToken => ({
	issuer: "https://id.example.org",
	subject,
	claims: { scope: "read write", groups },
	groups,
	tenants,
	purposes: [],
});

const OWN = "spiffe://example.org/ns/team-0/sa";
const ALICE = token(["team-0", "staff", "readers"], ["tenant-0"], "user-0");
const LEAD = token(["staff", "leads-0"], ["tenant-0"], "user-x");

/** The expected reason of each request: only denials would be another benchmark. */
const REQUESTS: readonly (readonly [string, string, string, VerifiedToken | null, string])[] = [
	[`${OWN}/web`, "GET", "/v2/models/m0/ready", null, "allowed"],
	[`${OWN}/web`, "POST", "/v2/models/m0/versions/3/infer", null, "allowed"],
	[`${OWN}/batch`, "POST", "/v2/models/m0/versions/12/infer", ALICE, "allowed"],
	[`${OWN}/web`, "GET", "/v2/docs/start", null, "allowed"],
	[`${OWN}/web`, "POST", "/v2/feedback", ALICE, "allowed"],
	[`${OWN}/web`, "GET", "/v2/reports/2026", ALICE, "allowed"],
	[`${OWN}/web`, "GET", "/v2/tenants/tenant-0/usage", ALICE, "allowed"],
	[`${OWN}/web`, "DELETE", "/v2/models/m0/versions/3", LEAD, "allowed"],
	[`${OWN}/tool`, "PUT", "/v2/tools/index", ALICE, "allowed"],
	[`${OWN}/web`, "GET", "/v2/admin/team-0/keys", ALICE, "forbidden"],
	[`${OWN}/retired`, "GET", "/v2/models/m0/ready", null, "forbidden"],
	[`${OWN}/web`, "PUT", "/v2/models/m0/config", null, "no-policy-allows"],
	["spiffe://example.org/ns/elsewhere/sa/web", "GET", "/v2/models/m0/ready", null, "no-policy-allows"],
];

/** New texts for each request, as a sidecar has them: V8 keeps the hash of a text that was looked up before. */
function requests(): AccessRequest[] {
	return Array.from({ length: ASKED }, (_, index) => {
		const [principal, method, path, user] = REQUESTS[index % REQUESTS.length] as (typeof REQUESTS)[number];
		const fresh = (text: string): string => Buffer.from(text, "latin1").toString("latin1");
		const where = { variant: null, region: null, nowMs: NOW_MS };
		return { principal: fresh(principal), method, path: fresh(path), token: user, ...where };
	});
}

const contenders = SIZES.map((rules) => ({ rules, ask: compileAccess(tableOf(rules), "bench"), us: [] as number[] }));

for (const { rules, ask } of contenders) {
	for (const [index, request] of requests().slice(0, REQUESTS.length).entries()) {
		const want = REQUESTS[index]?.[4];
		const { reason } = ask(request);
		if (reason !== want) throw new Error(`${rules} rules: ${request.path} is ${reason}, not ${want}`);
	}
}

/** CPU microseconds of this process, user and system. */
function cpuUs(run: () => void): number {
	const before = process.cpuUsage();
	run();
	const used = process.cpuUsage(before);
	return used.user + used.system;
}

let allowed = 0;
for (let round = 0; round <= ROUNDS; round++) {
	// Each is first equally often, because later ones benefit from warm caches.
	const turn = contenders.map((_, index) => contenders[(index + round) % contenders.length]);
	for (const contender of turn) {
		if (contender === undefined) continue;
		const { ask, us } = contender;
		const asked = requests();
		const spent = cpuUs(() => {
			for (const request of asked) if (ask(request).allowed) allowed++;
		});
		// The first round only warms up.
		if (round > 0) us.push(spent / ASKED);
	}
}

const [ten, thousand, tenThousand] = contenders.map(({ us }) => us) as [number[], number[], number[]];
// Within a round, so that a neighbour's load hits both.
const ratio = median(tenThousand.map((us, round) => us / (ten[round] ?? Number.NaN)));
for (const { rules, us } of contenders) process.stdout.write(`${rules} rules: ${median(us).toFixed(3)} µs a verdict\n`);
process.stdout.write(`${allowed} of ${ASKED * SIZES.length * (ROUNDS + 1)} allowed\n`);
process.stdout.write(
	`RESULT ${JSON.stringify({
		usAt1000: Number(median(thousand).toFixed(3)),
		costRatio10000to10: Number(ratio.toFixed(3)),
	})}\n`,
);
