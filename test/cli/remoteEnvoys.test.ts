/** What control tells of Envoys of other machines that have no access log, or no sidecar beside them. */
import t from "tap";
import { alarmLines } from "../../src/cli/commands/alarms.js";
import { AWAY, SHARED } from "../../src/cli/roles/probeWords.js";
import { RemoteEnvoys } from "../../src/cli/roles/remoteEnvoys.js";
import { GAUGES } from "../../src/events/meter.js";
import { REMOTE_LACK_PATIENCE_MS, REMOTE_STALE_MS, REMOTE_UNHEARD_MS, XDS_CLIENT_AWAY_MS } from "../../src/limits.js";
import { createMeter } from "../../src/telemetry/meter.js";
import type { RemotePeer, RemoteStream } from "../../src/xds/peer.js";

const peer = (kind: RemotePeer["kind"], name: string, instance: string | null = null): RemoteStream => {
	return { kind, name, id: `spiffe://weir.local/weir/${kind}/${name}`, instance };
};
const EDGE = peer("envoy", "edge");
const NONE = { cluster: "a/v1", succeeded: 0, failed: 0, dropped: 0, inProgress: 1 };

const scene = () => {
	const meter = createMeter({ role: "ingest" });
	const now = { ms: 1_000_000, peers: [EDGE] as readonly RemoteStream[], asks: false, away: false, endMs: 2e12 };
	const remote = new RemoteEnvoys({
		peers: () => now.peers,
		gatewaysOf: (id) => (id === EDGE.id ? ["edge"] : null),
		asksSidecar: () => now.asks,
		ingested: async () => (now.away ? null : meter.json()),
		ownEndMs: () => now.endMs,
		nowMs: () => now.ms,
	});
	meter.gauge(GAUGES.started.name, GAUGES.started.help, now.ms / 1_000);
	const heard = () => meter.gauge(GAUGES.heard.name, GAUGES.heard.help, now.ms / 1_000, { envoy: EDGE.id });
	const lines = async () => alarmLines(await remote.troubles());
	return { now, remote, heard, lines };
};

t.test("an Envoy that serves and says nothing is an alarm, one that says nothing a note", async (t) => {
	const { now, remote, heard, lines } = scene();
	t.match(await lines(), [/^note: Gateway edge: ingest has heard nothing of Envoy edge since 1970-01-01T00:16:40/]);
	now.ms += 2 * REMOTE_UNHEARD_MS;
	remote.reported(EDGE.id, [NONE]);
	t.match(await lines(), [/^note/], "nothing has ended yet");
	remote.reported(EDGE.id, [{ ...NONE, succeeded: 1 }]);
	t.match(await lines(), [/^ALARM requests-unrecorded at Gateway edge: .*though it serves: see its --access-log$/]);
	now.away = true;
	t.same(await lines(), [], "nobody knows");
	now.away = false;
	heard();
	t.same(await lines(), []);
	now.ms += REMOTE_UNHEARD_MS;
	remote.reported(EDGE.id, [{ ...NONE, failed: 1 }]);
	t.same(await lines(), [], "its entries may be on their way");
	now.ms += 1;
	remote.reported(EDGE.id, [{ ...NONE, failed: 1 }]);
	t.match(await lines(), [/^ALARM requests-unrecorded/]);
	// It opens its connection anew: of one stream that has ended nothing is over.
	remote.reported(EDGE.id, []);
	now.peers = [];
	t.match(await lines(), [/^ALARM requests-unrecorded/]);
	now.peers = [EDGE];
	t.match(await lines(), [/^ALARM requests-unrecorded/]);
});

t.test("one that was connected and is gone is a note, by its Gateways", async (t) => {
	const { now, remote, heard, lines } = scene();
	heard();
	now.peers = [EDGE, peer("envoy", "all")];
	t.match(await lines(), [/^note: ingest has heard nothing of Envoy all/], "of all Gateways");
	now.peers = [];
	await lines();
	now.ms += REMOTE_LACK_PATIENCE_MS;
	t.match(await lines(), [
		/^note: Gateway edge: Envoy edge is not connected to control since 1970-01-01T00:16:40.*: it has ended, or/,
		/^note: Envoy all is not connected to control since/,
	]);
	now.endMs = now.ms;
	t.match(
		await lines(),
		[
			/^note: Gateway edge: Envoy edge is not .*: control's own identity has ended at 1970-01-01T00:\d\d:.*, so that nobody can connect to it$/,
			/^note: Envoy all .* control's own identity has ended/,
		],
		"the Envoy is not to blame",
	);
	now.endMs = 2e12;
	const unprobed = (envoy: string, gateway: string, why: string = AWAY) => ({ alarm: null, gateway, why, envoy });
	t.ok(remote.saysMore(unprobed("edge", "edge")), "one line is enough");
	t.notOk(remote.saysMore(unprobed("edge", "inner")), "whoever may read of that Gateway is told nothing else");
	t.notOk(remote.saysMore(unprobed("all", "edge")), "nor of this one");
	t.notOk(remote.saysMore(unprobed("edge", "edge", SHARED)));
	t.notOk(remote.saysMore({ ...unprobed("edge", "edge"), alarm: "probe-passed" }));
	now.peers = [EDGE, peer("envoy", "all")];
	t.match(await lines(), [/^note: ingest has heard nothing of Envoy all/], "it is back");
	t.notOk(remote.saysMore(unprobed("edge", "edge")));
});

