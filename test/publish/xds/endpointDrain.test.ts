/** How long a client keeps removed endpoints. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { DataClass, Service, Variant } from "../../../src/declare/resources/resource.js";
import { XDS_ACK_TIMEOUT_MS, XDS_LEAVING_MS } from "../../../src/limits/index.js";
import { type Snapshot, SnapshotMaker } from "../../../src/publish/xds/snapshot.js";
import { gateway, metadata, resourceSet, service } from "../../fixtures/resources.js";
import { HEALTH } from "./healthCheck.js";
import { Script } from "./script.js";

/** Ports by Variant. */
type Ports = Readonly<Record<string, readonly number[]>>;

interface More {
	readonly health?: Service["spec"]["healthCheck"];
	readonly defaultVariant?: string;
	/** Ports of another Service. */
	readonly other?: readonly number[];
	/** The Service has a DataClass, which allows all of its endpoints. */
	readonly isBound?: boolean;
	/** Variants that also have a DNS name. */
	readonly dns?: string;
	/** The Service is deleted. */
	readonly isGone?: boolean;
}

const maker = new SnapshotMaker();

function plan(ports: Ports, more: More = {}): Snapshot {
	const { health = HEALTH, defaultVariant = "v1", other = [], isBound = false, dns, isGone = false } = more;
	const locality = { region: "eu", zone: "", subZone: "" };
	const declared = (all: Ports): Variant[] =>
		Object.entries(all).map(([name, own]) => ({
			name,
			endpoints: [
				...(dns === name ? [{ address: "localhost", port: 9, locality }] : []),
				...own.map((port) => ({ address: "127.0.0.1", port, locality })),
			],
		}));
	const model = service("model", declared(ports), {
		...{ healthCheck: health, defaultVariant, dataClass: isBound ? "health" : null },
	});
	const others = other.length === 0 ? [] : [service("other", declared({ v1: other }))];
	const dataClasses: readonly DataClass[] = [
		{ kind: "DataClass", metadata: metadata("health"), spec: { regions: ["eu"] } },
	];
	const set = resourceSet({ gateways: [gateway()], services: [...(isGone ? [] : [model]), ...others], dataClasses });
	return maker.make(compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS }), 1);
}

/** An Envoy that got the plan long ago. */
class Client extends Script {
	static of(before: Snapshot): Client {
		const client = new Client(before);
		client.start([...before.views.endpoints.keys()]);
		client.nowMs += 60_000;
		return client;
	}

	/** Publishes it, acknowledges every response, and returns the client's endpoints of v1. */
	given(target: Snapshot): readonly number[] {
		this.agree(this.publish(target));
		return this.has();
	}

	/** The same after some time. */
	later(ms: number): readonly number[] {
		this.nowMs += ms;
		return this.given(this.target);
	}

	has(variant = "v1"): readonly number[] {
		const sent = this.received.flatMap(({ type, resources }) => (type === "endpoints" ? resources : []));
		const { hosts = [] } = sent.findLast(({ name }) => name === `model/${variant}`) ?? {};
		return hosts.map((host) => Number(host.split(":").at(-1)));
	}
}

const over = (before: Ports, now: Ports, more: More = {}): readonly number[] =>
	Client.of(plan(before, more)).given(plan(now, more));

t.test("replaced endpoints stay until one health check interval after the client has the new ones", async (t) => {
	t.same(over({ v1: [1, 2] }, { v1: [3] }), [3, 1, 2]);
	t.same(over({ v1: [1, 2] }, { v1: [3] }, { health: null }), [3], "without a check new ones serve at once");
	t.same(over({ v1: [1, 2] }, { v1: [2, 3] }), [2, 3, 1]);
	t.same(over({ v1: [1, 2] }, { v1: [2] }), [2], "nothing new is to be checked");
	t.same(over({ v1: [1, 2] }, { v1: [] }), [], "the routes still name it: no endpoint is to serve");
	const client = Client.of(plan({ v1: [1] }));
	const next = plan({ v1: [2] });
	t.same(client.given(next), [2, 1]);
	t.ok(client.stream.synced(next), "the client has acknowledged the plan");
	t.equal(client.stream.deadlineMs(client.nowMs), client.nowMs + HEALTH.timeoutMs);
	t.same(client.later(HEALTH.timeoutMs - 1), [2, 1]);
	t.same(client.later(1), [2]);
	t.equal(client.status("endpoints").acceptedVersion, next.versions.endpoints);
	t.equal(client.stream.deadlineMs(client.nowMs), null);
});

