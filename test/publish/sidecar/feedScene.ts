/** A sidecar's feed, the real xDS server, and a proxy between them that can be closed. */
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import type { Test } from "tap";
import type { PlanTable } from "../../../src/compile/plan/compiledPlan.js";
import {
	type DiscoveryRequest,
	type DiscoveryResponse,
	DiscoveryResponseSchema,
} from "../../../src/gen/envoy/service/discovery/v3/discovery_pb.js";
import { TableSchema } from "../../../src/gen/weir/sidecar/v1/table_pb.js";
import { TableFeed, type TableFeedOptions } from "../../../src/publish/sidecar/tableFeed.js";
import { Tables, type VersionedTable } from "../../../src/publish/sidecar/tables.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { AggregatedDiscoveryServiceDefinition } from "../../../src/publish/xds/service.js";
import { published } from "../xds/tinyPlan.js";
import { LogLines } from "./sampleTable.js";

const NO_ENVOY = { clusters: [], endpoints: [], extensions: [], listeners: [], routes: [] };
export const QUICK = { retryMs: { first: 5, max: 20 }, keepaliveMs: { every: 60_000, answer: 60_000 } };
export const compile = ({ version }: VersionedTable) => version;
export const plan = (table: PlanTable) => published(NO_ENVOY, table);
export const NODE = "weir-sidecar/test";

export async function folderOf(t: Test): Promise<string> {
	const folder = await mkdtemp(join(tmpdir(), "weir-feed-"));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	return folder;
}

export async function startServer(t: Test, socketPath: string): Promise<XdsServer> {
	const server = new XdsServer();
	t.teardown(() => server.close());
	await server.listen({ socketPath });
	return server;
}

export const offer = (nonce: string, version: string, json: string): DiscoveryResponse =>
	create(DiscoveryResponseSchema, {
		typeUrl: `type.googleapis.com/${TableSchema.typeName}`,
		...{ nonce, versionInfo: version },
		resources: [anyPack(TableSchema, create(TableSchema, { version, json: Buffer.from(json) }))],
	});

/** A control whose every response comes from the test. */
export async function startControl(
	t: Test,
	socketPath: string,
	onCall: (call: ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>) => void,
): Promise<void> {
	const methods = new Server();
	t.teardown(() => methods.forceShutdown());
	methods.addService(AggregatedDiscoveryServiceDefinition, { streamAggregatedResources: onCall });
	await new Promise<void>((resolve, reject) =>
		methods.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) =>
			error === null ? resolve() : reject(error),
		),
	);
}

export function startFeed(
	t: Test,
	socketPath: string,
	{ tables = new Tables({ compile }), ...options }: Partial<TableFeedOptions<string>> = {},
) {
	const log = new LogLines();
	const feed = new TableFeed({ socketPath, node: NODE, tables, log, ...QUICK, ...options });
	t.teardown(() => feed.close());
	feed.start();
	return { feed, tables, log };
}

/** Resolves when the condition holds; checked at every change of the tables. */
export function until(tables: Tables<string>, condition: () => boolean): Promise<void> {
	if (condition()) return Promise.resolve();
	return new Promise((resolve) => {
		const stop = tables.onChange(() => {
			if (!condition()) return;
			stop();
			resolve();
		});
	});
}

export const serves = (tables: Tables<string>, { version }: { readonly version: string }): Promise<void> =>
	until(tables, () => tables.get(null) === version && tables.confirmed);

/** Resolves when the server reports this state of its first proxy; checked now, and at every change. */
export function reported(server: XdsServer, state: string): Promise<void> {
	return new Promise((resolve) => {
		const look = (): void => {
			if (server.proxies()[0]?.types.tables?.state !== state) return;
			stop();
			resolve();
		};
		const stop = server.onProxiesChanged(look);
		setImmediate(look);
	});
}

export const acknowledged = (server: XdsServer, wanted: number): Promise<void> =>
	new Promise((resolve) => {
		const stop = server.onAcknowledged((revision) => {
			if (revision !== wanted) return;
			stop();
			resolve();
		});
	});

/** A proxy in front of the server that can stall without closing connections. */
export async function startProxy(t: Test, socketPath: string, inside: string) {
	const sockets = new Set<Socket>();
	let frozen = false;
	let asked = "";
	const proxy = createServer((outer) => {
		const inner = connect(inside);
		outer.on("data", (bytes) => {
			asked += bytes.toString("latin1");
		});
		for (const [from, to] of [
			[outer, inner],
			[inner, outer],
		] as const) {
			sockets.add(from);
			from.on("data", (bytes) => frozen || to.write(bytes));
			from.on("error", () => {});
			from.on("close", () => frozen || to.destroy());
		}
	});
	await new Promise<void>((resolve) => proxy.listen(socketPath, resolve));
	t.teardown(() => {
		for (const socket of sockets) socket.destroy();
		proxy.close();
	});
	return {
		/** All bytes from the sidecar; strings of its messages are readable in it. */
		asked: (): string => asked,
		freeze: (): void => {
			frozen = true;
		},
		thaw: (): void => {
			frozen = false;
		},
		/** Like a killed process: without a goodbye message. */
		cut: (): void => {
			for (const socket of sockets) socket.destroy();
			sockets.clear();
		},
	};
}
