/** `weir audit requests` and `weir policy shadow`, over ingest's own door. */
import t from "tap";
import { auditRequests } from "../../src/cli/commands/audit.js";
import { policyShadow } from "../../src/cli/commands/policy.js";
import { allowedShare } from "../../src/cli/roles/ingest.js";
import { startRig } from "../events/rig.js";

/** What a command prints. */
async function printed(run: () => Promise<void>): Promise<string> {
	const write = process.stdout.write;
	let text = "";
	process.stdout.write = ((chunk: string) => {
		text += chunk;
		return true;
	}) as typeof process.stdout.write;
	try {
		await run();
	} finally {
		process.stdout.write = write;
	}
	return text;
}

t.test("records and shadow counts as a person reads them", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const api = `unix:${rig.httpSocket}`;
	const common = { kind: "end", unit: null, startMs: 999_000, principal: "spiffe://a.test/web" } as const;
	await rig.send([
		{
			...common,
			requestId: "r1",
			status: 403,
			codeDetails: "rbac_access_denied_matched_policy[no-admin]",
			path: "/admin\nFORGED",
		},
		{ ...common, requestId: "r2", status: 403, codeDetails: "rbac_access_denied_matched_policy[none]" },
		{
			...common,
			requestId: "r3",
			namespace: "envoy.filters.http.rbac",
			said: { weir_deny_shadow_engine_result: "denied", weir_deny_shadow_effective_policy_id: "try" },
		},
	]);
	const all = await printed(() => auditRequests({ api }));
	t.equal(all.trimEnd().split("\n").length, 2, "a line a record, whatever callers write");
	t.match(
		all,
		/DENIED {2}forbidden {2}policy no-admin {2}by envoy {2}shop {2}POST \/admin\\u000aFORGED {2}spiffe:\/\/a\.test\/web/,
	);
	const one = await printed(() => auditRequests({ api, reason: "no-policy-allows", json: true }));
	t.match(JSON.parse(one), { requestId: "r2", reason: "no-policy-allows" });
	t.equal((await printed(() => auditRequests({ api, limit: "1" }))).trimEnd().split("\n").length, 1);
	await t.rejects(auditRequests({ api, since: "noon" }), { code: "invalid-argument" });
	await t.rejects(auditRequests({ api, kind: "nothing" }), { code: "invalid-argument" });
	t.match(
		await printed(() => policyShadow({ api })),
		/WOULD DENY {3}1 × {2}shop {2}spiffe:\/\/a\.test\/web {2}POST \/v2\/models\/m\/infer {2}by policy try/,
	);
});

t.test("the share of allowed requests that is recorded", (t) => {
	t.same(["denied", "1%", "0.5%", "all"].map(allowedShare), [0, 10_000, 5_000, 1_000_000]);
	t.throws(() => allowedShare("some"), { code: "invalid-argument" });
	t.end();
});