t.test("the wait begins with the client's own acknowledgement, and later changes do not extend it", async (t) => {
	const slow = Client.of(plan({ v1: [1] }));
	slow.publish(plan({ v1: [2] }));
	slow.nowMs += 3 * HEALTH.timeoutMs;
	t.same(slow.pump(), []);
	slow.ack("endpoints");
	t.same(slow.later(HEALTH.timeoutMs - 1), [2, 1]);
	t.same(slow.later(1), [2]);

	const early = Client.of(plan({ v1: [1] }));
	t.same(early.given(plan({ v1: [1, 2] })), [1, 2]);
	early.nowMs += 300;
	t.same(early.given(plan({ v1: [2] })), [2, 1], "known since before it is alone");
	t.same(early.later(HEALTH.timeoutMs - 300), [2]);

	const busy = Client.of(plan({ v1: [1] }));
	busy.given(plan({ v1: [2] }));
	busy.nowMs += 500;
	t.same(busy.given(plan({ v1: [3] })), [3, 2, 1]);
	t.same(busy.later(500), [3, 2]);
	t.same(busy.later(500), [3]);

	const silent = Client.of(plan({ v1: [1] }));
	for (let port = 2; silent.nowMs < 60_000 + XDS_ACK_TIMEOUT_MS; port++) {
		silent.publish(plan({ v1: [port] }));
		silent.nowMs += 900;
		silent.ack("endpoints");
	}
	t.notOk(silent.has().includes(1), "always replaced before it is acknowledged: it has an end too");
});

t.test("a Service with a DataClass loses endpoints at once, also if it is new or the Service deleted", async (t) => {
	t.same(over({ v1: [1] }, { v1: [2] }, { isBound: true }), [2]);
	const bound = Client.of(plan({ v1: [1] }));
	t.same(bound.given(plan({ v1: [2] }, { isBound: true })), [2]);
	for (const after of [
		plan({ v2: [2], v3: [3] }, { isBound: true, defaultVariant: "v3" }),
		plan({}, { isGone: true, other: [4] }),
	]) {
		const client = Client.of(plan({ v1: [1], v2: [2] }, { isBound: true }));
		// v3 or other/v1 is not warm, so that the routes stay.
		client.publish(after);
		client.ack("endpoints");
		t.same(client.has(), []);
		const clusters = client.received.findLast(({ type }) => type === "clusters")?.resources.map(({ name }) => name);
		t.notOk(clusters?.includes("model/v1"));
	}
});

t.test("an endpoint that moved to another cluster is removed at once", async (t) => {
	t.same(over({ v1: [1, 5], v2: [2] }, { v1: [3], v2: [2, 1] }), [3, 5]);
	t.same(Client.of(plan({ v1: [1] })).given(plan({ v1: [3] }, { other: [1] })), [3]);
});

t.test("a removed Variant keeps its last endpoints while routes use it, for a bounded time", async (t) => {
	const client = Client.of(plan({ v1: [1], v2: [2] }));
	// v3 is not warm, so that the routes wait.
	client.publish(plan({ v2: [2], v3: [3] }, { defaultVariant: "v3" }));
	t.same(client.has(), [1]);
	t.equal(client.stream.deadlineMs(client.nowMs), client.nowMs + XDS_LEAVING_MS);
	client.nowMs += XDS_LEAVING_MS - 1;
	client.pump();
	t.same(client.has(), [1]);
	client.nowMs += 1;
	client.pump();
	t.same(client.has(), []);
	const calm = Client.of(plan({ v1: [1], v2: [2] }));
	t.same(calm.given(plan({ v2: [2] }, { defaultVariant: "v2" })), [1], "the whole cluster is removed");
	t.same(
		calm.received.at(-1)?.resources.map(({ name }) => name),
		["model/v2"],
	);
});

t.test("a Variant that gets a DNS name keeps its endpoints until the client has the new cluster", async (t) => {
	const client = Client.of(plan({ v1: [1] }));
	client.publish(plan({ v1: [] }, { dns: "v1" }));
	client.nowMs += XDS_LEAVING_MS;
	client.pump();
	t.same(client.has(), [1]);
});

t.test("a reconnected client keeps its endpoints for one health check interval", async (t) => {
	const before = plan({ v1: [1] });
	const back = new Client(plan({ v1: [2] }), Client.of(before));
	back.agree(back.ask("clusters", [], { version: before.versions.clusters }));
	back.agree(back.ask("endpoints", ["model/v1"], { version: before.versions.endpoints }));
	t.same(back.has(), [2, 1]);
	t.same(back.later(HEALTH.timeoutMs), [2]);
});

t.test("endpoints that are rejected together with draining ones are rejected", async (t) => {
	const client = Client.of(plan({ v1: [1] }));
	client.publish(plan({ v1: [2] }));
	client.nack("endpoints", "no");
	t.match(client.stream.refusals(client.target), [{ type: "endpoints", name: "model/v1", message: "no" }]);
	t.equal(client.status("endpoints").state, "ERROR");
});
