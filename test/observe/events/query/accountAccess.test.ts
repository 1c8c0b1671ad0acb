/** `weir why` shows a request's access as the access record log does. */
import t from "tap";
import type { AccessRecordsAnswer } from "../../../../src/observe/events/query/accessRecordQuery.js";
import { type Entry, JUDGED } from "../rig.js";
import { accountOf, alice, rigWith } from "./accountRig.js";

t.test(
	"Envoy's log names no policy that allowed: the plan's rules do, where they look at nothing that the log lacks",
	async (t) => {
		const rig = await rigWith(t);
		const access = async (over: Partial<Entry>) => (await accountOf(rig, { plan: "guarded", ...over })).access;
		t.match(await access({ principal: alice }), { kind: "allowed", policy: "readers" });
		t.match(await access({}), { kind: "allowed", policy: null }, "the rules do not allow it: Envoy's word alone");
		t.match(
			await access({ principal: alice, method: "PURGE" }),
			{ kind: "allowed", policy: null },
			"methods are judged",
		);
	},
);

t.test("what has no route of ours has the access record log's reason", async (t) => {
	const rig = await rigWith(t);
	const account = (codeDetails: string, more: Partial<Entry> = {}) =>
		accountOf(rig, { routeName: "", codeDetails, cluster: "", ...more });
	t.match(await account("direct_response"), {
		route: null,
		access: { kind: "denied", reason: "configuration-refused", by: "envoy" },
	});
	t.match(await account("rbac_access_denied_matched_policy[none]", JUDGED), { access: { reason: "unknown-service" } });
});

t.test("who judged is the same in the account and in the access record log", async (t) => {
	const rig = await rigWith(t, { allowedRecordsPpm: 1_000_000 });
	const both = async (plan: string, verdict: Record<string, string>, over: Partial<Entry> = {}) => {
		const requestId = `r-${plan}-${verdict.reason}-${verdict.policy}`;
		const metadata = { plan, service: "shop", verdict: "allow", ...verdict };
		const request = { ...{ plan, requestId, metadata, principal: alice, codeDetails: "via_upstream" }, ...over };
		const { access } = await accountOf(rig, { ...request, unit: null });
		const { json } = await rig.call("GET", `/v1/requests?requestId=${requestId}`, "");
		const [record] = (json as AccessRecordsAnswer).decisions;
		t.match(record, { by: access.by, reason: access.reason, kind: access.kind }, requestId);
		return [record?.by, record?.reason, record?.policy];
	};
	t.same(await both("assigned", { reason: "allowed" }), ["envoy", "allowed", null]);
	t.same(await both("assignedOpen", { reason: "open" }), ["envoy", "open", null]);
	t.same(await both("verdict", { reason: "allowed", policy: "readers" }), ["sidecar", "allowed", "readers"]);
	// It knew newer rules than the route's.
	t.same(await both("assigned", { reason: "allowed", policy: "newer" }), ["sidecar", "allowed", "newer"]);
	const refused = { codeDetails: "ext_authz_denied", status: 403, cluster: "" };
	t.same(await both("assigned", { verdict: "deny", reason: "forbidden", policy: "newer" }, refused), [
		...["sidecar", "forbidden", "newer"],
	]);
});
