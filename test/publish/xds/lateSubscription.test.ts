/** A client that subscribes to the endpoints of a removed cluster gets an empty list at once, and takes later changes. */
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import type { CompiledPlan } from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { Variant } from "../../../src/declare/resources/resource.js";
import { XDS_LEAVING_MS } from "../../../src/limits/index.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { type Snapshot, SnapshotMaker } from "../../../src/publish/xds/snapshot.js";
import { temporaryDirectory } from "../../cli/command.js";
import { startEnvoy } from "../../envoy/harness.js";
import { gateway, metadata, resourceSet, service } from "../../fixtures/resources.js";
import { A, B, Script, snapshot } from "./script.js";
import { WarmingEnvoy } from "./warmingEnvoy.js";

/** The state of a Service: absent, with an address, with a DNS name, or with an address that its DataClass forbids. */
const STANDS = ["gone", "address", "another address", "dns", "class"] as const;
type Stand = (typeof STANDS)[number];

function planOf(stands: Readonly<Record<string, Stand>>): CompiledPlan {
	const services = Object.entries(stands).flatMap(([name, stand], at) => {
		if (stand === "gone") return [];
		const isAddress = stand === "address" || stand === "another address";
		const [address, port] = [isAddress ? "127.0.0.1" : "localhost", at + 1];
		const endpoint = { address, port: stand === "another address" ? port + 10 : port };
		const locality = { region: "us", zone: "", subZone: "" };
		const variant: Variant = { name: "v1", endpoints: [{ ...endpoint, locality }] };
		return [service(name, [variant], { dataClass: stand === "class" ? "health" : null })];
	});
	const dataClasses = [{ kind: "DataClass" as const, metadata: metadata("health"), spec: { regions: ["ae"] } }];
	const set = resourceSet({ gateways: [gateway()], services, dataClasses });
	return compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS });
}

/** A client of Service a that gets cluster b and its replacement before it asks for b's endpoints. */
function asksLate(after: Snapshot): Script {
	const envoy = new Script(snapshot({ a: A }));
	envoy.start();
	envoy.publish(snapshot({ a: A, b: B }, 2));
	envoy.publish(after);
	return envoy;
}

const EDS = ["a/v1", "a/v2", "b/v1"];
const hostsOf = ({ received }: Script): readonly string[] | undefined => received.at(-1)?.resources.at(-1)?.hosts;

t.test("a late subscription to a removed cluster gets an empty list of endpoints", async (t) => {
	const envoy = asksLate(snapshot({ a: A }, 3));
	t.same(envoy.ask("endpoints", [...EDS, "unknown/v1"]), ["endpoints:b/v1"]);
	t.same(hostsOf(envoy), []);
	t.same(envoy.ack("endpoints"), [], "a name that was never sent gets no response");
	t.same(envoy.agree(envoy.ack("clusters")).slice(0, 1), ["clusters:a/v1,a/v2"]);
	t.ok(envoy.stream.synced(envoy.target));

	const again = asksLate(snapshot({ a: A }, 3));
	again.ask("endpoints", EDS);
	t.same(again.publish(snapshot({ a: A, b: B }, 4)), []);
	again.agree(again.ack("endpoints"));
	t.same(hostsOf(again), ["127.0.0.1:2001"], "it has them when it is back");
});

t.test("a cluster that a reconnected client no longer names is no longer its own", async (t) => {
	const maker = new SnapshotMaker();
	const both = maker.make(planOf({ a: "address", b: "address" }), 1);
	const gone = new Script(both);
	gone.start(["a/v1", "b/v1"]);
	const envoy = new Script(both, gone);
	const { versions } = both;
	envoy.agree([
		...envoy.ask("clusters", [], { version: versions.clusters }),
		...envoy.ask("endpoints", ["a/v1", "b/v1"], { version: versions.endpoints }),
	]);
	const dns = planOf({ a: "address", b: "dns" });
	envoy.agree(envoy.publish(maker.make(dns, 2)));
	envoy.agree(envoy.ask("endpoints", ["a/v1"]));
	for (const next of [planOf({ a: "address", b: "another address" }), dns]) envoy.publish(maker.make(next, 3));
	t.same(envoy.ask("endpoints", ["a/v1", "b/v1"]), ["endpoints:b/v1"], "not silence");
});

