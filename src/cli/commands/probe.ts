/** `weir probe`: the built-in probe of a bypass, now, and what each listener answered it. */
import { addressOf } from "../../access/bypass/foreignListeners.js";
import { WeirError } from "../../error.js";
import { type ProbeReport, UNCOUNTED_ROUNDS } from "../roles/probeReport.js";
import { ALARM_WORDS, ofEnvoy } from "./alarms.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { oneLine } from "./oneLine.js";

const print = (line: string): void => void process.stdout.write(`${oneLine(line)}\n`);

/** @param gateway empty = it is of its Envoy */
const place = (gateway: string, envoy: string | undefined): string => {
	if (gateway !== "") return `Gateway ${gateway}${ofEnvoy(envoy)}`;
	return envoy === undefined ? "this machine's Envoy" : `Envoy ${envoy}`;
};

/** Exit code 1 on any alarm, and where nothing could be probed, or some of what is there: it proves nothing then. */
export async function probe(options: ApiArguments & { readonly json?: boolean }): Promise<void> {
	const { status, json } = await clientOf(options).raw("POST", "/v1/probe", {
		contentType: "application/json",
		text: "{}",
	});
	if (status !== 200) {
		const error = (json as { readonly error?: { readonly message?: string; readonly hint?: string } } | null)?.error;
		throw new WeirError("unavailable", error?.message ?? "control cannot probe", error?.hint ?? "");
	}
	const report = json as ProbeReport | null;
	if (report === null)
		throw new WeirError("unavailable", "no Envoy is connected, or it is starting, so that nothing was probed");
	const { answers, unjudged, past, foreign, refused, dropped, standing, unprobed, uncounted, forgotten } = report;
	const blind = uncounted.filter(({ rounds }) => rounds >= UNCOUNTED_ROUNDS).length;
	const told =
		blind +
		[unjudged, past, foreign, refused, dropped, standing, forgotten].reduce((sum, { length }) => sum + length, 0);
	const isAlarm = told > 0 || answers.some(({ alarm }) => alarm !== null);
	// Of each Envoy all, or of a Gateway some.
	const someMissing = unprobed.some(({ services, gateway, envoy }) => {
		const asked = answers.filter((one) => one.envoy === envoy);
		return services !== undefined || asked.length === 0 || asked.some((one) => one.gateway === gateway);
	});
	if (isAlarm || someMissing) process.exitCode = 1;
	if (options.json === true) {
		process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
		return;
	}
	for (const { gateway, service, guard, status, reason, alarm, envoy } of answers) {
		const answer = status === null ? "no answer" : `${status}${reason === null ? "" : ` ${reason}`}`;
		const words = alarm === null ? "" : `  ${alarm}: ${ALARM_WORDS[alarm]}`;
		print(
			`${alarm === null ? "ok   " : "ALARM"}  ${place(gateway, envoy)}  Service ${service}  ${guard.padEnd(5)}  ${answer}${words}`,
		);
	}
	for (const { alarm, gateway, services, served, envoy } of unjudged) {
		print(`ALARM  ${place(gateway, envoy)}  ${services.join(", ")}: ${served} served  ${alarm}: ${ALARM_WORDS[alarm]}`);
	}
	for (const { alarm, service, served, envoy } of past) {
		print(
			`ALARM  Service ${service}${ofEnvoy(envoy)}: ${served} served  ${alarm}: by no Gateway's listener, or by no route of Weir's`,
		);
	}
	for (const one of foreign) {
		print(
			`ALARM  listener ${one.listener}${ofEnvoy(one.envoy)}  ${addressOf(one)}  ${one.alarm}: no Gateway's, and judged by nothing of Weir's${one.more === undefined ? "" : `; and ${one.more} others that are none`}`,
		);
	}
	for (const { alarm, gateway, refused: count, envoy } of refused) {
		print(`ALARM  ${place(gateway, envoy)}  ${count} refused  ${alarm}: ${ALARM_WORDS[alarm]}`);
	}
	for (const { alarm, gateway, dropped: count, envoy } of dropped) {
		print(`ALARM  ${place(gateway, envoy)}  ${count} dropped  ${alarm}: ${ALARM_WORDS[alarm]}`);
	}
	for (const { alarm, gateway, service, envoy } of standing) {
		print(
			`ALARM  ${place(gateway, envoy)}  Service ${service}  not probed now, before  ${alarm}: ${ALARM_WORDS[alarm]}`,
		);
	}
	for (const { alarm, gateway, why, rounds, envoy } of uncounted) {
		const isAlarm = rounds >= UNCOUNTED_ROUNDS;
		const words = isAlarm ? `  ${alarm}: ${ALARM_WORDS[alarm]}` : ", in this round";
		print(`${isAlarm ? "ALARM  " : ""}verdicts are not counted: ${place(gateway, envoy)}: ${why}${words}`);
	}
	for (const { alarm, envoy } of forgotten) print(`ALARM  ${alarm}${ofEnvoy(envoy)}: ${ALARM_WORDS[alarm]}`);
	for (const { gateway, why, services, envoy } of unprobed) {
		const what = services === undefined ? "" : `, ${services.join(", ")}`;
		print(`not probed: ${place(gateway, envoy)}${what}: ${why}`);
	}
	if (answers.length + standing.length + unprobed.length === 0)
		print("no Service is protected, so that there is nothing to probe");
}
