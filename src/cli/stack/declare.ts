/**
 * What a stack is started with: the state as it stands, or files on top of it. What they change is told before anything serves,
 * and whom they let in anew. Between two starts others may have taken somebody's access away, by an apply, a delete or a
 * rollback, and the file of the last start would give it back: where it would, nothing is declared unless that is asked for. Who
 * edits the file and starts again, and nobody has changed anything meanwhile, is held up by nothing.
 */
import { WeirError } from "../../error.js";
import { resourceSet } from "../../resources/kinds.js";
import { parseResources } from "../../resources/parse.js";
import { formatProblem, type Resource } from "../../resources/resource.js";
import { ApiClient } from "../../state/api/apiClient.js";
import type { ApplyAnswer, ResourcesAnswer } from "../../state/api/wire.js";
import { oneLine } from "../commands/oneLine.js";
import type { ResourceFile } from "../resourceFiles.js";
import { unplacedLines } from "../unplacedLines.js";
import { LastDeclared } from "./lastDeclared.js";
import { newlyAllowed, putBack } from "./loosening.js";
import type { Places } from "./places.js";

export interface Declaring {
	/** `unix:/path` */
	readonly api: string;
	readonly at: Pick<Places, "dataDirectory" | "lastDeclaredFile">;
	/** Give back what others have taken away. */
	readonly loosen: boolean;
	readonly notice: (line: string) => void;
}

/** Named of what others have changed. */
const NAMED = 5;

/**
 * What stands already and may not be changed without another's approval is left as it stands, and nothing is asked for:
 * after an approved change the file of the last start would ask to take that change back.
 * @returns what is declared then
 * @throws WeirError `failed-precondition` where nothing is declared, the files are refused, or would give back what others took away
 */
export async function declare(files: readonly ResourceFile[], declaring: Declaring): Promise<readonly Resource[]> {
	const { api, at, notice } = declaring;
	const client = new ApiClient(api);
	const state = await client.get();
	const standing = `${at.dataDirectory}: revision ${state.revision}, ${state.resources.length} resources`;
	if (files.length === 0) {
		if (!state.resources.some(({ kind }) => kind === "Gateway"))
			throw new WeirError("failed-precondition", `no Gateway is declared in the state of ${standing}`, "add -f FILE");
		notice(`starting from the state of ${standing}`);
		return state.resources;
	}
	const planned = await client.apply(files, { dryRun: true });
	if (planned.outcome === "applied") {
		const names = changedOf(planned).map(({ kind, name }) => `${kind} ${name}`);
		// Only what is declared already holds a policy, so that there is something to start with.
		if ((planned.approvals ?? 0) > 0) {
			notice(
				`starting with what is declared already: ${listed(names)} of the file differ, and the change needs another's approval; ask for it with weir apply -f FILE`,
			);
			return state.resources;
		}
		if (names.length > 0 && state.resources.length > 0) await tell(state, planned, files, declaring);
	}
	const answer = planned.outcome === "refused" ? planned : await client.apply(files, { dryRun: false });
	if (answer.outcome === "pending")
		throw new WeirError(
			"failed-precondition",
			`the declaration waits for approval (request ${answer.request.id})`,
			"start `weir up` again: it takes what is declared already",
		);
	if (answer.outcome === "refused") {
		for (const problem of answer.problems) process.stderr.write(`${formatProblem(problem)}\n`);
		throw new WeirError("failed-precondition", "the declaration was refused", "each problem stands above");
	}
	for (const line of unplacedLines(answer.unplaced)) notice(line);
	const { resources } = await client.get();
	await new LastDeclared(at.lastDeclaredFile).keep(resources);
	return resources;
}

/** Says what the files change of what stands. @throws WeirError where that gives back what others took away */
async function tell(
	{ revision, resources }: ResourcesAnswer,
	planned: Extract<ApplyAnswer, { outcome: "applied" }>,
	files: readonly ResourceFile[],
	{ at, loosen, notice }: Declaring,
): Promise<void> {
	const change = { state: resourceSet(resources), given: parseResources(files).resources };
	notice(
		`the state of ${at.dataDirectory} (revision ${revision}, ${resources.length} resources) is changed by the files given:`,
	);
	for (const one of changedOf(planned)) notice(`${one.change} ${one.kind} ${one.name}`);
	const allowed = newlyAllowed(change);
	for (const words of allowed) notice(`NEWLY ALLOWED: ${oneLine(words)}`);
	if (loosen) return;
	const foreign = await new LastDeclared(at.lastDeclaredFile).changedSince(resources);
	if (foreign?.size === 0) return;
	const back = putBack(change, (key) => foreign?.has(key) ?? true);
	if (allowed.length === 0 && back.length === 0) return;
	for (const words of back) notice(`put back: ${oneLine(words)}`);
	const since =
		foreign === null
			? "what may have been taken away: nobody knows who changed the state last"
			: `what was taken away since weir up declared it last: ${listed([...foreign.values()])}`;
	throw new WeirError(
		"failed-precondition",
		`the files given would allow ${since}`,
		"start without -f to go on from the state; or bring the files up to it (weir get); or start with --loosen, once, to have it as they say",
	);
}

const changedOf = ({ changes }: Extract<ApplyAnswer, { outcome: "applied" }>) =>
	changes.filter(({ change }) => change !== "unchanged");

const listed = (names: readonly string[]): string =>
	`${names.slice(0, NAMED).join(", ")}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ""}`;
