/** The alarms that the status and readiness answers report. */
import type { GatewayAlarm } from "./wire.js";

export interface AlarmSources {
	/** Of all Gateways; null = the probe does not answer. Never rejects. */
	readonly alarms: () => Promise<readonly GatewayAlarm[] | null>;
	/** Of control itself. Never rejects. @param tooLate resolves when the answer must be given; alarms that come later are left out */
	readonly ownAlarms: (tooLate?: Promise<null>) => Promise<readonly GatewayAlarm[]>;
}
