/**
 * Alarms of Gateways that xds alone knows, for api: of the bypass probe, of issuers' keys and of Gateways that no client can
 * connect to.
 */
import type { GatewayAlarm } from "../../operate/api/wire.js";
import { readJson } from "./metrics.js";

export const TROUBLES_PATH = "/troubles-json";

/** null = xds does not answer. Never rejects. */
export const readGatewayTroubles = (xdsSocket: string): Promise<readonly GatewayAlarm[] | null> =>
	readJson<readonly GatewayAlarm[]>(xdsSocket, TROUBLES_PATH);