t.test("clusters sent before, or held at the reconnect, get no empty list", async (t) => {
	const acknowledged = new Script(snapshot({ a: A }));
	acknowledged.start();
	acknowledged.publish(snapshot({ a: A, b: B }, 2));
	acknowledged.ack("clusters");
	t.same(acknowledged.publish(snapshot({ a: A }, 3)), ["clusters:a/v1,a/v2"]);
	t.same(acknowledged.ask("endpoints", EDS), ["endpoints:b/v1"], "as an Envoy acknowledges while it starts");

	const both = snapshot({ a: A, b: B });
	const gone = new Script(both);
	gone.start(EDS);
	const back = new Script(snapshot({ a: A }, 2), gone);
	back.ask("clusters", [], { version: both.versions.clusters });
	t.same(back.ask("endpoints", EDS), ["endpoints:b/v1,a/v1,a/v2"], "it holds no endpoints");
});

t.test("serving clusters keep their endpoints: the server may not know those of a reconnected client", async (t) => {
	const both = snapshot({ a: A, b: B });
	const gone = new Script(both);
	gone.start(EDS);
	const { versions } = both;
	for (const version of [versions.endpoints, "0123456789abcdef"]) {
		const envoy = new Script(snapshot({ a: A }, 2), gone);
		envoy.ask("clusters", [], { version: versions.clusters });
		envoy.ask("endpoints", EDS, { version });
		envoy.ask("listeners", [], { version: versions.listeners });
		envoy.ask("routes", ["weir/edge"], { version: versions.routes });
		// Until its routes have left b.
		envoy.ack("endpoints");
		envoy.ack("clusters");
		envoy.pump();
		const sent = envoy.received.flatMap(({ type, resources }) => (type === "endpoints" ? resources : []));
		t.same(
			sent.filter(({ name, hosts }) => name === "b/v1" && hosts.length === 0),
			[],
		);
	}
});

t.test(
	"random changes with queued messages: it serves the last, and serving clusters keep their endpoints",
	async () => {
		const stand = fc.constantFrom(...STANDS);
		const stands = fc.record({ a: stand, b: stand, c: stand });
		const step = fc.oneof(
			stands.map((to) => ({ does: "publish", to }) as const),
			fc.constant({ does: "server reads" } as const),
			fc.constant({ does: "client reads" } as const),
		);
		fc.assert(
			fc.property(stands, fc.array(step, { minLength: 10, maxLength: 40 }), (first, steps) => {
				const maker = new SnapshotMaker();
				const bound = new Set<string>();
				const note = (to: Readonly<Record<string, Stand>>): Snapshot => {
					for (const [name, stand] of Object.entries(to)) if (stand === "class") bound.add(`${name}/v1`);
					return maker.make(planOf(to), 1);
				};
				const envoy = new WarmingEnvoy(note(first));
				envoy.rests();
				for (const one of steps) {
					if (one.does === "publish") envoy.publish(note(one.to));
					else if (one.does === "server reads") envoy.serverReads();
					else envoy.reads();
				}
				envoy.rests();
				const emptied = envoy.emptied.filter((name) => !bound.has(name));
				if (emptied.length > 0) throw new Error(`${emptied} were emptied`);
				envoy.rests(XDS_LEAVING_MS);
				if (!envoy.stream.synced(envoy.target))
					throw new Error(`it waits: ${JSON.stringify(envoy.stream.status(envoy.target))}`);
			}),
			{ numRuns: 100 },
		);
	},
);

t.test("a real Envoy that was paused while a Service came and went takes the later changes", async (t) => {
	for (const [before, after] of [
		["address", "gone"],
		["address", "dns"],
		["class", "dns"],
	] as const) {
		const socketPath = join(await temporaryDirectory(t), "ads.sock");
		const server = new XdsServer();
		t.teardown(() => server.close());
		await server.listen({ socketPath });
		const acknowledged = (revision: number): Promise<void> =>
			new Promise((resolve) => server.onAcknowledged((one) => one === revision && resolve()));
		const first = acknowledged(1);
		server.publish(planOf({ app: "address" }), 1);
		const options = { collectors: NO_COLLECTORS, nodeId: "envoy-1" };
		const { pid } = await startEnvoy(t, (adminSocket) => dynamicBootstrap(socketPath, { ...options, adminSocket }));
		await first;
		process.kill(pid, "SIGSTOP");
		const sent = new Promise<void>((resolve) =>
			server.onProxiesChanged(() => server.proxies()[0]?.types.clusters?.state === "STALE" && resolve()),
		);
		server.publish(planOf({ app: "address", fresh: before }), 2);
		await sent;
		const last = acknowledged(3);
		server.publish(planOf({ app: "another address", fresh: after }), 3);
		const stoodMs = performance.now();
		process.kill(pid, "SIGCONT");
		await last;
		// Envoy's initial_fetch_timeout is 15 s; it accepts no other clusters before.
		t.ok(performance.now() - stoodMs < 14_000, `${before}, then ${after}`);
	}
});
