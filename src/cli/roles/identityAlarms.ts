/** Processes on control's machine whose SVID is not renewed, by their own gauges (renewal.ts), for `weir status`. */

import type { MetricsJson } from "../../observe/telemetry/meter.js";
import { type GatewayAlarm, IDENTITY_UNRENEWED } from "../../operate/api/wire.js";
import { IDENTITY_GAUGES } from "../stack/renewal.js";
import { gaugesOf } from "./metrics.js";

/** @param metrics one entry or more for each process; null = the process does not answer */
export function unrenewedIdentities(
	metrics: readonly (MetricsJson | null)[],
	nowMs: number = Date.now(),
): readonly GatewayAlarm[] {
	const gauges = metrics.flatMap(gaugesOf);
	const byRole = (wanted: string): ReadonlyMap<string, number> =>
		new Map(
			gauges
				.filter(({ name }) => name === wanted)
				.flatMap(({ values }) => values.map(({ labels, value }) => [labels.role ?? "", value] as const)),
		);
	const left = byRole(IDENTITY_GAUGES.left.name);
	const late = [...byRole(IDENTITY_GAUGES.unrenewed.name)].filter(([, value]) => value === 1);
	if (late.length === 0) return [];
	const why = late.map(([role]) => validity(role, left.get(role) ?? 0, nowMs)).join("; ");
	return [{ gateway: "", alarm: IDENTITY_UNRENEWED, why }];
}

function validity(role: string, leftSeconds: number, nowMs: number): string {
	const holder = role === "sidecar" ? "the sidecar's SVID" : `control's SVID (${role})`;
	// Rounded, because certificates end at whole seconds.
	const end = new Date(Math.round(nowMs / 1_000 + leftSeconds) * 1_000).toISOString();
	return leftSeconds > 0 ? `${holder} is valid until ${end}` : `${holder} expired at ${end}`;
}
