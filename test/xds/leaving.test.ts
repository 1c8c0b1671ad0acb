/** What of the endpoints that left stays at one client: which, how long by its own acknowledgements, and where none may. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { XDS_LEAVING_MS } from "../../src/limits.js";
import type { DataClass, Service, Variant } from "../../src/resources/resource.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { LeavingEndpoints } from "../../src/xds/leaving.js";
import { contentHash } from "../../src/xds/resource.js";
import { RecentViews } from "../../src/xds/sentViews.js";
import { type Snapshot, SnapshotMaker } from "../../src/xds/snapshot.js";
import { gateway, metadata, resourceSet, service } from "../fixtures/resources.js";
import { HEALTH } from "./healthCheck.js";
import { AMPLE, Script, TIMEOUT_MS } from "./script.js";

type Ports = Readonly<Record<string, readonly (number | readonly [port: number, region: string])[]>>;

interface More {
	readonly health?: Service["spec"]["healthCheck"];
	/** A further endpoint of a Variant, at port 9. */
	readonly beside?: Readonly<Record<string, string>>;
	readonly defaultVariant?: string;
	/** Of another Service. */
	readonly other?: Ports[string];
	/** Of the Service's DataClass. */
	readonly regions?: readonly string[];
}

/** Of Service model by Variant, and of another. */
function plan(
	variants: Ports,
	{ health = HEALTH, beside = {}, defaultVariant = "v1", other = [], regions }: More = {},
): Snapshot {
	const declared = (all: Ports): Variant[] =>
		Object.entries(all).map(([name, ports]) => ({
			name,
			endpoints: [
				...(beside[name] === undefined ? [] : [{ address: beside[name], port: 9, locality: null }]),
				...ports.map((one) => {
					const [port, region] = typeof one === "number" ? [one, null] : one;
					const locality = region === null ? null : { region, zone: "", subZone: "" };
					return { address: "127.0.0.1", port, locality };
				}),
			],
		}));
	const dataClass = regions === undefined ? null : "health";
	const services = [service("model", declared(variants), { healthCheck: health, defaultVariant, dataClass })];
	if (other.length > 0) services.push(service("other", declared({ other }), { defaultVariant: "other" }));
	const dataClasses: readonly DataClass[] =
		regions === undefined ? [] : [{ kind: "DataClass", metadata: metadata("health"), spec: { regions } }];
	const set = resourceSet({ gateways: [gateway()], services, dataClasses });
	return new SnapshotMaker().make(compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS }), 1);
}

/** An Envoy that has the plan, for long. */
class Client extends Script {
	static of(before: Snapshot, views?: RecentViews): Client {
		const client = new Client(before, views);
		client.start([...before.views.endpoints.keys()]);
		client.nowMs += 60_000;
		return client;
	}

	/** Publishes it, acknowledges all that comes, and says what it has of a Variant. */
	given(target: Snapshot, variant = "v1"): readonly number[] {
		this.agree(this.publish(target));
		return this.has(variant);
	}

	/** The same when some time has passed. */
	later(ms: number, variant = "v1"): readonly number[] {
		this.nowMs += ms;
		return this.given(this.target, variant);
	}

	has(variant = "v1"): readonly number[] {
		const sent = this.received.flatMap(({ type, resources }) => (type === "endpoints" ? resources : []));
		const { hosts = [] } = sent.findLast(({ name }) => name === `model/${variant}`) ?? {};
		return hosts.map((host) => Number(host.split(":").at(-1)));
	}
}

const over = (before: Ports, now: Ports, more: More = {}): readonly number[] =>
	Client.of(plan(before, more)).given(plan(now, more));

