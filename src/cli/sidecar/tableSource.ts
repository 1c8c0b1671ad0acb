/** Where a process of the sidecar takes its tables from. */
import { hostname } from "node:os";
import { followTableFile } from "../../publish/sidecar/staticTable.js";
import type { ControlAddress } from "../../publish/sidecar/tableStream.js";
import type { Freshness, TableLog, Tables } from "../../publish/sidecar/tables.js";
import type { Workload } from "../../trust/identity/workloadClient.js";

export type TableSource =
	/** A file that a person gives. */
	| { readonly table: string }
	| {
			/** Control's ADS on this machine, or on another one by mTLS: `target` is ADDRESS:PORT. */
			readonly control: { readonly socketPath: string } | { readonly target: string; readonly spiffeId: string };
			/** File of the last good table. Each process has one of its own: see tableFileOf(). */
			readonly file: string;
			/** The same for all processes of one sidecar. */
			readonly instance: string;
	  };

/** The file of a worker; the first, or only, one has the name itself. */
export const tableFileOf = (file: string, worker: number): string =>
	worker === 0 ? file : file.replace(/(\.json)?$/, `-${worker}$1`);

export interface FollowedTables {
	/** How old what calls are answered by is. */
	readonly freshness: Freshness;
	/** Tables of control that were refused. */
	rejected(): number;
	close(): Promise<void>;
}

/** @throws WeirError where the file that a person gives holds no good table */
export async function followTables(
	source: TableSource,
	workload: Workload | null,
	tables: Tables<unknown>,
	log: TableLog,
): Promise<FollowedTables> {
	if ("table" in source) {
		const followed = await followTableFile({ path: source.table, tables, log });
		return { freshness: tables, rejected: () => 0, close: async () => followed.close() };
	}
	// The gRPC client takes memory that a table from a file does not need.
	const { followControl } = await import("../../publish/sidecar/tableFeed.js");
	const { control, file, instance } = source;
	const { feed, freshness, close } = followControl({
		...(await addressOf(control, workload)),
		node: `weir-sidecar/${hostname()}/${process.pid}`,
		...{ filePath: file, instance, tables, log },
	});
	return { freshness, rejected: () => feed.rejected, close };
}

async function addressOf(
	control: Extract<TableSource, { readonly control: unknown }>["control"],
	workload: Workload | null,
): Promise<ControlAddress> {
	if ("socketPath" in control) return control;
	if (workload === null) throw new Error("control of another machine is asked by mTLS alone");
	const { grpcChannelCredentials } = await import("../../trust/identity/grpcTls.js");
	const credentials = grpcChannelCredentials(workload, (server) => server === control.spiffeId);
	return { target: control.target, credentials };
}
