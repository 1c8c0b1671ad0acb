/** The page of `weir why` where things are not as they should be, or are no longer known. */
import t from "tap";
import { renderWhy, type Why } from "../../src/cli/commands/whyPage.js";
import type { AssignmentAccount, RouteAccount, WholeAccount } from "../../src/observe/events/accessLog/account.js";
import type { ShownDecision } from "../../src/observe/events/decisions/decisionQuery.js";
import { NOTHING_ELSE } from "../../src/observe/events/decisions/decisionRecord.js";

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

const told = (request: Why["request"], over: Partial<Why> = {}): Why => ({
	request,
	records: [],
	decision: null,
	models: [],
	trace: [],
	...over,
});
const page = (route: Partial<RouteAccount>, over: Partial<WholeAccount> = {}): string =>
	renderWhy(told({ ...WHOLE, ...over, route: { ...ROUTE, ...route } }));

t.test("who assigned and judged, by which plan", async (t) => {
	const text = page({});
	t.match(text, /^access +allowed: allowed by AccessPolicy readers; by sidecar$/m);
	t.match(text, /^unit +0{32} \(pseudonym\), from cookie id, assigned by the sidecar, plan p2$/m);
	t.match(text, /^experiment +models: slot point 400000 in \[0, 500000\)$/m);
	t.match(text, /^bucket +point 250000 in control's region \[0, 500000\), live up to 400000$/m);
	t.match(text, /^allocation +80% of the slot is live$/m);
	t.match(text, /^model +not known/m);
	t.match(text, /^trace +none: not sampled/m);
});

t.test("who may not use each arm's Variant is outside, and told so", async (t) => {
	const text = page({ assignment: { ...ASSIGNMENT, experiment: null, arm: null, notEligible: true } });
	t.match(text, /^arm +none: the request may not use each arm's Variant, .*: default Variant v1$/m);
	t.notMatch(text, /outside every slot/m);
});

t.test("what cannot be told is said to be so", async (t) => {
	t.match(page({ assignment: null }), /^unit +unknown: the sidecar gave no answer$/m);
	t.match(page({}, { method: null }), /^asked +\? \(a method that Envoy's access log has no word for\) shop\.test\/$/m);
	t.match(page({ planKept: false }), /^rule +.*no longer kept/m);
	const unrouted = (kind: "denied" | "allowed", reason: string): string =>
		renderWhy(told({ ...WHOLE, route: null, access: { kind, reason, policy: null, by: "envoy" } }));
	t.match(unrouted("denied", "unknown-service"), /^rule +no route of Weir's: no Service has this host$/m);
	t.match(
		unrouted("denied", "configuration-refused"),
		/^rule +no route of Weir's: .* is closed here.*: weir proxy-status\naccess +denied: configuration-refused; by envoy$/m,
	);
	t.match(unrouted("allowed", "allowed"), /^rule +no route of Weir's$/m);
	t.match(page({}, { status: 0, codeDetails: "", flags: ["DC"] }), /^answer +no status after 5 ms, flags DC$/m);
	const [outside] = ASSIGNMENT.experiments;
	if (outside === undefined) throw new Error("no experiment");
	const elsewhere = { ...ASSIGNMENT, experiments: [{ ...outside, inSlot: false, region: null }], experiment: null };
	t.match(page({ assignment: elsewhere }), /slot point 400000 outside \[0, 500000\)\narm +outside every slot/);
	const decision = {
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
	const text = renderWhy(told(WHOLE, { decision }));
	t.match(text, /^decision +#3 \S+ ramp by rule ramp: Because\. \(allocation 50%, not the plan's/m);
});

t.test("an outline says why there is no more", async (t) => {
	const outline = {
		known: "outline",
		requestId: "r1",
		startMs: 0,
		ended: true,
		durationMs: 7,
		status: 503,
		service: "shop",
		variant: "v2",
		experiment: "models",
		arm: "boosted",
		unit: null,
	} as const;
	t.match(renderWhy(told(outline)), /no longer at hand.*\n(.*\n)*arm +boosted → Variant v2\nanswer +503 after 7 ms/);
	const of = (over: Partial<ShownDecision>): ShownDecision => ({
		...NOTHING_ELSE,
		...{ id: 1, receivedMs: 0, requestId: "r1", service: "shop", unit: null, reason: "forbidden", by: "envoy" },
		...over,
	});
	const others = [of({ service: "other", policy: "theirs" }), of({ kind: "assignment-changed", policy: "no-rule" })];
	const own = of({ kind: "denied", method: "PUT", path: "/cart", policy: "stop" });
	const known = renderWhy(told(outline, { records: [...others, own] }));
	t.match(known, /^asked +PUT \/cart$/m);
	t.match(known, /^access +denied: forbidden by AccessPolicy stop; by envoy$/m);
	t.notMatch(known, /theirs|no-rule/);
	t.match(renderWhy(told(outline, { records: others })), /the decision log has no record of it/);
	const open = { ...outline, ended: false, durationMs: null, status: null };
	t.match(renderWhy(told(open)), /^note +it has not ended.*\n(.*\n)*answer +none yet$/m);
});

t.test("what came from outside cannot steer a terminal", async (t) => {
	const text = page({}, { host: "shop\u001b[2J.test", path: "/\u009b" });
	t.notMatch(text.replaceAll("\n", ""), /\p{Cc}/u);
});

t.test("the client that a proxy reported, or that it reported none", async (t) => {
	const via = "spiffe://weir.test/proxy";
	t.match(page({}), /^identity +spiffe:\/\/weir\.test\/alice$/m);
	t.match(page({}, { via }), /^identity +spiffe:\S+\/alice, on the word of the proxy spiffe:\S+\/proxy$/m);
	t.match(page({}, { via, principal: null }), /^identity +none: the proxy spiffe:\S+\/proxy names no client$/m);
});