t.test("where all are replaced the old ones stay beside them for a check's timeout", async (t) => {
	t.same(over({ v1: [1, 2] }, { v1: [3] }), [3, 1, 2]);
	t.same(over({ v1: [1, 2] }, { v1: [3] }, { health: null }), [3], "nobody checks, so that they serve at once");
	t.same(over({ v1: [1, 2] }, { v1: [2, 3] }), [2, 3, 1], "one that was there need not be healthy");
	t.same(over({ v1: [1, 2] }, { v1: [2] }), [2], "nothing new is to be checked");
	t.same(over({ v1: [1, 2] }, { v1: [] }), [], "none is to serve");
	const client = Client.of(plan({ v1: [1] }));
	const [a, b] = [client.target, plan({ v1: [2] })];
	t.same(client.given(b), [2, 1]);
	t.ok(client.stream.synced(b), "what waits keeps nothing from being complete");
	t.equal(client.status("endpoints").state, "SYNCED");
	t.equal(client.stream.status(a).endpoints?.state, "STALE", "it is beside b's");
	const {
		resources: [made],
		version,
	} = client.received.findLast(({ type }) => type === "endpoints") ?? { resources: [] };
	t.equal(
		version,
		contentHash(`${b.versions.endpoints}\n${made?.hash}`),
		"of what is published, not of all there is anew",
	);
	t.equal(client.stream.deadlineMs(client.nowMs), client.nowMs + HEALTH.timeoutMs);
	t.same(client.later(HEALTH.timeoutMs - 1), [2, 1]);
	t.same(client.later(1), [2], "then they go");
	t.ok(client.stream.synced(b));
	t.equal(client.status("endpoints").acceptedVersion, b.versions.endpoints);
	t.equal(client.stream.deadlineMs(client.nowMs), null);
});

t.test("what a client refuses with those that wait is refused", async (t) => {
	const client = Client.of(plan({ v1: [1] }));
	client.publish(plan({ v1: [2] }));
	client.nack("endpoints", "no");
	t.match(client.stream.refusals(client.target), [{ type: "endpoints", name: "model/v1", words: "no" }]);
	t.equal(client.status("endpoints").state, "ERROR");
});

t.test("the time is of the client's own acknowledgement", async (t) => {
	const client = Client.of(plan({ v1: [1] }));
	t.ok(client.publish(plan({ v1: [2] })).includes("endpoints:model/v1"));
	client.nowMs += 3 * HEALTH.timeoutMs;
	t.same(client.pump(), [], "it is slow");
	client.ack("endpoints");
	t.same(client.later(HEALTH.timeoutMs - 1), [2, 1]);
	t.same(client.later(1), [2]);
	client.publish(plan({ v1: [3] }));
	t.same(client.has(), [3, 2]);
	client.nowMs += TIMEOUT_MS;
	client.pump();
	client.nowMs += HEALTH.timeoutMs;
	client.pump();
	t.same(client.has(), [3], "one that never answers keeps nothing for ever");
});

t.test("one that was published and is not checked yet is no successor", async (t) => {
	const client = Client.of(plan({ v1: [1] }));
	t.same(client.given(plan({ v1: [1, 2] })), [1, 2]);
	client.nowMs += 300;
	t.same(client.given(plan({ v1: [2] })), [2, 1]);
	t.same(client.later(HEALTH.timeoutMs - 301), [2, 1]);
	t.same(client.later(1), [2], "since when it is known counts, not since when it is alone");
});

t.test("one that was away has what it had when it comes back, and those that it knew since nobody knows", async (t) => {
	const views = new RecentViews(AMPLE);
	const before = plan({ v1: [1] });
	Client.of(before, views);
	const back = new Client(plan({ v1: [2] }), views);
	back.agree(back.ask("clusters", [], { version: before.versions.clusters }));
	back.agree(back.ask("endpoints", ["model/v1"], { version: before.versions.endpoints }));
	t.same(back.has(), [2, 1]);
	t.same(back.later(HEALTH.timeoutMs), [2]);
});

t.test("a change meanwhile neither ends nor lengthens it", async (t) => {
	const [a, b, both, c] = [[1], [2], [2, 3], [4]].map((ports) => plan({ v1: ports })) as [
		Snapshot,
		Snapshot,
		Snapshot,
		Snapshot,
	];
	const halfway = (next: Snapshot): Client => {
		const client = Client.of(a);
		client.given(b);
		client.nowMs += 500;
		client.given(next);
		return client;
	};
	const more = halfway(both);
	t.same(more.has(), [2, 3, 1]);
	t.same(more.later(500), [2, 3]);
	const third = halfway(c);
	t.same(third.has(), [4, 2, 1]);
	t.same(third.later(500), [4, 2], "the first one's end");
	t.same(third.later(500), [4], "and the other's");
	t.same(halfway(a).has(), [1], "one that comes back is there, and once");
});

