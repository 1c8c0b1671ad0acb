/** What `weir status` says first: alarms of the built-in probe that stand now, and Gateways that it leaves out, from of control's metrics. */
import type { ApiClient } from "../../state/apiClient.js";
import { PROBE_ALARM, PROBE_LEFT_OUT } from "../roles/probe.js";

export const ALARM_WORDS: Readonly<Record<string, string>> = {
	"probe-passed": "a request that every policy denies was not refused",
	"probe-misjudged": "the filter that must refuse the built-in probe did not, another one did",
	"probe-unanswered": "no verdict can be had, or nobody listens",
	"served-unjudged": "requests of protected Services were served and none was judged",
};

/** Prints a line per alarm. Only for who may read control's metrics. */
export async function printAlarms(client: ApiClient): Promise<void> {
	const { status, text } = await client.raw("GET", "/metrics");
	if (status === 200) for (const line of alarmLines(text)) process.stdout.write(`${line}\n`);
}

/** @param metrics Prometheus text */
export function alarmLines(metrics: string): readonly string[] {
	return metrics.split("\n").flatMap((line) => {
		if (!line.endsWith("} 1")) return [];
		const label = (name: string): string => new RegExp(`[{,]${name}="([^"]*)"`).exec(line)?.[1] ?? "";
		if (line.startsWith(`${PROBE_LEFT_OUT}{`)) return [`not probed: Gateway ${label("gateway")}: ${label("why")}`];
		if (!line.startsWith(`${PROBE_ALARM}{`)) return [];
		return [`ALARM ${label("alarm")} at Gateway ${label("gateway")}: ${ALARM_WORDS[label("alarm")] ?? ""}`];
	});
}
