/** The page of `weir why` for irregular requests, and for ones with missing data. */
import t from "tap";
import { renderWhy, type Why } from "../../../src/cli/commands/whyPage.js";
import type { ShownAccessRecord } from "../../../src/observe/events/query/accessRecordQuery.js";
import type { AssignmentAccount, RouteAccount, WholeAccount } from "../../../src/observe/events/query/account.js";
import { NOTHING_ELSE } from "../../../src/observe/events/receive/accessRecords/accessRecord.js";
import { golden } from "../../golden/golden.js";

const ASSIGNMENT: AssignmentAccount = {
	by: "sidecar",
	plan: "p2",
	unitFrom: { from: "cookie", cookie: "id", maxAgeMs: 1_000 },
	unit: "0".repeat(32),
	experiments: [
		{
			experiment: "models",
			layerSeed: "7",
			slotLoPpm: 0,
			slotHiPpm: 500_000,
			slotPoint: 400_000,
			inSlot: true,
			point: 250_000,
			region: "control",
			live: true,
			takenOver: false,
			exposing: true,
			arms: [
				{ name: "control", variant: "v1", loPpm: 0, hiPpm: 500_000, livePoints: 400_000 },
				{ name: "boosted", variant: "v2", loPpm: 500_000, hiPpm: 1_000_000, livePoints: 400_000 },
			],
		},
	],
	experiment: "models",
	arm: "control",
	variant: "v1",
	notEligible: false,
};

const ROUTE: RouteAccount = {
	service: "shop",
	plan: "p1",
	planKept: true,
	sentTo: "v1",
	assignment: ASSIGNMENT,
};

const WHOLE: WholeAccount = {
	known: "whole",
	requestId: "r1",
	startMs: 0,
	durationMs: 5,
	status: 200,
	principal: "spiffe://weir.test/alice",
	via: null,
	host: "shop.test",
	method: "GET",
	path: "/",
	codeDetails: "via_upstream",
	flags: [],
	access: { kind: "allowed", by: "sidecar", reason: "allowed", policy: "readers" },
	route: ROUTE,
};

const reported = (request: Why["request"], over: Partial<Why> = {}): Why => ({
	request,
	records: [],
	decision: null,
	models: [],
	trace: [],
	...over,
});
const page = (route: Partial<RouteAccount>, over: Partial<WholeAccount> = {}): string =>
	renderWhy(reported({ ...WHOLE, ...over, route: { ...ROUTE, ...route } }));

const WITH_DECISION = {
	experiment: "models",
	sequence: 3,
	atMs: 0,
	by: "weir",
	acknowledgedAtMs: null,
	action: "ramp",
	rule: "ramp",
	reason: "Because.",
	allocationPpm: 500_000,
	isPlans: false,
} as const;
const OUTLINE = {
	...({ known: "outline", requestId: "r1", startMs: 0, ended: true, durationMs: 7, status: 503 } as const),
	...{ service: "shop", variant: "v2", experiment: "models", arm: "boosted", unit: null },
};
const via = "spiffe://weir.test/proxy";
const unrouted = (kind: "denied" | "allowed", reason: string): string =>
	renderWhy(reported({ ...WHOLE, route: null, access: { kind, reason, policy: null, by: "envoy" } }));
const record = (over: Partial<ShownAccessRecord>): ShownAccessRecord => ({
	...NOTHING_ELSE,
	...{ id: 1, receivedMs: 0, requestId: "r1", service: "shop", unit: null, reason: "forbidden", by: "envoy" },
	...over,
});
const others = [
	record({ service: "other", policy: "theirs" }),
	record({ kind: "assignment-changed", policy: "no-rule" }),
];
const own = record({ kind: "denied", method: "PUT", path: "/cart", policy: "stop" });

t.test("the page shows the assigning and judging components, their plan, and missing data", async (t) => {
	const [outside] = ASSIGNMENT.experiments;
	if (outside === undefined) throw new Error("no experiment");
	const pages = {
		"all is known": renderWhy(reported(WHOLE, { decision: WITH_DECISION })),
		"through a proxy, may not use each arm's Variant": page(
			{ assignment: { ...ASSIGNMENT, experiment: null, arm: null, notEligible: true } },
			{ via },
		),
		"the sidecar gave no answer, the proxy no client": page(
			{ assignment: null, planKept: false },
			{ method: null, via, principal: null },
		),
		"outside the slot, and the client left": page(
			{ assignment: { ...ASSIGNMENT, experiments: [{ ...outside, inSlot: false, region: null }], experiment: null } },
			{ status: 0, codeDetails: "", flags: ["DC"] },
		),
		"no Service": unrouted("denied", "unknown-service"),
		"a refused configuration": unrouted("denied", "configuration-refused"),
		"no route, allowed": unrouted("allowed", "allowed"),
		"an outline with records": renderWhy(reported(OUTLINE, { records: [...others, own] })),
		"an outline with records of others": renderWhy(reported(OUTLINE, { records: others })),
		"not ended": renderWhy(reported({ ...OUTLINE, ended: false, durationMs: null, status: null })),
	};
	await golden(
		t,
		"why",
		Object.entries(pages)
			.map(([what, text]) => `# ${what}\n${text}`)
			.join("\n"),
	);
});

t.test("untrusted text cannot control a terminal", async (t) => {
	const text = page({}, { host: "shop\u001b[2J.test", path: "/\u009b" });
	t.notMatch(text.replaceAll("\n", ""), /\p{Cc}/u);
});
