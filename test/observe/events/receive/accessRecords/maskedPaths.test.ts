/** Tokens and parameters in a path appear in no record, no shadow count and no file. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { AccessRecordsAnswer } from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { type Entry, type Rig, startRig, unitsOf } from "../../rig.js";

const base64url = (text: string): string => Buffer.from(text).toString("base64url");
const JWT = `${base64url('{"alg":"HS256"}')}.${base64url('{"sub":"ann"}')}.${"s".repeat(43)}`;
const [unit = ""] = unitsOf("boosted", 1);

/** A denied request, and one that a shadow policy would deny. */
const both = (path: string, index: number): readonly Entry[] => {
	const common = { kind: "end", startMs: 900_000, principal: "spiffe://a.test/web", path } as const;
	const denied = { status: 403, codeDetails: "rbac_access_denied_matched_policy[none]" };
	const metadata = { weir_deny_shadow_engine_result: "denied", weir_deny_shadow_effective_policy_id: "try" };
	const tried = { status: 200, codeDetails: "via_upstream", namespace: "envoy.filters.http.rbac", metadata };
	return [
		{ ...common, ...denied, unit, requestId: `r${index}` },
		{ ...common, ...tried, unit: null, requestId: `s${index}` },
	];
};

async function stored(rig: Rig): Promise<{ readonly records: readonly unknown[]; readonly all: string }> {
	const records = (await rig.call("GET", "/v1/requests", "")).json as AccessRecordsAnswer;
	const shadows = (await rig.call("GET", "/v1/requests?view=shadow&rules=all", "")).json;
	// The time in which ingest was away also has a record, without a path.
	const paths = records.decisions.map(({ path }) => path).filter((path) => path !== null);
	return { records: paths.sort(), all: JSON.stringify([records, shadows]) };
}

t.test("tokens in paths are masked before anything is stored", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const paths = [
		`/reset/${JWT}`,
		`/a;access_token=${JWT}`,
		`/reset/${JWT.replaceAll(".", "%2e")}/done`,
		"/b;pin=4711",
		"/v1/surveyJournal",
	];
	await rig.send(paths.flatMap(both));
	const { records, all } = await stored(rig);
	t.same(records, ["/a;(masked)", "/b;(masked)", "/reset/(masked)", "/reset/(masked)/done", "/v1/surveyJournal"]);
	t.match(all, /"change":"would-deny"/);
	t.notMatch(all.replaceAll("surveyJournal", ""), /eyJ|access_token|4711/);
	await rig.ingest.close();
	const file = readFileSync(join(rig.directory, "data", "events.duckdb")).toString("latin1");
	t.ok(file.includes("(masked)"));
	for (const text of [JWT.slice(0, 12), "access_token", "pin=4711"]) t.notOk(file.includes(text), text);
	await rig.reopen();
});
