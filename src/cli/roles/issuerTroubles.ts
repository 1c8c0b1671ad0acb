/** What is amiss with the keys of issuers, told by xds, which reads them, to api, which is asked. */
import type { GatewayAlarm } from "../../state/wire.js";
import { readJson } from "./metrics.js";

export const ISSUERS_PATH = "/issuers-json";

/** null = xds does not answer. Never rejects. */
export const readIssuerTroubles = (xdsSocket: string): Promise<readonly GatewayAlarm[] | null> =>
	readJson<readonly GatewayAlarm[]>(xdsSocket, ISSUERS_PATH);
