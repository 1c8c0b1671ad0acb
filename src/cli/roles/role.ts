/** The options of control and ingest, and what they return. */

import type { Log } from "../../observe/telemetry/log.js";
import type { Meter } from "../../observe/telemetry/meter.js";
import type { TcpListener } from "../../operate/api/caller.js";
import type { Identity } from "../../trust/identity/svid.js";
import type { Places } from "../stack/places.js";
import type { ModelsOptions } from "./models.js";

export interface RoleContext {
	readonly at: Places;
	readonly log: Log;
	readonly meter: Meter;
	readonly traceSamplingPercent: number;
	/** SVID of this process; null = none: it listens on UNIX sockets only. */
	readonly identity: Identity | null;
	/** The API over TCP; null = UNIX socket only. */
	readonly apiListener?: TcpListener | null;
	/** Callers with all rights on the API, without a RoleBinding. */
	readonly apiAdmins?: readonly string[];
	/** Whether gates may be on this machine. */
	readonly allowLocalGates?: boolean;
	/** xDS over TCP, for Envoys on other machines; null = UNIX socket only. */
	readonly xdsListen: { readonly host: string; readonly port: number } | null;
	/** Envoy's access log over TCP, likewise. */
	readonly accessLogListen: { readonly host: string; readonly port: number } | null;
	/** Gateways by SPIFFE id of an Envoy, for TCP listeners: gatewaysOfEnvoy. */
	readonly envoyGateways: ReadonlyMap<string, readonly string[]>;
	/** Share of allowed requests that ingest records: `denied` (none, the default), a percentage, `all`. */
	readonly decisionLog?: string;
	/** Where models come from, and who serves those of Variants without endpoints. */
	readonly models?: Pick<ModelsOptions, "store" | "host">;
	/** File with the ports of Gateways that declare port 0; null = Envoy chooses. */
	readonly gatewayPortsFile: string | null;
}

/** An Envoy's Gateways by `--envoy-gateways`: null = all (`*`); an id that is not listed has none. */
export function gatewaysOfEnvoy(listed: RoleContext["envoyGateways"], id: string): readonly string[] | null {
	const own = listed.get(id) ?? [];
	return own.includes("*") ? null : own;
}

export interface RunningRole {
	/** The report to the supervisor. */
	readonly ready: unknown;
	/** Changes the API listener's certificate for new connections. */
	renewApi?(tls: TcpListener["tls"]): void;
	close(): Promise<void>;
}
