/**
 * The load reporting service (envoy.service.load_stats.v3). Each Envoy reports its requests per published cluster
 * every few seconds, and the requests in progress, which access logs lack. Authentication is as on the ADS stream.
 * Reports on other clusters are ignored.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type MethodDefinition, type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { ClusterStats } from "../../gen/envoy/config/endpoint/v3/load_report_pb.js";
import {
	type LoadStatsRequest,
	LoadStatsRequestSchema,
	type LoadStatsResponse,
	LoadStatsResponseSchema,
} from "../../gen/envoy/service/load_stats/v3/lrs_pb.js";
import { isFull, mayBeNode, type Peer, type RefusedFor } from "./peer.js";

/** How often an Envoy reports its load, which operators see. */
const LOAD_REPORT_MS = 10_000;

const method: MethodDefinition<LoadStatsRequest, LoadStatsResponse> = {
	path: "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats",
	requestStream: true,
	responseStream: true,
	requestSerialize: (request) => Buffer.from(toBinary(LoadStatsRequestSchema, request)),
	requestDeserialize: (bytes) => fromBinary(LoadStatsRequestSchema, bytes, { readUnknownFields: false }),
	responseSerialize: (response) => Buffer.from(toBinary(LoadStatsResponseSchema, response)),
	responseDeserialize: (bytes) => fromBinary(LoadStatsResponseSchema, bytes),
};

export const LoadReportingServiceDefinition = { streamLoadStats: method };

export type LoadCall = ServerDuplexStream<LoadStatsRequest, LoadStatsResponse>;

/** Load of one cluster (a Service's Variant) from one Envoy since its previous report; in progress: at report time. */
export interface ClusterLoad {
	readonly cluster: string;
	readonly succeeded: number;
	readonly failed: number;
	/** Not sent because a circuit breaker was open. */
	readonly dropped: number;
	readonly inProgress: number;
}

export interface LoadReportsOptions {
	readonly intervalMs?: number;
	/** Called for each report, and with an empty list when an Envoy disconnects. */
	readonly onReport?: (node: string, loads: readonly ClusterLoad[], peer: Peer) => void;
	readonly onRefused: (reason: RefusedFor, id: string | null) => void;
}

interface Reporter {
	readonly call: LoadCall;
	readonly peer: Peer;
	node: string | null;
}

export class LoadReports {
	#clusters: readonly string[] = [];
	readonly #known = new Set<string>();
	readonly #reporters = new Set<Reporter>();

	constructor(private readonly options: LoadReportsOptions) {}

	/** Sets the published clusters. Envoys are notified of a change. */
	follow(clusters: readonly string[]): void {
		if (clusters.length === this.#clusters.length && clusters.every((name) => this.#known.has(name))) return;
		this.#clusters = [...clusters];
		this.#known.clear();
		for (const name of clusters) this.#known.add(name);
		for (const reporter of this.#reporters) if (reporter.node !== null) this.#ask(reporter);
	}

	/** @param gateways of the Envoy, as on its ADS stream. An Envoy without Gateways is refused. */
	connect(call: LoadCall, peer: Peer, gateways: readonly string[] | null): void {
		const reporter: Reporter = { call, peer, node: null };
		const refuse = (reason: RefusedFor, code: status, details: string): void => {
			this.options.onRefused(reason, peer.kind === "owner" ? null : peer.id);
			call.emit("error", { code, details });
		};
		if (peer.kind === "sidecar") return void refuse("type", status.PERMISSION_DENIED, "only Envoys report loads");
		if (gateways?.length === 0)
			return void refuse("no-gateway", status.PERMISSION_DENIED, "no Gateway is this Envoy's");
		if (isFull(this.#reporters, peer))
			return void refuse("too-many", status.RESOURCE_EXHAUSTED, "too many streams are open");
		this.#reporters.add(reporter);
		const end = (): void => this.#forget(reporter);
		call.on("data", (request: LoadStatsRequest) => {
			if (!this.#reporters.has(reporter)) return;
			const node = request.node?.id ?? "";
			if (reporter.node === null) {
				if (node === "" || !mayBeNode(peer, node))
					return void refuse("another-node", status.PERMISSION_DENIED, "node.id is not the client's own");
				reporter.node = node;
				this.#ask(reporter);
			} else if (node !== "" && node !== reporter.node)
				return void refuse("another-node", status.PERMISSION_DENIED, `the stream is of node ${reporter.node}`);
			if (request.clusterStats.length > 0)
				this.options.onReport?.(reporter.node, this.#read(request.clusterStats), peer);
		});
		for (const event of ["end", "error", "cancelled", "close"]) call.on(event, end);
	}

	close(): void {
		for (const { call } of this.#reporters) call.emit("error", { code: status.UNAVAILABLE, details: "shutting down" });
		this.#reporters.clear();
	}

	#forget(reporter: Reporter): void {
		if (!this.#reporters.delete(reporter)) return;
		reporter.call.end();
		if (reporter.node !== null) this.options.onReport?.(reporter.node, [], reporter.peer);
	}

	#ask({ call }: Reporter): void {
		const { intervalMs = LOAD_REPORT_MS } = this.options;
		call.write(
			create(LoadStatsResponseSchema, {
				clusters: [...this.#clusters],
				loadReportingInterval: durationFromMs(intervalMs),
			}),
		);
	}

	#read(stats: readonly ClusterStats[]): readonly ClusterLoad[] {
		const loads = new Map<string, ClusterLoad>();
		for (const { clusterName, upstreamLocalityStats, totalDroppedRequests } of stats) {
			if (!this.#known.has(clusterName)) continue;
			const sum = (pick: (one: (typeof upstreamLocalityStats)[number]) => bigint): number =>
				Number(upstreamLocalityStats.reduce((total, one) => total + pick(one), 0n));
			loads.set(clusterName, {
				cluster: clusterName,
				succeeded: sum((one) => one.totalSuccessfulRequests),
				failed: sum((one) => one.totalErrorRequests),
				dropped: Number(totalDroppedRequests),
				inProgress: sum((one) => one.totalRequestsInProgress),
			});
		}
		return [...loads.values()];
	}
}
