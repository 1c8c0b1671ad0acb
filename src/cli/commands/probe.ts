/** `weir probe`: the built-in probe of a bypass, now, and what each listener answered it. */
import { addressOf } from "../../access/bypass/foreignListeners.js";
import { WeirError } from "../../error.js";
import { type ProbeReport, UNCOUNTED_ROUNDS } from "../roles/probe.js";
import { ALARM_WORDS } from "./alarms.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { oneLine } from "./oneLine.js";

const print = (line: string): void => void process.stdout.write(`${oneLine(line)}\n`);

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
	const someMissing = unprobed.some(({ services }) => services !== undefined);
	if (isAlarm || someMissing || (answers.length === 0 && unprobed.length > 0)) process.exitCode = 1;
	if (options.json === true) {
		process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
		return;
	}
	for (const { gateway, service, guard, status, reason, alarm } of answers) {
		const answer = status === null ? "no answer" : `${status}${reason === null ? "" : ` ${reason}`}`;
		const words = alarm === null ? "" : `  ${alarm}: ${ALARM_WORDS[alarm]}`;
		print(
			`${alarm === null ? "ok   " : "ALARM"}  Gateway ${gateway}  Service ${service}  ${guard.padEnd(5)}  ${answer}${words}`,
		);
	}
	for (const { alarm, gateway, services, served } of unjudged) {
		print(`ALARM  Gateway ${gateway}  ${services.join(", ")}: ${served} served  ${alarm}: ${ALARM_WORDS[alarm]}`);
	}
	for (const { alarm, service, served } of past) {
		print(`ALARM  Service ${service}: ${served} served  ${alarm}: by no Gateway's listener, or by no route of Weir's`);
	}
	for (const one of foreign) {
		print(
			`ALARM  listener ${one.listener}  ${addressOf(one)}  ${one.alarm}: no Gateway's, and judged by nothing of Weir's`,
		);
	}
	for (const { alarm, gateway, refused: count } of refused) {
		print(`ALARM  Gateway ${gateway}  ${count} refused  ${alarm}: ${ALARM_WORDS[alarm]}`);
	}
	for (const { alarm, gateway, dropped: count } of dropped) {
		print(`ALARM  Gateway ${gateway}  ${count} dropped  ${alarm}: ${ALARM_WORDS[alarm]}`);
	}
	for (const { alarm, gateway, service } of standing) {
		print(`ALARM  Gateway ${gateway}  Service ${service}  not probed now, before  ${alarm}: ${ALARM_WORDS[alarm]}`);
	}
	for (const { alarm, gateway, why, rounds } of uncounted) {
		const isAlarm = rounds >= UNCOUNTED_ROUNDS;
		const words = isAlarm ? `  ${alarm}: ${ALARM_WORDS[alarm]}` : ", in this round";
		print(`${isAlarm ? "ALARM  " : ""}verdicts are not counted: Gateway ${gateway}: ${why}${words}`);
	}
	for (const { alarm } of forgotten) print(`ALARM  ${alarm}: ${ALARM_WORDS[alarm]}`);
	for (const { gateway, why, services } of unprobed) {
		const what = services === undefined ? "" : `, ${services.join(", ")}`;
		print(`not probed: Gateway ${gateway}${what}: ${why}`);
	}
	if (answers.length + standing.length + unprobed.length === 0)
		print("no Service is protected, so that there is nothing to probe");
}
