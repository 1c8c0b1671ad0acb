/** Each reason in the table of docs/access.md has the same name in `weir why` and in the access record log. */
import { readFile } from "node:fs/promises";
import t from "tap";
import type { AccessRecordsAnswer } from "../../../../src/observe/events/query/accessRecordQuery.js";
import type { WholeAccount } from "../../../../src/observe/events/query/account.js";
import { CALLOUT, type Entry, EXPERIMENT, JUDGED, planWith, startRig, TRIED_POLICY, unitsOf } from "../rig.js";

const alice = "spiffe://weir.test/alice";
const [unit = ""] = unitsOf("control", 1);
const ACCESS = {
	open: false,
	policies: [
		{ ...TRIED_POLICY, name: "readers", action: "allow", principals: [alice], pathPrefixes: ["/v2"], shadow: false },
		{ ...TRIED_POLICY, name: "no-secrets", principals: [], pathPrefixes: ["/v2/secret"], shadow: false },
	],
} as const;
const SHOP = planWith(EXPERIMENT, { access: ACCESS });
const COOKIES = { ...EXPERIMENT, unit: { from: "cookie", cookie: "id", maxAgeMs: 1_000 } } as const;

/** Who judges and who assigns. */
const PLANS = {
	native: SHOP,
	judged: planWith(EXPERIMENT, { access: ACCESS, callout: { ...CALLOUT, assignment: false } }),
	assigned: planWith(COOKIES, { access: ACCESS, callout: { ...CALLOUT, verdict: false } }),
	both: planWith(COOKIES, { access: ACCESS, callout: CALLOUT }),
};
type Plan = keyof typeof PLANS;
const ANY: readonly Plan[] = ["native", "judged", "assigned", "both"];
const BY_ENVOY: readonly Plan[] = ["native", "assigned"];
const BY_SIDECAR: readonly Plan[] = ["judged", "both"];
const ASKED: readonly Plan[] = ["judged", "assigned", "both"];

type Scene = readonly [plans: readonly Plan[], over: Partial<Entry>];
const rule = (name: string): Partial<Entry> => ({ codeDetails: `rbac_access_denied_matched_policy[${name}]` });
const byEnvoy = (over: Partial<Entry>, plans = ANY): Scene => [plans, over];
const bySidecar = (reason: string): Scene => [
	BY_SIDECAR,
	{ codeDetails: "ext_authz_denied", metadata: { plan: "both", service: "shop", verdict: "deny", reason } },
];
const without = (codeDetails: string, more: Partial<Entry> = {}): Scene => [
	["native"],
	{ routeName: "", codeDetails, ...more },
];

const SCENES: Readonly<Record<string, readonly Scene[]>> = {
	forbidden: [
		byEnvoy({ ...rule("no-secrets"), path: "/v2/secret" }, BY_ENVOY),
		byEnvoy(rule("(probe)")),
		bySidecar("forbidden"),
	],
	"no-policy-allows": [
		byEnvoy({ ...rule("none"), principal: "spiffe://weir.test/bob" }, BY_ENVOY),
		bySidecar("no-policy-allows"),
	],
	"invalid-token": [
		byEnvoy({ codeDetails: "jwt_authn_access_denied{Jwt_is_expired}" }),
		byEnvoy(rule("(invalid_token)")),
		bySidecar("invalid-token"),
	],
	"not-canonical": [
		byEnvoy(rule("(not_canonical)")),
		byEnvoy({ codeDetails: "path_normalization_failed" }),
		byEnvoy({ codeDetails: "http1.codec_error", status: 400 }),
		// What Envoy's parser refuses has no id to ask by: its entry names no route, and no filter has spoken (requestId.ts).
		bySidecar("not-canonical"),
	],
	"no-single-identity": [byEnvoy(rule("(no_single_identity)"))],
	"rate-limited": [byEnvoy({ codeDetails: "local_rate_limited" })],
	"verification-limited": [bySidecar("verification-limited")],
	"loop-detected": [byEnvoy(rule("(loop)"))],
	"configuration-refused": [without("direct_response", { status: 503 }), bySidecar("configuration-refused")],
	"upgrade-refused": [byEnvoy({ codeDetails: "upgrade_failed" })],
	"unknown-service": [
		without("rbac_access_denied_matched_policy[none]", JUDGED),
		without("route_not_found", { status: 404, ...JUDGED }),
	],
	unanswered: [
		byEnvoy({ codeDetails: "ext_authz_error" }, ASKED),
		byEnvoy({ codeDetails: "ext_proc_error_gRPC_error_14" }, ASKED),
		byEnvoy(rule("(unanswered)"), ASKED),
		byEnvoy({ codeDetails: "direct_response" }, ASKED),
	],
};

t.test("weir why and the access record log agree on each row of the table in docs/access.md", async (t) => {
	const page = await readFile("docs/access.md", "utf8");
	const [, table = ""] = /\n\| reason \| status \| \|\n\|[-|]+\n((?:\|.*\n)+)/.exec(page) ?? [];
	const words = table
		.split("\n")
		.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word));
	t.same(words.sort(), Object.keys(SCENES).sort(), "each reason has its scenes");
	const rig = await startRig({ plans: async (version) => PLANS[version as Plan] ?? null });
	t.teardown(() => rig.close());
	const scenes = Object.entries(SCENES).flatMap(([reason, all]) =>
		all.flatMap(([plans, over]) => plans.map((plan) => ({ reason, plan, over }))),
	);
	const entry = (over: Partial<Entry>, plan: Plan, requestId: string): Entry => ({
		...{ kind: "end", startMs: 1_000_000, status: 403, principal: alice, requestId, plan },
		unit: plan === "native" || plan === "judged" ? unit : null,
		...over,
	});
	await rig.send(scenes.map(({ plan, over }, index) => entry(over, plan, `r${index}`)));
	const { json } = await rig.call("GET", "/v1/requests?limit=1000", "");
	const records = new Map((json as AccessRecordsAnswer).decisions.map((one) => [one.requestId, one]));
	for (const [index, { reason, plan, over }] of scenes.entries()) {
		const account = (await rig.call("GET", `/v1/requests/r${index}`, "")).json as WholeAccount;
		const record = records.get(`r${index}`);
		const what = `${reason}, ${plan}: ${over.codeDetails}`;
		t.equal(account.access.reason, record?.reason, what);
		// A host that no policy protects has no denial either.
		if (over.codeDetails !== "route_not_found") t.equal(record?.kind, "denied", what);
		t.equal(record?.reason, reason, what);
		t.equal(account.access.kind, record?.kind, what);
	}
});