t.test("nor does one that is always replaced before it is acknowledged", async (t) => {
	const client = Client.of(plan({ v1: [1] }));
	client.publish(plan({ v1: [2] }));
	for (let port = 3; port < 8; port++) {
		client.publish(plan({ v1: [port] }));
		client.nowMs += 300;
		client.ack("endpoints");
	}
	t.same(client.has(), [7, 6, 5, 4, 3, 2], "2 was known for a check's timeout, and 3 is not yet");
});

t.test("none waits in another region than the new ones are in, or where it is another Variant's", async (t) => {
	const two: Ports = {
		v1: [
			[1, "eu"],
			[2, "us"],
		],
	};
	t.same(over(two, { v1: [[3, "eu"]] }), [3, 1]);
	t.same(over({ v1: [[1, "us"]] }, { v1: [[3, "eu"]] }), [3]);
	t.same(over({ v1: [1] }, { v1: [[3, "eu"]] }), [3]);
	t.same(over({ v1: [[1, "us"]] }, { v1: [3] }), [3, 1], "no DataClass lets one without a region in");
	t.same(over({ v1: [1], v2: [2] }, { v1: [2], v2: [1] }), [2], "exchanged");
	t.same(over({ v1: [1, 5], v2: [2] }, { v1: [3], v2: [2, 1] }), [3, 5]);
	const before = plan({ v1: [1], v2: [2] });
	const now: Ports = { v1: [3], v2: [1] };
	t.same(Client.of(before).given(plan(now)), [3], "by address");
	t.same(Client.of(before).given(plan(now, { beside: { v2: "localhost" } })), [3], "beside a DNS name, inline");
});

t.test("none waits that its Service places outside its DataClass by now, whatever was said of it before", async (t) => {
	const only: More = { regions: ["eu"] };
	const before: Ports = {
		v1: [
			[1, "eu"],
			[2, "eu"],
		],
		v2: [[4, "eu"]],
	};
	const left: Ports = {
		v1: [
			[1, "us"],
			[3, "eu"],
		],
		v2: [[4, "eu"]],
	};
	t.same(over(before, left, only), [3, 2], "2 waits for 3's check");
	t.same(
		over(
			before,
			{
				v1: [
					[1, "us"],
					[2, "us"],
					[3, "eu"],
				],
			},
			only,
		),
		[3],
	);
	// v3 is not warm, so that the routes wait.
	const emptied = (region: string): Snapshot => {
		const ports: Ports = region === "us" ? { v1: [[1, "us"]], v3: [[5, "eu"]] } : { v1: [], v3: [[5, "eu"]] };
		return plan(ports, { ...only, defaultVariant: "v3" });
	};
	for (const [region, stays] of [
		["eu", [1, 2]],
		["us", [2]],
	] as const) {
		const client = Client.of(plan(before, only));
		client.publish(emptied(region));
		client.ack("endpoints");
		t.same(client.has(), stays, "the last ones of a Variant wait for the routes, but for those");
	}
	const mixed: Ports = {
		v1: [
			[1, "us"],
			[2, "eu"],
		],
	};
	t.same(over(mixed, { v1: [[3, "eu"]] }, { regions: ["us", "eu"] }), [3, 2]);
	for (const v1 of [{ v1: [] }, {}]) {
		const client = Client.of(plan(mixed));
		client.publish(plan({ ...v1, v3: [[5, "eu"]] }, { ...only, defaultVariant: "v3" }));
		client.ack("endpoints");
		t.same(client.has(), [2], "one that was elsewhere goes with its declaration");
	}
});

t.test("an address is one in whatever spelling", async (t) => {
	const spelt = (one: string, two: string) => plan({ v1: [3], v2: [] }, { beside: { v1: one, v2: two } });
	t.same(Client.of(spelt("fd00::1", "10.0.0.8")).given(spelt("10.0.0.9", "FD00:0::1")), [9, 3], "it is v2's now");
});

t.test("what waits has a bound, whatever is published meanwhile", async (t) => {
	const many = (from: number): Ports => ({ v1: Array.from({ length: 3_000 }, (_, at) => from + at) });
	const client = Client.of(plan(many(1)));
	client.given(plan(many(10_001)));
	client.given(plan(many(20_001)));
	const has = client.given(plan(many(30_001)));
	t.equal(has.length, 3_000 + 5_000);
	t.equal(has[3_000], 20_001, "the youngest");
});

