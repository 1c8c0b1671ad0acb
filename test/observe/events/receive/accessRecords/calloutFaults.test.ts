/** Callouts that fail for legitimate users raise an alarm of the Gateway, counted from access logs. */
import t from "tap";
import { calloutAlarms } from "../../../../../src/cli/roles/calloutAlarms.js";
import { GAUGES } from "../../../../../src/observe/events/meter.js";
import { type Entry, type Rig, seriesKey, startRig } from "../../rig.js";

const EDGE = { node: "edge", log: "weir|team/edge" };
let requests = 0;
const refused = (over: Partial<Entry>): Entry => ({
	...{ kind: "end", unit: null, plan: "callout", requestId: `r${++requests}`, startMs: 900_000 },
	...over,
});
const unanswered = { status: 503, codeDetails: "ext_authz_error" } as const;
const denied = (metadata: Readonly<Record<string, string>>): Partial<Entry> => ({
	...{ status: 401, codeDetails: "ext_authz_denied" },
	metadata: { plan: "callout", verdict: "deny", reason: "invalid-token", ...metadata },
});
const keyless = denied({ fault: "no-issuer-keys" });

const alarmsOf = ({ meter }: Rig, nowMs: number): readonly string[] => {
	const name = GAUGES.calloutFault.name;
	const values = [...meter.gauges]
		.filter(([key]) => key.startsWith(name))
		.map(([key, value]) => ({ value, labels: JSON.parse(key.slice(name.length)) }));
	return calloutAlarms({ meter: "m", metrics: [{ name, values }] }, nowMs)
		.map(({ gateway, alarm, why }) => `${gateway} ${alarm}: ${why}`)
		.sort();
};

t.test("an alarm for a minute after the last request", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	await rig.send([refused(unanswered)], EDGE);
	t.match(alarmsOf(rig, rig.nowMs), [/^team\/edge verdicts-unanswered: the last at 1970-01-01T00:16:40/]);
	await rig.send([refused({ ...unanswered, codeDetails: "ext_proc_error_gRPC_error_14" }), refused(keyless)], EDGE);
	t.match(alarmsOf(rig, rig.nowMs + 60_000), [/^team\/edge no-sidecar-keys: /, /^team\/edge verdicts-unanswered: /]);
	t.same(alarmsOf(rig, rig.nowMs + 60_001), []);
	const counted = (fault: string) =>
		rig.meter.counts.get(seriesKey("weir_ingest_callout_faults_total", { gateway: "team/edge", fault }));
	t.same([counted("unanswered"), counted("no-issuer-keys")], [2, 1]);
});

t.test("correct refusals and the probe's requests raise no alarm", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	await rig.send(
		[
			refused(denied({})),
			refused(denied({ fault: "else" })),
			refused({ ...denied({ fault: "no-issuer-keys" }), status: 200, codeDetails: "via_upstream" }),
			refused({ status: 401, codeDetails: "jwt_authn_access_denied{Jwt_is_expired}" }),
			refused({ status: 503, codeDetails: "via_upstream", cluster: "shop/v1" }),
			refused({ ...unanswered, method: "OPTIONS", path: "/.well-known/weir-probe" }),
		],
		EDGE,
	);
	t.same(alarmsOf(rig, rig.nowMs), []);
});

t.test("unknown if ingest does not answer", (t) => {
	t.same(calloutAlarms(null, 0), []);
	t.end();
});