t.test("several Envoys of one id are a note, after a while", async (t) => {
	const { now, remote, heard, lines } = scene();
	heard();
	now.peers = [EDGE, EDGE];
	t.same(await lines(), [], "its next connection is open before its last one ends");
	now.ms += REMOTE_STALE_MS - 1;
	t.same(await lines(), [], "nor is one that the network forgot seen to be dead before");
	now.ms += 1;
	t.match(await lines(), [
		/^note: Gateway edge: 2 Envoys have the SPIFFE id spiffe:.*\/edge: one .*; give each its own$/,
	]);
	t.ok(remote.saysMore({ alarm: null, gateway: "edge", why: SHARED, envoy: "edge" }), "one line is enough");
	now.peers = [EDGE];
	t.same(await lines(), []);
});

t.test("fewer sidecars than Envoys are an alarm where a Service needs one, after a while", async (t) => {
	const { now, remote, heard, lines } = scene();
	heard();
	const later = async () => {
		remote.look();
		now.ms += REMOTE_LACK_PATIENCE_MS;
		return lines();
	};
	t.same(await later(), [], "nothing asks one");
	now.asks = true;
	remote.look();
	t.same(await lines(), [], "it may only connect anew");
	t.match(await later(), [
		/^ALARM sidecar-missing at Gateway edge: .*: Envoys of other machines: 1, sidecars .*control: 0$/,
	]);
	now.peers = [EDGE, peer("sidecar", "sidecar")];
	t.same(await later(), []);
	now.peers = [EDGE, EDGE, peer("sidecar", "a")];
	const alarms = async () => (await later()).filter((line) => line.startsWith("ALARM"));
	t.same(await alarms(), [], "one that the network forgot, and that came anew");
	now.ms += REMOTE_STALE_MS;
	await lines();
	t.match(
		(await later()).filter((line) => line.startsWith("ALARM")),
		[/^ALARM sidecar-missing at Gateway edge: .*: 2, sidecars .*control: 1$/],
		"two Envoys of one id need two",
	);
});

t.test("streams of one process are one Envoy, however many", async (t) => {
	const { now, heard, lines } = scene();
	heard();
	now.asks = true;
	const [one, other] = [peer("envoy", "edge", "a"), peer("envoy", "edge", "b")];
	const later = async () => {
		await lines();
		now.ms += REMOTE_STALE_MS;
		await lines();
		now.ms += REMOTE_LACK_PATIENCE_MS;
		return lines();
	};
	now.peers = [one, one, peer("sidecar", "sidecar")];
	t.same(await later(), []);
	now.peers = [one, one, other, peer("sidecar", "sidecar")];
	t.match(await later(), [/^ALARM sidecar-missing .*: 2, sidecars .*: 1$/, /^note: Gateway edge: 2 Envoys have the /]);
	now.peers = [one, EDGE, EDGE];
	t.match(await later(), [/^ALARM sidecar-missing .*: 3, sidecars .*: 0$/, /: 3 Envoys have the/], "some do not say");
});

t.test("that one served is said of its process alone, and of one that is not gone for long", async (t) => {
	const { now, remote, lines } = scene();
	const [one, other] = [peer("envoy", "edge", "a"), peer("envoy", "edge", "b")];
	const serves = async () => {
		now.ms += 2 * REMOTE_UNHEARD_MS;
		await lines();
		remote.reported(EDGE.id, [{ ...NONE, succeeded: 1 }]);
		t.match(await lines(), [/^ALARM requests-unrecorded/]);
	};
	now.peers = [one];
	await serves();
	now.peers = [];
	await lines();
	now.peers = [one];
	t.match(await lines(), [/^ALARM requests-unrecorded/], "it opened its connection anew");
	now.peers = [EDGE];
	t.match(await lines(), [/^ALARM requests-unrecorded/], "and has not said yet which process it is");
	now.peers = [one, other];
	t.match(await lines(), [/^ALARM requests-unrecorded/], "it may be there still");
	now.peers = [other];
	t.match(await lines(), [/^note: .*it was asked nothing, or/], "one that was started anew");
	await serves();
	now.peers = [];
	remote.look();
	now.ms += XDS_CLIENT_AWAY_MS;
	now.peers = [other];
	remote.look();
	t.match(await lines(), [/^note: .*it was asked nothing, or/], "it was away");
});
