/** What every role of control is given, and what it gives back to the process that runs it. */
import type { Log } from "../../telemetry/log.js";
import type { Meter } from "../../telemetry/meter.js";
import type { Places } from "../stack/places.js";

export interface RoleContext {
	readonly at: Places;
	readonly log: Log;
	readonly meter: Meter;
	readonly traceSamplingPercent: number;
	readonly apiAddress: string;
	readonly apiPort: number;
	/** Ports of Gateways that declare 0, by qualified name; without one Envoy chooses. */
	readonly gatewayPorts: ReadonlyMap<string, number>;
}

export interface RunningRole {
	/** What the supervisor is told. */
	readonly ready: unknown;
	close(): Promise<void>;
}
