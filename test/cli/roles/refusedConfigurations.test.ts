/** A refused configuration is an alarm: log, metric, audit record, readiness, `weir status` and `weir proxy-status`. */
import t from "tap";
import { type AlarmOptions, type AlarmWatch, watchAlarms } from "../../../src/cli/roles/alarmWatch.js";
import { watchClosures, XDS_CLIENT_AWAY_MS } from "../../../src/cli/roles/closedServices.js";
import { watchRefusals } from "../../../src/cli/roles/refusedConfigurations.js";
import type { ProxyStatus } from "../../../src/decide/rollout/ports.js";
import type { Refusal } from "../../../src/decide/rollout/refusal.js";
import { PUBLICATION_LAG_MS } from "../../../src/limits/index.js";
import { type Reported, withClosures } from "../../../src/publish/xds/sidecarClosures.js";
import { ALL } from "../../operate/employment.js";
import { mutualApi, READS_NOTHING } from "../../operate/mutualApi.js";
import { binding } from "../../operate/operatorBinding.js";
import { operatorCommand } from "../operatorCommand.js";

const WORDS = "local rate limit token bucket fill timer must be >= 50ms";
const accepted = { sentVersion: "b", acceptedVersion: "a" };

const envoy = (state: "ERROR" | "STALE" | "SYNCED", refusedSinceMs?: number): ProxyStatus => ({
	node: "weir-gateway",
	connectedAtMs: 1_000,
	revision: 7,
	types: {
		clusters: { ...accepted, state: "SYNCED", error: "", source: "" },
		routes: {
			...{
				...accepted,
				state,
				error: state === "ERROR" ? WORDS : "",
				source: state === "ERROR" ? "Service team/x" : "",
			},
			...(refusedSinceMs === undefined ? {} : { refusedSinceMs }),
		},
	},
});

const closedAt = (sinceMs: number): ProxyStatus => ({
	...envoy("SYNCED"),
	closed: [{ service: "team/x", form: "1", why: WORDS, sinceMs }],
});

/** A watch, with its log, audit records and gauges. */
function watched(begin: (options: AlarmOptions) => AlarmWatch) {
	const [log, audited, gauges]: [string[], Refusal[], unknown[]] = [[], [], []];
	const watch = begin({
		log: { error: (what) => void log.push(`error: ${what}`), info: (what) => void log.push(`info: ${what}`) },
		meter: { gauge: (name, _, value, labels) => void gauges.push([name, value, labels]) },
		audit: (refused) => void audited.push(refused),
	});
	return { watch, log, audited, gauges };
}

t.test("a refusal is logged and audited once, and a gauge shows it while it lasts", async (t) => {
	const { watch, log, audited, gauges } = watched(watchRefusals);
	watch.look([envoy("SYNCED")]);
	t.same([log, audited, gauges], [[], [], []]);
	watch.look([envoy("ERROR", 2_000)]);
	watch.look([envoy("STALE", 2_000)]);
	watch.look([envoy("ERROR", 2_000)]);
	t.same(log, ["error: a client refused its configuration"]);
	const labels = { node: "weir-gateway", type: "routes" };
	t.same(gauges, [["weir_xds_refused", 1, labels]]);
	t.same(audited, [{ ...labels, source: "Service team/x", error: WORDS, sinceMs: 2_000, revision: 7 }]);
	watch.look([]);
	t.same(log.slice(1), ["info: a client accepts its configuration again"]);
	t.same(gauges.slice(1), [["weir_xds_refused", 0, labels]]);
});

t.test("closed Services are logged once, and a gauge shows them until they are open again", async (t) => {
	const { watch, log, audited, gauges } = watched(watchClosures);
	watch.look([closedAt(2_000)]);
	watch.look([closedAt(2_000)]);
	watch.look([envoy("SYNCED")]);
	t.same(log, ["error: a Service is closed: its configuration was refused", "info: a Service is open again"]);
	const labels = { node: "weir-gateway", service: "team/x" };
	t.same(gauges, [
		["weir_xds_closed", 1, labels],
		["weir_xds_closed", 0, labels],
	]);
	t.match(audited, [{ node: "weir-gateway", source: "Service team/x", error: WORDS }]);
	t.equal(audited.length, 1);
});

t.test("Services that sidecars close are logged once, however often a sidecar reconnects", (t) => {
	let nowMs = 1_000_000;
	const { watch, log, audited, gauges } = watched((options) => watchClosures(options, () => nowMs));
	/** A new stream of a sidecar, without state of the one before. */
	const sidecar = (host: number, why = "no such time zone"): Reported => ({
		status: () => ({
			node: `weir-sidecar/h${host}/1`,
			connectedAtMs: nowMs,
			types: { tables: { ...accepted, state: "SYNCED", error: "", source: "" } },
		}),
		closedBySidecar: new Map([["team/x", { service: "team/x", form: "", why, sinceMs: nowMs }]]),
	});
	const open: Reported = { ...sidecar(9), closedBySidecar: new Map() };
	let here: readonly Reported[] = [sidecar(0), sidecar(1), sidecar(2, "other words")];
	const look = (): ProxyStatus[] => {
		const proxies = withClosures(here);
		watch.look(proxies);
		return proxies;
	};
	look();
	for (let round = 0; round < 10; round++) {
		nowMs += 200_000;
		const [first = sidecar(0), ...rest] = here;
		here = rest;
		look();
		nowMs += 1_000;
		here = [...rest, first];
		t.match(look()[0]?.closed, [{ service: "team/x", others: 2 }]);
	}
	here = [];
	look();
	nowMs += XDS_CLIENT_AWAY_MS - 1;
	look();
	here = [sidecar(3)];
	look();
	t.same([log, audited.length], [["error: a Service is closed: its configuration was refused"], 1]);
	const labels = { node: "weir-sidecar", service: "team/x" };
	t.same(gauges, [["weir_xds_closed", 1, labels]]);
	here = [open];
	look();
	nowMs += XDS_CLIENT_AWAY_MS;
	look();
	t.same(log.slice(1), ["info: a Service is open again"]);
	t.same(gauges.slice(1), [["weir_xds_closed", 0, labels]]);
	here = [open, sidecar(3)];
	look();
	t.equal(audited.length, 2);
	t.end();
});

