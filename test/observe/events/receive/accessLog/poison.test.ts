/** One entry of one Envoy that the store cannot hold: it is skipped and reported, and all other evidence continues. */
import t from "tap";
import { COUNTERS } from "../../../../../src/observe/events/meter.js";
import type { AccessRecordsAnswer } from "../../../../../src/observe/events/query/accessRecordQuery.js";
import type { AccessLogEntry } from "../../../../../src/observe/events/receive/accessLog/accessLogEntry.js";
import { decodeMessage } from "../../../../../src/observe/events/receive/accessLog/entryDecoder.js";
import { entryFault } from "../../../../../src/observe/events/receive/accessLog/entryFault.js";
import { grpcPeerSpiffeId } from "../../../../../src/trust/identity/grpcTls.js";
import { admitPeers, mutualTls } from "../../../../../src/trust/identity/nodeTls.js";
import { createDevelopmentCa } from "../../../../trust/identity/developmentCa.js";
import { AccessLogStream, streamOverTls } from "../../accessLogStream.js";
import { idOf, ownIdentity, TRUST_DOMAIN } from "../../ownIdentity.js";
import { encode, query, type Rig, sent, seriesKey, startRig, unitsOf } from "../../rig.js";
import { POISON, poisoned, RECEIVED_SECONDS, SOUND } from "./poison.js";

const RECEIVED_MS = Number(RECEIVED_SECONDS) * 1e3;

function only(message: Buffer): AccessLogEntry {
	const entries: AccessLogEntry[] = [];
	decodeMessage(message, (entry) => entries.push(entry));
	const [entry] = entries;
	if (entry === undefined || entries.length > 1) throw new Error("not one entry");
	return entry;
}

const named = (numbers: object): string =>
	JSON.stringify(numbers, (_, value) => (typeof value === "bigint" ? String(value) : value));

t.test("numbers that no Envoy writes are invalid", (t) => {
	for (const [of, numbers] of POISON) t.equal(entryFault(only(poisoned(numbers)), RECEIVED_MS), of, named(numbers));
	for (const numbers of SOUND) t.equal(entryFault(only(poisoned(numbers)), RECEIVED_MS), null, named(numbers));
	t.end();
});

async function exposed(rig: Rig): Promise<number | undefined> {
	const { arms } = await rig.ingest.evidence.evidence(query());
	return arms.find(({ arm }) => arm === "boosted")?.exposedUnits;
}

t.test("evidence continues after each invalid entry of an Envoy over mTLS, and the loss is reported", async (t) => {
	const ca = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const identity = await ownIdentity(ca, "control");
	const gateways: Readonly<Record<string, readonly string[]>> = { edge: ["edge"], tenant: ["tenant/gw"] };
	const rig = await startRig({
		accessLogTcp: {
			address: "127.0.0.1",
			port: 0,
			tls: mutualTls(identity),
			admitPeers: (server, admit, refused) => admitPeers(server, identity, admit, (_, id) => refused(id)),
			peer: (call) => grpcPeerSpiffeId(call, identity),
			trust: { trustDomain: TRUST_DOMAIN, gatewaysOf: (envoy) => gateways[envoy] ?? [] },
		},
	});
	t.teardown(() => rig.close());
	rig.nowMs = RECEIVED_MS;
	const stream = async (node: string, ...messages: readonly Buffer[]): Promise<number> => {
		const own = await ca.issue({ spiffeId: idOf(`envoy/${node}`) });
		return streamOverTls(rig.ingest.accessLogPort ?? 0, ca.certificate, own, messages);
	};
	const tenant = { node: "tenant", log: "weir|tenant/gw" };
	const edge = { node: "edge", log: "weir|edge" };
	const units = unitsOf("boosted", POISON.length + 1);
	for (const [index, [, numbers]] of POISON.entries()) {
		t.equal(await stream("tenant", poisoned(numbers, { from: tenant })), 0);
		t.equal(await stream("edge", encode(sent(units[index] ?? "", "p1", RECEIVED_MS), edge)), 0);
		t.equal(await exposed(rig), index + 1, named(numbers));
	}
	const { droppedEntries } = await rig.ingest.evidence.evidence(query());
	t.equal(droppedEntries, POISON.length);
	t.equal(rig.meter.counts.get(seriesKey(COUNTERS.entries.name, { result: "unreadable" })), POISON.length);
	t.equal(rig.lines.length, POISON.length, "each stream is logged");
	t.match(rig.lines[0], /impossible numbers.*"status".*weir\/envoy\/tenant.*tenant\/gw/);
	// Any number in one stream makes one line, and entries without a route are no loss.
	const foreign = POISON.map(([, numbers], at) =>
		poisoned(numbers, { routeName: "theirs", ...(at === 0 ? { from: tenant } : {}) }),
	);
	t.equal(await stream("tenant", ...foreign), 0);
	t.equal(await stream("edge", encode(sent(units.at(-1) ?? "", "p1", RECEIVED_MS), edge)), 0);
	t.equal(await exposed(rig), units.length);
	t.equal((await rig.ingest.evidence.evidence(query())).droppedEntries, POISON.length);
	t.equal(rig.lines.length, POISON.length + 1);
	t.notMatch(rig.lines.join(), /poison/, "neither unit nor request");
});

t.test("the access record log continues after invalid entries", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	rig.nowMs = RECEIVED_MS;
	const stream = new AccessLogStream(rig.accessLogSocket);
	for (const [, numbers] of POISON) await stream.write(poisoned(numbers));
	await stream.write(poisoned({}));
	await stream.end();
	const { status, json } = await rig.call("GET", "/v1/requests", "");
	t.equal(status, 200);
	t.match((json as AccessRecordsAnswer).decisions, [{ kind: "denied", status: 403 }]);
	t.equal((json as AccessRecordsAnswer).decisions.length, 1);
});
