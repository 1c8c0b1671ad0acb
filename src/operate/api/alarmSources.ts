/** The alarms that the status and readiness answers report. */
import type { GatewayAlarm } from "./wire.js";

export interface AlarmSources {
	/** The alarms of Gateways and of control. Never rejects. @param tooLate ends the wait; alarms that come later are left out */
	readonly alarms: (tooLate?: Promise<null>) => Promise<readonly GatewayAlarm[]>;
	/** One sentence if the state has been ahead of what is published for too long, else null. */
	readonly lag: () => string | null;
}
