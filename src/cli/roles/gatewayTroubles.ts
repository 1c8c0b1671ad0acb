/**
 * What is amiss with Gateways that xds alone knows, by the built-in probe, of issuers' keys and of who can connect, told to api,
 * which is asked.
 */
import type { GatewayAlarm } from "../../state/api/wire.js";
import { readJson } from "./metrics.js";

export const TROUBLES_PATH = "/troubles-json";

/** null = xds does not answer. Never rejects. */
export const readGatewayTroubles = (xdsSocket: string): Promise<readonly GatewayAlarm[] | null> =>
	readJson<readonly GatewayAlarm[]>(xdsSocket, TROUBLES_PATH);
