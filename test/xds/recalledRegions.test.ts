/** An xds that starts anew knows by which DataClass a Service was bound that went meanwhile: Envoys come back with its clusters. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import type { DiscoveryResponse } from "../../src/gen/envoy/service/discovery/v3/discovery_pb.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { type EnvoyTypeName, receivedResource } from "../../src/xds/resource.js";
import { SENT_VIEWS_BOUNDS } from "../../src/xds/sentViews.js";
import { XdsServer } from "../../src/xds/server.js";
import { ViewShelf } from "../../src/xds/viewShelf.js";
import { temporaryDirectory } from "../cli/command.js";
import { gateway, metadata, resourceSet, service } from "../fixtures/resources.js";
import { AdsClient } from "./adsClient.js";

/** Of a Service that gives way to another one. */
interface Declared {
	readonly name: "model" | "other";
	readonly dataClass: string | null;
	/** Of the DataClass; null = it is not there. */
	readonly regions: readonly string[] | null;
	readonly address: string;
	/** Where that is. */
	readonly region: string;
}

const CLUSTERS = ["model/v1", "other/v1"];
type Has = Readonly<Partial<Record<EnvoyTypeName, DiscoveryResponse>>>;

/** An xds, and an Envoy that comes with what it has. */
async function xdsIn(t: Parameters<typeof temporaryDirectory>[0]) {
	const directory = await temporaryDirectory(t);
	const folder = join(directory, "sent-views");
	const troubles: string[] = [];
	/** @returns what the Envoy is told first of each type */
	const run = async ({ name, dataClass, regions, address, region }: Declared, has: Has = {}): Promise<Has> => {
		const onTrouble = (why: string): void => void troubles.push(why);
		const shelf = await ViewShelf.open(folder, { bounds: SENT_VIEWS_BOUNDS, onTrouble });
		const server = new XdsServer({ shelf });
		const socketPath = join(directory, "ads.sock");
		await server.listen({ socketPath });
		const endpoint = { address, port: 12, locality: { region, zone: "", subZone: "" } };
		const classes =
			regions === null ? [] : [{ kind: "DataClass" as const, metadata: metadata("health"), spec: { regions } }];
		const services = [service(name, [{ name: "v1", endpoints: [endpoint] }], { dataClass })];
		const set = resourceSet({ gateways: [gateway()], services, dataClasses: classes });
		server.publish(compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS }), 1);
		const client = new AdsClient(`unix:${socketPath}`);
		const told: Partial<Record<EnvoyTypeName, DiscoveryResponse>> = {};
		for (const [type, names] of [
			["clusters", []],
			["endpoints", CLUSTERS],
			...(has.clusters === undefined
				? ([
						["listeners", []],
						["routes", ["weir/edge"]],
					] as const)
				: []),
		] as const) {
			if (type === "endpoints" && address.includes("example")) continue;
			client.ask(type, names, has[type], { node: "edge" });
			told[type] = await client.next();
			if (has.clusters === undefined) client.ask(type, names, told[type]);
		}
		client.close();
		await server.close();
		await shelf.close();
		return told;
	};
	return { folder, troubles, run };
}

const hosts = (type: EnvoyTypeName, told: DiscoveryResponse | undefined): Readonly<Record<string, readonly string[]>> =>
	Object.fromEntries(
		(told?.resources ?? []).map((one) => receivedResource(type, one)).map((one) => [one.name, one.hosts]),
	);

const BOTH = ["us", "ae"];
const MODEL: Declared = { name: "model", dataClass: "health", regions: BOTH, address: "pods.example", region: "us" };
const OTHER: Declared = { name: "other", dataClass: null, regions: BOTH, address: "else.example", region: "ae" };

t.test("an endpoint that its DataClass forbids since then is in no message", async (t) => {
	for (const regions of [null, ["ae"], BOTH]) {
		const stays = regions === BOTH;
		const { run, troubles } = await xdsIn(t);
		const has = await run(MODEL);
		const { clusters } = await run({ ...OTHER, regions }, has);
		t.same(Object.keys(hosts("clusters", clusters)).sort(), stays ? CLUSTERS : ["other/v1"]);

		const byAddress = await xdsIn(t);
		const had = await byAddress.run({ ...MODEL, address: "10.0.0.1" });
		const { endpoints } = await byAddress.run({ ...OTHER, address: "10.0.0.2", regions }, had);
		t.same(hosts("endpoints", endpoints), { "model/v1": stays ? ["10.0.0.1:12"] : [], "other/v1": ["10.0.0.2:12"] });
		t.same([...troubles, ...byAddress.troubles], []);
	}
});

t.test("nor after two starts, and none goes sooner that no DataClass bound, wherever it is now", async (t) => {
	const { run } = await xdsIn(t);
	const has = await run(MODEL);
	await run(OTHER);
	const { clusters } = await run({ ...OTHER, regions: ["ae"] }, has);
	t.same(Object.keys(hosts("clusters", clusters)), ["other/v1"]);

	const free = await xdsIn(t);
	const had = await free.run({ ...MODEL, dataClass: null });
	const moved = await free.run({ ...OTHER, address: MODEL.address }, had);
	t.same(Object.keys(hosts("clusters", moved.clusters)).sort(), CLUSTERS);
});

t.test("where nobody can read by what it was bound, what stands where it stood goes on", async (t) => {
	for (const [what, spoils] of [
		["another version kept nothing", (file: string) => rm(file)],
		["torn", (file: string) => writeFile(file, "[{")],
		["foreign", (file: string) => writeFile(file, '[{"name":"model"}]')],
		["a folder", (file: string) => rm(file).then(() => mkdir(file))],
	] as const) {
		const { run, folder, troubles } = await xdsIn(t);
		const has = await run(MODEL);
		const file = join(folder, "residents.json");
		t.match(await readFile(file, "utf8"), /health/);
		await spoils(file);
		const { clusters } = await run({ ...OTHER, regions: null }, has);
		t.same(Object.keys(hosts("clusters", clusters)).sort(), CLUSTERS, what);
		const [unread, ...others] = troubles;
		if (what.startsWith("another")) t.equal(unread, undefined);
		else t.match(unread, /residents\.json cannot be read, so that endpoints/);
		t.ok(others.every((why) => what === "a folder" && why.includes("cannot be written")));
	}
});
