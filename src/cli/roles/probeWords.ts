/** Why Gateways, and Services, are not probed. */
import type { ProbeRound } from "../../probe/prober.js";
import type { Unprobed } from "./probeReport.js";

export const REFUSED = "its listener is refused (weir proxy-status)";
const CHANGED = "it changed while it was to be probed: ask again";
const UNSENT = "the probe could not be sent there: ask again";
export const AWAY = "neither it nor its weir envoy is connected to control";
/** It may only try again. */
export const NOT_YET = "its weir envoy has not answered control yet";
/** Or says so. */
export const STARTING = "its Envoy says that it is starting, and has not listened yet";
export const LATE = "its round takes long, and has not ended yet";
export const SHARED = "other Envoys have its SPIFFE id too, and are not probed: give each an id of its own";

/** Of this machine's Envoy. */
export const HERE = {
	/** Or the one that is here was started where xDS did not reach it. */
	elsewhere: "no Envoy of this machine has its listener",
	late: "this machine's Envoy has not taken what is declared (weir proxy-status)",
	missing: "this machine's Envoy has not taken it, or it changes again and again (weir proxy-status)",
	unattended: "",
};

/** Of one of another machine. */
export const THERE: typeof HERE = {
	elsewhere: "it has no such listener (weir proxy-status)",
	late: "it has not taken what is declared (weir proxy-status)",
	missing: "it has not taken it, or it changes again and again (weir proxy-status)",
	unattended: "its weir envoy does not answer control: run this Envoy by a weir envoy of control's version",
};

/** What was left out of this round alone, but for what is told already. */
export function leftMeanwhile(skipped: ProbeRound["skipped"], told: readonly Unprobed[]): readonly Unprobed[] {
	const left = new Map<string, { readonly gateway: string; readonly why: string; readonly services: string[] }>();
	for (const { gateway, service, unsent } of skipped) {
		if (told.some((one) => one.gateway === gateway && one.services?.includes(service) !== false)) continue;
		const why = unsent ? UNSENT : CHANGED;
		const key = `${gateway} ${why}`;
		left.set(key, { gateway, why, services: [...(left.get(key)?.services ?? []), service] });
	}
	return [...left.values()];
}
