/** The context of control or ingest inside a test: UNIX sockets only, and every log line kept. */
import type { RoleContext } from "../../../src/cli/roles/role.js";
import type { Places } from "../../../src/cli/stack/places.js";
import { createLog } from "../../../src/observe/telemetry/log.js";
import { createMeter } from "../../../src/observe/telemetry/meter.js";

export const roleContext = (at: Places, role: string, lines: string[] = []): RoleContext => ({
	at,
	log: createLog({ role, environment: {}, write: (line) => void lines.push(line) }),
	meter: createMeter({ role }),
	traceSamplingPercent: 0,
	identity: null,
	xdsListen: null,
	accessLogListen: null,
	envoyGateways: new Map(),
	gatewayPortsFile: null,
});