t.test("what many wait for is looked at together", async (t) => {
	const timed = (ports: Ports, timeoutMs: number) => plan(ports, { health: { ...HEALTH, timeoutMs } });
	const [early, late] = [1_100, 1_400].map((timeoutMs) => {
		const client = Client.of(timed({ v1: [1] }, timeoutMs));
		client.given(timed({ v1: [2] }, timeoutMs));
		return client.stream.deadlineMs(client.nowMs);
	});
	t.equal(early, late);
});

t.test("the last endpoints of a Variant that is removed wait for the routes as those of an emptied one", async (t) => {
	const removed = (after: Ports, more: More = {}) => {
		const client = Client.of(plan({ v1: [1], v2: [2] }));
		return { client, said: client.publish(plan(after, { defaultVariant: "v2", ...more })) };
	};
	// v3 is not warm, so that the routes wait.
	const { client } = removed({ v2: [2], v3: [3] }, { defaultVariant: "v3" });
	t.same(client.has(), [1]);
	t.equal(client.stream.deadlineMs(client.nowMs), client.nowMs + XDS_LEAVING_MS);
	client.nowMs += XDS_LEAVING_MS - 1;
	client.pump();
	t.same(client.has(), [1]);
	client.nowMs += 1;
	client.pump();
	t.same(client.has(), [], "they may be forbidden now");
	const { client: calm, said } = removed({ v2: [2] });
	calm.agree(said);
	t.same(
		calm.received.at(-1)?.resources.map(({ name }) => name),
		["model/v2"],
		"when the routes have left it goes whole",
	);
	t.same(calm.has(), [1]);
	const renamed = removed({ v2: [2], v3: [3, 1] }, { defaultVariant: "v3" }).client;
	t.same(renamed.has(), [1], "it has another name");
	const given = (beside: Readonly<Record<string, string>>) => {
		const client = Client.of(plan({ v1: [1], v2: [2] }));
		const other = { defaultVariant: "v3", other: [1], beside };
		client.publish(plan({ v2: [2], v3: [3] }, other));
		return client.has();
	};
	t.same(given({}), [], "nor where one is another Service's now");
	t.same(given({ other: "localhost" }), [], "inline too");
});

t.test("a Variant that gets a DNS name serves by what it had until the name is known, and not for long", async (t) => {
	const client = Client.of(plan({ v1: [1, 2] }));
	client.publish(plan({ v1: [2] }, { beside: { v1: "localhost" } }));
	t.same(client.has(), [1, 2]);
	client.nowMs += XDS_LEAVING_MS;
	client.pump();
	t.same(client.has(), [2], "what left is gone then");

	const bare = Client.of(plan({ v1: [1] }));
	bare.publish(plan({ v1: [] }, { beside: { v1: "localhost" } }));
	bare.nowMs += XDS_LEAVING_MS;
	bare.pump();
	t.same(bare.has(), [1], "where that were all, until it is known");
	bare.publish(plan({ v1: [], v2: [2] }, { defaultVariant: "v2" }));
	t.same(bare.has(), [1]);
	bare.nowMs += XDS_LEAVING_MS;
	bare.pump();
	t.same(bare.has(), [], "and where there is no name after all, for the routes alone");

	const shared = Client.of(plan({ v1: [1], v2: [2] }, { other: [1] }));
	shared.publish(plan({ v1: [1], v2: [2] }, { other: [1], beside: { v1: "localhost" } }));
	t.same(shared.has(), [1], "what is declared stays, whoever has it too");
});

t.test("who stood beside it before it left is no successor: it may be ill", async (t) => {
	const client = Client.of(plan({ v1: [1] }));
	client.given(plan({ v1: [1, 2] }));
	client.nowMs += 3_000;
	client.given(plan({ v1: [3] }));
	t.same(client.has(), [3, 1, 2]);
	t.same(client.later(1_000), [3]);
});

t.test("where nothing stays a client is published what all are, under its version", async (t) => {
	const [before, after, replaced] = [plan({ v1: [1] }), plan({ v1: [1, 2] }), plan({ v1: [2] })];
	const published = (target: Snapshot) => {
		const leaving = new LeavingEndpoints();
		leaving.note(before.views.endpoints, () => () => true, before, 0);
		leaving.note(before.views.endpoints, () => () => true, target, 60_000);
		return leaving.published(target);
	};
	t.same(published(after), { view: after.views.endpoints, version: after.versions.endpoints });
	t.not(published(replaced).version, replaced.versions.endpoints);
});
