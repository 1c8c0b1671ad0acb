/** The options of control and ingest, and what they return. */

import type { Log } from "../../observe/telemetry/log.js";
import type { Meter } from "../../observe/telemetry/meter.js";
import type { TcpListener } from "../../operate/api/caller.js";
import type { Identity } from "../../trust/identity/svid.js";
import type { Places } from "../stack/places.js";

export interface RoleContext {
	readonly at: Places;
	readonly log: Log;
	readonly meter: Meter;
	readonly traceSamplingPercent: number;
	/** SVID of this process; null = none, so it listens on UNIX sockets only. */
	readonly identity: Identity | null;
	/** The API over TCP; null = on its UNIX socket only. */
	readonly apiListener?: TcpListener | null;
	/** Who may do everything on the API before any RoleBinding says so. */
	readonly apiAdmins?: readonly string[];
	/** Whether gates may lie on this machine. */
	readonly allowLocalGates?: boolean;
	/** xDS over TCP, for Envoys of other machines; null = on its UNIX socket only. */
	readonly xdsListen: { readonly host: string; readonly port: number } | null;
	/** Envoy's access log over TCP, likewise. */
	readonly accessLogListen: { readonly host: string; readonly port: number } | null;
	/** Gateways of an Envoy by its SPIFFE id, on TCP listeners: gatewaysOfEnvoy. */
	readonly envoyGateways: ReadonlyMap<string, readonly string[]>;
	/** What of allowed requests ingest records: `denied` (none), a percentage, `all`; by default none. */
	readonly decisionLog?: string;
	/** File of the ports of Gateways that declare 0; null = Envoy chooses. */
	readonly gatewayPortsFile: string | null;
}

/** What `--envoy-gateways` says of an Envoy: `*` = every Gateway (null); an id that is not named has none. */
export function gatewaysOfEnvoy(listed: RoleContext["envoyGateways"], id: string): readonly string[] | null {
	const own = listed.get(id) ?? [];
	return own.includes("*") ? null : own;
}

export interface RunningRole {
	/** The report to the supervisor. */
	readonly ready: unknown;
	/** The API's listener uses another certificate for new connections. */
	renewApi?(tls: TcpListener["tls"]): void;
	close(): Promise<void>;
}
