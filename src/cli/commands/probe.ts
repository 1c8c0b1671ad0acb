/** `weir probe`: the bypass probe at every Envoy, now. */
import { NONE } from "../../compile/access/bypass/served.js";
import { WeirError } from "../../error.js";
import type { ProbedEnvoy } from "../roles/probeDesk.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { oneLine } from "./oneLine.js";

/** Exit code 1 unless every Envoy has answered and denied each probe. */
export async function probe(options: ApiArguments & { readonly json?: boolean }): Promise<void> {
	const { status, json } = await clientOf(options).raw("POST", "/v1/probe", {
		contentType: "application/json",
		text: "{}",
	});
	if (status !== 200) {
		const error = (json as { readonly error?: { readonly message?: string; readonly hint?: string } } | null)?.error;
		throw new WeirError("unavailable", error?.message ?? "control cannot probe", error?.hint ?? "");
	}
	const envoys = json as readonly ProbedEnvoy[] | null;
	if (envoys === null) throw new WeirError("unavailable", "no Envoy is connected, so that nothing was probed");
	if (envoys.some(isFailed)) process.exitCode = 1;
	const text = options.json === true ? JSON.stringify(envoys, null, 2) : envoys.flatMap(linesOf).join("\n");
	process.stdout.write(`${text}\n`);
}

function isFailed({ report, fresh }: ProbedEnvoy): boolean {
	if (report === null || !fresh || report.unjudged.envoy + report.unjudged.sidecar > 0) return true;
	const outcomes = new Set(report.results.map(({ outcome }) => outcome));
	return outcomes.has("bypassed") || outcomes.has("unanswered") || (outcomes.size > 0 && !outcomes.has("denied"));
}

function linesOf({ envoy, report, fresh }: ProbedEnvoy): readonly string[] {
	const { envoy: native, sidecar } = report?.unjudged ?? NONE;
	const results = report?.results ?? [];
	return [
		...(fresh ? [] : [`unanswered  Envoy ${envoy}: its weir envoy has not answered in time`]),
		...results.map(({ gateway, service, outcome, detail }) =>
			`${outcome.padEnd(10)}  Envoy ${envoy}  Gateway ${gateway}  Service ${service}  ${detail}`.trimEnd(),
		),
		...(native + sidecar === 0
			? []
			: [`bypassed    Envoy ${envoy}: requests that were served without a verdict: ${native + sidecar}`]),
		...(fresh && results.length === 0 ? [`Envoy ${envoy}: no Service is protected, so that nothing was probed`] : []),
	].map(oneLine);
}
