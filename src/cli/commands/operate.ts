/** The commands that ask a running control: apply, delete, get, status, diff, decisions, the person's verbs, proxy-status, trace. */
import { gapMessage } from "../../compile/access/shadow.js";
import { closuresOf } from "../../decide/rollout/closedServices.js";
import { FLEET_FALSE_SHARE, provedTogether } from "../../decide/rollout/fleet.js";
import { refusalsOf } from "../../decide/rollout/refusal.js";
import { sharesSentence } from "../../decide/rollout/sentence.js";
import { isExposing } from "../../decide/rollout/status.js";
import { KINDS } from "../../declare/resources/kinds.js";
import type { Kind } from "../../declare/resources/resource.js";
import { knownNames } from "../../declare/resources/suggest.js";
import { WeirError } from "../../error.js";
import { PPM } from "../../limits/index.js";
import type { ApplyAnswer, StatusAnswer } from "../../operate/api/wire.js";
import { printProblems, readResourceFiles } from "../resourceFiles.js";
import { alarmLines, behindLines, closureLines, faultLines, refusalLines } from "./alarms.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { printPending } from "./approve.js";
import { type NamespaceArgument, nameIn } from "./namespace.js";
import { ofAll } from "./ofAll.js";
import { oneLine } from "./oneLine.js";

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const percent = (ppm: number): string => `${ppm / 10_000}%`;

export async function apply(
	options: ApiArguments & { readonly file: readonly string[]; readonly dryRun?: boolean },
): Promise<void> {
	const files = await readResourceFiles(options.file);
	printChanges(await clientOf(options).apply(files, { dryRun: options.dryRun ?? false }), options.dryRun ?? false);
}

/** @param args KIND NAME, once or more; NAME or NAMESPACE/NAME */
export async function deleteResources(
	args: readonly string[],
	options: ApiArguments & NamespaceArgument & { readonly dryRun?: boolean },
): Promise<void> {
	if (args.length % 2 === 1)
		throw new WeirError("invalid-argument", "a name is missing", "write KIND before each NAME: KIND NAME KIND NAME");
	const resources = args.flatMap((word, index) => {
		if (index % 2 === 1) return [];
		const name = args[index + 1] ?? "";
		return [{ kind: kindOf(word), name: nameIn(name, options) }];
	});
	printChanges(
		await clientOf(options).deleteAll(resources, { dryRun: options.dryRun ?? false }),
		options.dryRun ?? false,
	);
}

/** As written in a file, or in lower case as people type. */
function kindOf(word: string): Kind {
	const kind = KINDS.find((one) => one.toLowerCase() === word.toLowerCase());
	if (kind !== undefined) return kind;
	throw new WeirError("invalid-argument", `unknown kind '${word}'`, knownNames(word, KINDS, "kinds"));
}

/** Exit code 1 where the change was refused. */
export function printChanges(answer: ApplyAnswer, dryRun: boolean): void {
	if (answer.outcome === "pending") {
		printPending(answer.request);
		return;
	}
	if (answer.outcome === "refused") {
		printProblems(answer.problems);
		process.exitCode = 1;
		return;
	}
	if (answer.changes.length === 0) print("nothing changes");
	for (const change of answer.changes)
		print(`${change.change} ${change.kind} ${change.name}${dryRun ? " (dry run)" : ""}`);
	for (const gap of answer.shadowGaps ?? []) process.stderr.write(`warning: ${oneLine(gapMessage(gap))}\n`);
	const { approvals = 0 } = answer;
	if (approvals > 0) print(`it would wait for approval by ${approvals} other${approvals === 1 ? "" : "s"}`);
}

export async function get(options: ApiArguments & { readonly output: "yaml" | "json" }): Promise<void> {
	const client = clientOf(options);
	if (options.output === "yaml") {
		const text = await client.getYaml();
		process.stdout.write(text);
		if (text !== "") return;
	}
	const { resources, partial } = await client.get();
	if (options.output === "json") process.stdout.write(`${JSON.stringify(resources, null, 2)}\n`);
	// On stderr: stdout is input for weir apply.
	if (resources.length === 0) process.stderr.write(`weir: nothing is declared${ofAll(partial)}\n`);
}

export async function status(options: ApiArguments & { readonly json?: boolean }): Promise<void> {
	const answer = await clientOf(options).status();
	if (options.json) return print(JSON.stringify(answer, null, 2));
	for (const line of refusalLines(answer.refusals ?? [])) print(line);
	for (const line of closureLines(answer.closed ?? [])) print(line);
	for (const line of faultLines(answer.faults)) print(line);
	for (const line of behindLines(answer)) print(line);
	for (const line of alarmLines(answer.alarms)) print(line);
	if (answer.experiments.length === 0 && answer.services.length === 0) {
		print(`no Experiment and no Service is declared${ofAll(answer.partial)}`);
		return;
	}
	print("EXPERIMENT                     PHASE       ALLOCATION  STEP  HOLD        LAST DECISION");
	for (const { experiment, status: one, last } of answer.experiments) {
		const columns = [
			experiment.padEnd(30),
			one.phase.padEnd(11),
			percent(one.allocationPpm).padStart(10),
			String(one.stepIndex + 1).padStart(5),
			` ${(one.hold ?? "-").padEnd(11)}`,
			last === null ? "-" : `${last.action}: ${last.summary ?? last.reason}`,
		];
		print(columns.join(" "));
		if (one.shares !== undefined) print(`  ${sharesSentence(one)}`);
	}
	printTogether(answer);
	for (const { service, declaredDefaultVariant, liveDefaultVariant, models = {} } of answer.services) {
		const promoted =
			liveDefaultVariant === declaredDefaultVariant ? "" : ` (promoted; declared is ${declaredDefaultVariant})`;
		print(`Service ${service}: default Variant ${liveDefaultVariant}${promoted}`);
		for (const [variant, model] of Object.entries(models)) print(`  Variant ${variant}: model ${model}`);
	}
}

