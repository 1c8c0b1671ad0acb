/**
 * `weir report EXPERIMENT`: the current state and all decisions of an Experiment, as text, as an HTML page, or as JSON.
 */
import { writeFile } from "node:fs/promises";
import { claimName, scaleOf, size } from "../../decide/report/format.js";
import { reportPage } from "../../decide/report/page/page.js";
import { type Report, reportOf } from "../../decide/report/report.js";
import type { Decision } from "../../decide/rollout/decision.js";
import { WeirError } from "../../error.js";
import { endsOf } from "../../infer/statistics/finding.js";
import type { ApiClient } from "../../operate/api/apiClient.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { type NamespaceArgument, nameIn } from "./namespace.js";

export interface ReportArguments extends ApiArguments, NamespaceArgument {
	readonly html?: string;
	readonly json?: boolean;
}

/** @throws WeirError `not-found` for an unknown experiment, `invalid-argument` for a file that cannot be written */
export async function report(experiment: string, options: ReportArguments): Promise<void> {
	const made = await reportFrom(clientOf(options), nameIn(experiment, options));
	if (options.html !== undefined) await writePage(made, options.html);
	if (options.json) process.stdout.write(`${JSON.stringify(made, null, 2)}\n`);
	else if (options.html !== "-") process.stdout.write(asText(made, options.html));
}

/** The report as it is now. */
export async function reportFrom(client: ApiClient, experiment: string): Promise<Report> {
	const { noEvidence, ...state } = await client.standing(experiment);
	if (noEvidence !== "") process.stderr.write(`weir: no fresh evidence: ${noEvidence}\n`);
	const decisions: Decision[] = [];
	for await (const decision of client.allDecisions(experiment)) decisions.push(decision);
	return reportOf({ ...state, decisions });
}

async function writePage(made: Report, file: string): Promise<void> {
	const page = reportPage(made);
	if (file === "-") return void process.stdout.write(page);
	try {
		await writeFile(file, page);
	} catch (error) {
		throw new WeirError("invalid-argument", `cannot write ${file}: ${(error as Error).message}`, "", { cause: error });
	}
}

function asText({ name, answer, claims, metrics }: Report, file: string | undefined): string {
	const { state, sentence, because, next, howLong } = answer;
	const rows = claims.map((finding) => {
		const { arm, metric, role, verdict, improvement, note } = finding;
		const ends = endsOf(finding);
		const scale = scaleOf(metrics[metric], finding.relative);
		const interval =
			ends === null
				? note
				: `${size(scale, improvement)}, between ${size(scale, ends.lower)} and ${size(scale, ends.upper)}`;
		return `  ${verdict.padEnd(8)} ${role.padEnd(10)} ${claimName(finding, metrics[metric])} of ${arm}: ${interval}`;
	});
	const lines = [
		`${name}: ${state}`,
		sentence,
		...(because === "" ? [] : [because]),
		`Next: ${next}`,
		...(howLong === "" ? [] : [`How long: ${howLong}`]),
		...(rows.length === 0 ? [] : ["Improvements, which hold at every look:", ...rows]),
		...(file === undefined ? ["A page of all pictures and numbers: --html FILE"] : [`Page: ${file}`]),
	];
	return `${lines.join("\n").replaceAll("\u00A0", " ")}\n`;
}
