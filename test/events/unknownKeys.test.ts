/** Whose unknown keys make control ask an issuer: those of callers that some policy could let in. */
import { setImmediate } from "node:timers/promises";
import t from "tap";
import { NO_MORE } from "../../src/access/rules/table.js";
import type { PolicyTable } from "../../src/compiler/plan.js";
import { decodeMessage } from "../../src/events/accessLog/accessLogEntry.js";
import { PlanReader } from "../../src/events/accessLog/planReader.js";
import { UnknownKeys } from "../../src/events/accessLog/unknownKeys.js";
import { ingestClient } from "../../src/events/client.js";
import { type Entry, EXPERIMENT, encode, planWith, startRig, TRIED_POLICY } from "./rig.js";

const APP = "spiffe://a.test/apps/one";
const apps: PolicyTable = {
	...TRIED_POLICY,
	action: "allow",
	principals: ["spiffe://a.test/apps/*"],
	shadow: false,
	more: { ...NO_MORE, users: ["*"] },
};
let requests = 0;
const refused = (over: Partial<Entry>): Entry => ({
	...{ kind: "end", unit: null, requestId: `r${++requests}`, startMs: 900_000, status: 401, principal: APP },
	codeDetails: "jwt_authn_access_denied{Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt}",
	...over,
});
const plan = planWith(EXPERIMENT, { access: { open: false, policies: [apps] } });

t.test(
	"who is a stranger is known as soon as the plan has been read, which the first such entry brings about",
	async (t) => {
		const plans = new PlanReader(async () => plan);
		const keys = new UnknownKeys(plans);
		const message = encode([refused({ principal: "spiffe://a.test/stranger" })]);
		const see = (): void => decodeMessage(message, (entry) => keys.see(entry, "edge"));
		see();
		await setImmediate();
		t.ok(plans.known("p1"));
		see();
		t.same(keys.counts(), { edge: 1 });
	},
);

t.test("a stranger's unknown key is none", async (t) => {
	const rig = await startRig({ plans: async (version) => (version === "lost" ? null : plan) });
	t.teardown(() => rig.close());
	const counted = async (over: Partial<Entry>): Promise<number> => {
		await rig.send([refused(over)], { node: "edge", log: "weir|edge" });
		return (await ingestClient(rig.httpSocket).unknownKeys()).edge ?? 0;
	};
	t.equal(await counted({}), 1, "of a plan that nobody has read yet each counts");
	// Questions about requests wait for plans.
	await rig.call("GET", "/v1/requests", "");
	t.equal(await counted({ principal: "spiffe://a.test/stranger" }), 1);
	t.equal(await counted({ principal: "spiffe://a.test/apps" }), 1);
	t.equal(await counted({}), 2);
	t.equal(await counted({ plan: "lost", principal: "spiffe://a.test/stranger" }), 3);
	t.equal(await counted({ codeDetails: "jwt_authn_access_denied{Jwt_is_expired}" }), 3);
});
