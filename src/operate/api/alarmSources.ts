/** The alarms that the status and readiness answers report. */
import type { GatewayAlarm } from "./wire.js";

export interface AlarmSources {
	/** Probe alarms of all Gateways; null = the probe does not answer. Never rejects. */
	readonly alarms: () => Promise<readonly GatewayAlarm[] | null>;
	/** Alarms of control itself. Never rejects. @param tooLate ends the wait; alarms that come later are left out */
	readonly ownAlarms: (tooLate?: Promise<null>) => Promise<readonly GatewayAlarm[]>;
}
