/** The mutation run in figures and lists, as Markdown. */
import { judgementOf } from "./judgement.js";
import type { Verdict } from "./mutation.js";

export interface Summary {
	readonly tried: number;
	readonly killed: number;
	/** Of those: by a test that owns the part, which the parity suite had left alive. */
	readonly byOwners: number;
	/** Survivors that change what a request gets: holes. */
	readonly holes: readonly Verdict[];
	/** Survivors that were looked at: they change nothing that this suite asks. */
	readonly judged: readonly { readonly verdict: Verdict; readonly reason: string }[];
	/** Plan and answers are the same for all generated inputs. */
	readonly unchanged: readonly Verdict[];
	readonly unclear: readonly Verdict[];
	/** killed / (killed + holes). */
	readonly share: number;
	/** killed / (killed + all survivors). */
	readonly shareOfAll: number;
}

export function summarise(verdicts: readonly Verdict[]): Summary {
	const of = (fate: Verdict["fate"]) => verdicts.filter((verdict) => verdict.fate === fate);
	const killed = of("killed").length;
	const survived = of("survived").map((verdict) => ({ verdict, reason: judgementOf(verdict) }));
	const holes = survived.filter(({ reason }) => reason === null).map(({ verdict }) => verdict);
	const judged = survived.flatMap(({ verdict, reason }) => (reason === null ? [] : [{ verdict, reason }]));
	return {
		tried: verdicts.length - of("invalid").length,
		killed,
		byOwners: of("killed").filter(({ by }) => isTest(by)).length,
		holes,
		judged,
		unchanged: of("unchanged"),
		unclear: of("unclear"),
		share: killed / (killed + holes.length || 1),
		shareOfAll: killed / (killed + survived.length || 1),
	};
}

/** Whether it is a test file's name, which has a folder. */
const isTest = (by: string | null): boolean => by?.includes("/") ?? false;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** A few lines, for a test to print. */
export function headline({
	tried,
	killed,
	byOwners,
	holes,
	judged,
	unchanged,
	unclear,
	share,
	shareOfAll,
}: Summary): string {
	return [
		`${tried} mutants: ${killed} killed (${byOwners} by the tests that own the part), ${holes.length + judged.length} survived, ${unchanged.length} without observable change, ${unclear.length} unclear`,
		`killed of those that change Plan or answers: ${percent(shareOfAll)}`,
		`killed of those that change what a request gets (${judged.length} survivors judged not to): ${percent(share)}`,
	].join("\n");
}

/** All of it. */
export function markdown(verdicts: readonly Verdict[]): string {
	const summary = summarise(verdicts);
	const by = new Map<string, number>();
	for (const { fate, by: what } of verdicts) if (fate === "killed") by.set(what ?? "", (by.get(what ?? "") ?? 0) + 1);
	const reasons = new Map<string, Verdict[]>();
	for (const { verdict, reason } of summary.judged) reasons.set(reason, [...(reasons.get(reason) ?? []), verdict]);
	return [
		"# Mutation run",
		"",
		headline(summary),
		"",
		`Killed by: ${[...by]
			.sort(([, a], [, b]) => b - a)
			.map(([what, count]) => `${what} ${count}`)
			.join(", ")}.`,
		"",
		"| file | killed | holes | judged | unchanged |",
		"|---|---|---|---|---|",
		...rows(summary, verdicts),
		"",
		"## Holes: survivors that change what a request gets",
		"",
		...summary.holes.map(
			(verdict) => `${line(verdict)} (${verdict.changed.map(tail).slice(0, 3).join(", ") || "answers"})`,
		),
		"",
		"## Survivors that change nothing that this suite asks",
		...[...reasons].flatMap(([reason, own]) => ["", `### ${reason}`, "", ...own.map(line)]),
		"",
		"## Unclear",
		"",
		...summary.unclear.map((verdict) => `${line(verdict)}: ${verdict.because}`),
		"",
		"## No observable change for the generated inputs",
		"",
		...summary.unchanged.map(line),
		"",
	].join("\n");
}

function rows(summary: Summary, verdicts: readonly Verdict[]): readonly string[] {
	const count = (of: readonly Verdict[], file: string): number =>
		of.filter(({ mutant }) => mutant.file === file).length;
	const judged = summary.judged.map(({ verdict }) => verdict);
	const killed = verdicts.filter(({ fate }) => fate === "killed");
	return [...new Set(verdicts.map(({ mutant }) => mutant.file))]
		.sort()
		.map(
			(file) =>
				`| ${file} | ${count(killed, file)} | ${count(summary.holes, file)} | ${count(judged, file)} | ${count(summary.unchanged, file)} |`,
		);
}

const line = ({ mutant: { file, line: at, operator, change } }: Verdict): string =>
	`- ${file}:${at} ${operator}: \`${change.replaceAll("`", "'")}\``;

const tail = (path: string): string => path.split(".").slice(-2).join(".");