t.test("an alarm of a client that does not come back ends by itself", async (t) => {
	let nowMs = 0;
	const ended = new Promise<void>((resolve) => {
		const watch = watchAlarms<string>(
			{
				of: (proxies) => proxies.map(({ node }) => node),
				keyOf: (node) => node,
				isSame: () => true,
				begun: () => {},
				ended: () => resolve(),
				awayMs: () => 20,
			},
			() => nowMs,
		);
		watch.look([envoy("SYNCED")]);
		watch.look([]);
		nowMs = 20;
	});
	const alive = setInterval(() => {}, 1_000);
	t.teardown(() => clearInterval(alive));
	await ended;
});

t.test("a closed Service is an alarm to readers of its namespace only", async (t) => {
	const mutual = await mutualApi(t);
	const rules = [binding("all", "read", ["bob"], '["*"]'), binding("one", "read", ["ann"], "[default]")].join("---\n");
	await mutual.owner.apply([{ name: "all.yaml", text: [ALL, rules].join("---\n") }], { dryRun: false });
	const { as, local } = await operatorCommand(t, mutual);
	const { store } = mutual;
	const sinceMs = Date.now() - 2 * PUBLICATION_LAG_MS;
	await store.reportProxies([closedAt(sinceMs)]);
	const alarms = async (run: typeof local): Promise<readonly string[]> =>
		(await run("status")).out.split("\n").filter((line) => line.startsWith("ALARM"));
	const since = new Date(sinceMs).toISOString();
	const words = `Service team/x answers 503 at weir-gateway since ${since}, which refuses its newest configuration: ${WORDS}`;
	t.same(await alarms(await as("bob")), [`ALARM closed: ${words}`]);
	t.same(await alarms(await as("ann")), []);
	t.notMatch((await (await as("ann"))("status")).out, /team/);
	t.match(await local("proxy-status"), { code: 1, out: /ALARM closed: Service team\/x/ });
	const ready = await mutual.owner.raw("GET", "/readyz");
	t.match(ready, { status: 200, text: /^ready\nnote: closed Services, .*: 1 / }, "control stays ready");
	t.notMatch(ready.text, /team/, "callers need no role");
	t.match(store.proxies.proxies, [{ node: "weir-gateway", closed: [{ service: "team/x" }] }]);
	t.match(await store.state(-1, 0), { closed: ["team/x"] });
	await store.reportProxies([envoy("SYNCED")]);
	t.equal((await store.state(-1, 0))?.closed, undefined);
});

t.test("readiness, status and proxy-status report a refusal; its message needs read in the namespace", async (t) => {
	const mutual = await mutualApi(t);
	const rules = [binding("all", "read", ["bob"], '["*"]'), binding("one", "read", ["ann"], "[default]")].join("---\n");
	await mutual.owner.apply([{ name: "all.yaml", text: [ALL, rules].join("---\n") }], { dryRun: false });
	const { as, local } = await operatorCommand(t, mutual);
	const { store } = mutual;
	const alarms = async (run: typeof local): Promise<readonly string[]> =>
		(await run("status")).out.split("\n").filter((line) => line.startsWith("ALARM"));
	await store.reportProxies([envoy("SYNCED")]);
	t.same(await alarms(local), []);
	t.equal((await local("proxy-status")).code, 0);
	const sinceMs = Date.now() - PUBLICATION_LAG_MS;
	await store.reportProxies([envoy("ERROR", sinceMs)]);
	const since = new Date(sinceMs).toISOString();
	const holds = "revision 7 holds there, of all Services";
	const whole = `ALARM refused: weir-gateway refuses routes of Service team/x since ${since}: ${WORDS}; ${holds}`;
	t.same(await alarms(local), [whole]);
	t.match(await local("status"), { out: /^ALARM refused/ }, "before all else");
	const [ann, bob] = [await as("ann"), await as("bob")];
	t.same(await alarms(bob), [whole]);
	t.same(await alarms(ann), [`ALARM refused: weir-gateway refuses routes since ${since}; ${holds}`]);
	t.match(await local("proxy-status"), { code: 1, out: new RegExp(`Service team/x: ${WORDS}`) });
	const roleless = await mutual.as("roleless");
	await t.rejects(roleless.status(), READS_NOTHING);
	for (const client of [roleless, mutual.owner]) {
		t.match(
			await client.raw("GET", "/readyz"),
			{ status: 503, text: `1 of the Envoys and sidecars refuse routes, since ${since} (weir status)\n` },
			"neither names nor an Envoy's message: callers need no role",
		);
	}
	await store.reportProxies([envoy("STALE", sinceMs)]);
	t.equal((await alarms(local)).length, 1, "a retried configuration is not yet accepted");
	const refusing = envoy("ERROR", sinceMs);
	const both = { ...refusing.types, clusters: refusing.types.routes ?? {} } as ProxyStatus["types"];
	await store.reportProxies([{ ...refusing, types: both }]);
	t.match(await mutual.owner.raw("GET", "/readyz"), {
		text: /^1 of the Envoys and sidecars refuse clusters, routes, since/,
	});
	await store.reportProxies([envoy("ERROR", Date.now() - 1_000)]);
	t.match(await mutual.owner.raw("GET", "/readyz"), { status: 200 }, "a moment is no lag");
});
