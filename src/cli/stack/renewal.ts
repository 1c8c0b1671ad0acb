/** Reports in metrics and log whether this process's own identity is renewed. */

import type { Log } from "../../observe/telemetry/log.js";
import type { Meter } from "../../observe/telemetry/meter.js";
import { isUnrenewed, type Validity } from "../../trust/identity/validity.js";
import { logWhile } from "./logWhile.js";

/** Only where a process has an identity. */
export const IDENTITY_GAUGES = {
	left: {
		name: "weir_identity_left_seconds",
		help: "Until the newest SVID of this process ends; below 0 it has ended.",
	},
	unrenewed: {
		name: "weir_identity_unrenewed",
		help: "1 = the agent (weir ca, SPIRE) should have given a newer SVID long ago: less than a quarter of its life is left.",
	},
} as const;

/**
 * @param validity of the newest SVID; null = there is none
 * @returns a meter that updates these gauges whenever it is read
 */
export function watchRenewal(
	meter: Meter,
	log: Pick<Log, "error" | "info">,
	validity: () => Validity | null,
): { readonly meter: Meter; close(): void } {
	const look = (): void => {
		const now = validity();
		if (now === null) return;
		const { left, unrenewed } = IDENTITY_GAUGES;
		meter.gauge(left.name, left.help, (now.notAfterMs - Date.now()) / 1_000);
		meter.gauge(unrenewed.name, unrenewed.help, isUnrenewed(now, Date.now()) ? 1 : 0);
	};
	const close = logWhile(
		log,
		() => {
			const now = validity();
			if (now === null || !isUnrenewed(now, Date.now())) return null;
			return `the last SVID that its agent gave ends at ${new Date(now.notAfterMs).toISOString()}`;
		},
		"the own identity is not renewed",
		"the own identity is renewed again",
	);
	const read =
		<T>(page: () => Promise<T>) =>
		(): Promise<T> => {
			look();
			return page();
		};
	return { meter: { ...meter, text: read(meter.text), json: read(meter.json) }, close };
}