/** Goals that are proved when all running experiments are tested together. */
function printTogether({ experiments }: StatusAnswer): void {
	const running = experiments
		.filter(({ status: one }) => isExposing(one.phase))
		.map(({ experiment, last }) => ({ experiment, logE: last?.goalLogE ?? null }));
	if (running.length < 2) return;
	const proved = provedTogether(running);
	const share = percent(FLEET_FALSE_SHARE * PPM);
	const result = proved.length === 0 ? "no goal is proved" : `the goals of ${proved.join(", ")} are proved`;
	print(
		`Of ${running.length} running experiments looked at together, ${result} (of such proofs at most ${share} are wrong).`,
	);
}

export async function diff(options: ApiArguments): Promise<void> {
	print(JSON.stringify(await clientOf(options).diff(), null, 2));
}

/** Exit code 1 where something is refused: what was changed since does not hold there. */
export async function proxyStatus(options: ApiArguments): Promise<void> {
	const { proxies } = await clientOf(options).proxies();
	const width = Math.max(20, ...proxies.map(({ node }) => node.length));
	print(`${"NODE".padEnd(width)} TYPE        STATE     SENT              ACCEPTED`);
	for (const proxy of proxies) {
		for (const [type, one] of Object.entries(proxy.types)) {
			print(
				`${proxy.node.padEnd(width)} ${type.padEnd(11)} ${one.state.padEnd(9)} ${one.sentVersion.padEnd(17)} ${one.acceptedVersion}`,
			);
			if (one.error !== "") print(`  ${one.source === "" ? "" : `${one.source}: `}${one.error}`);
		}
	}
	for (const line of closureLines(closuresOf(proxies))) print(line);
	if (refusalsOf(proxies).length > 0 || closuresOf(proxies).length > 0) process.exitCode = 1;
	if (proxies.length === 0) print("no Envoy is connected");
}

export async function decisions(
	name: string,
	options: ApiArguments & NamespaceArgument & { readonly recompute?: boolean; readonly json?: boolean },
): Promise<void> {
	for await (const decision of clientOf(options).allDecisions(nameIn(name, options))) {
		if (options.json) print(JSON.stringify(decision));
		else {
			const { sequence, atMs, by, outcome } = decision;
			print(
				`${String(sequence).padStart(4)}  ${new Date(atMs).toISOString()}  ${outcome.action.padEnd(16)} ${outcome.rule.padEnd(12)} by ${by}  ${outcome.summary ?? outcome.reason}`,
			);
			if (outcome.summary !== undefined && outcome.summary !== outcome.reason) print(`      ${outcome.reason}`);
		}
		if (!options.recompute) continue;
		// With all that decides, and the statistics: no other command needs them.
		const { recomputationText } = await import("../../decide/rollout/recompute.js");
		const { text, holds } = recomputationText(decision);
		print(`      ${text}`);
		if (!holds) process.exitCode = 1;
	}
}

export async function act(
	verb: "pause" | "resume" | "promote" | "abort",
	name: string,
	options: ApiArguments &
		NamespaceArgument & {
			readonly arm?: string;
			readonly reason?: string;
			readonly overrideGates?: boolean;
			readonly shutOut?: boolean;
		},
): Promise<void> {
	const experiment = nameIn(name, options);
	const answer = await clientOf(options).act(experiment, verb, {
		...(options.arm === undefined ? {} : { arm: options.arm }),
		...(options.reason === undefined ? {} : { reason: options.reason }),
		...(options.overrideGates === true ? { overrideGates: true } : {}),
		...(options.shutOut === true ? { shutOut: true } : {}),
	});
	if (answer.outcome === "pending") return printPending(answer.request);
	const { outcome } = answer.decision;
	print(`${experiment}: ${outcome.action}: ${outcome.reason}`);
}

export async function trace(id: string, options: ApiArguments): Promise<void> {
	const { status, text, json } = await clientOf(options).raw("GET", `/v1/traces/${encodeURIComponent(id)}`);
	if (status < 400) return void process.stdout.write(text);
	const error = (json as { readonly error?: { readonly message?: string; readonly hint?: string } } | null)?.error;
	if (error?.message !== undefined) throw new WeirError("unavailable", error.message, error.hint ?? "");
	throw new WeirError(
		"not-found",
		`no recent span of ${id}`,
		"traces are sampled and the embedded store keeps only recent ones",
	);
}
