/**
 * What a stack is started with: the state as it stands, or files on top of it. What they change is told before anything serves,
 * and whom they let in anew. Between two starts others may have taken somebody's access away, by an apply, a delete or a
 * rollback, and the file of the last start would give it back: where it would, nothing is declared unless that is asked for. Who
 * edits the file and starts again, and nobody has changed anything meanwhile, is held up by nothing.
 */
import { WeirError } from "../../error.js";
import { resourceSet, resourcesOf } from "../../resources/kinds.js";
import { parseResources } from "../../resources/parse.js";
import { formatProblem, type Resource } from "../../resources/resource.js";
import { ApiClient } from "../../state/api/apiClient.js";
import type { ApplyAnswer, ResourcesAnswer } from "../../state/api/wire.js";
import { resourceKey } from "../../state/store/resourceSet.js";
import { oneLine } from "../commands/oneLine.js";
import type { ResourceFile } from "../resourceFiles.js";
import { unplacedLines } from "../unplacedLines.js";
import { LastDeclared } from "./lastDeclared.js";
import { type Change, type NewlyAllowed, newlyAllowed, putBack } from "./loosening.js";
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
/** Attempts, where somebody changes the state during each. */
const ATTEMPTS = 10;

type Applied = Extract<ApplyAnswer, { outcome: "applied" }>;

/**
 * What stands already and may not be changed without another's approval is left as it stands, and nothing is asked for:
 * after an approved change the file of the last start would ask to take that change back.
 * @returns what is declared then
 * @throws WeirError `failed-precondition` where nothing is declared, the files are refused, or would give back what others took away
 */
export async function declare(files: readonly ResourceFile[], declaring: Declaring): Promise<readonly Resource[]> {
	const client = new ApiClient(declaring.api);
	for (let attempt = 1; ; attempt++) {
		const state = await client.get();
		if (files.length === 0) return standing(state, declaring);
		try {
			return await declareOn(state, files, client, declaring);
		} catch (thrown) {
			// Somebody has changed the state since it was looked at: what was judged of it need not hold any more.
			if (WeirError.from(thrown).code !== "conflict" || attempt === ATTEMPTS) throw thrown;
		}
	}
}

/** What is started with where no file is given. */
function standing(state: ResourcesAnswer, { at, notice }: Declaring): readonly Resource[] {
	const { revision, resources } = state;
	const words = `${at.dataDirectory}: revision ${revision}, ${resources.length} resources`;
	if (!resources.some(({ kind }) => kind === "Gateway"))
		throw new WeirError("failed-precondition", `no Gateway is declared in the state of ${words}`, "add -f FILE");
	notice(`starting from the state of ${words}`);
	return resources;
}

/** @throws WeirError `conflict` where that is not the state any more; otherwise as `declare` */
async function declareOn(
	state: ResourcesAnswer,
	files: readonly ResourceFile[],
	client: ApiClient,
	declaring: Declaring,
): Promise<readonly Resource[]> {
	const { at, loosen, notice } = declaring;
	const onlyAt = state.revision;
	const planned = await client.apply(files, { dryRun: true, onlyAt });
	const last = new LastDeclared(at.lastDeclaredFile);
	if (planned.outcome === "applied") {
		const names = changedOf(planned).map(({ kind, name }) => resourceKey(kind, name));
		// Only what is declared already holds a policy, so that there is something to start with.
		if ((planned.approvals ?? 0) > 0) {
			notice(
				`starting with what is declared already: ${listed(names)} of the file differ, and the change needs another's approval; ask for it with weir apply -f FILE`,
			);
			return state.resources;
		}
		if (names.length > 0 && state.resources.length > 0) {
			const change = { state: resourceSet(state.resources), given: parseResources(files).resources };
			const allowed = tell(state, planned, change, declaring);
			if (!loosen) {
				const byOthers = await last.changedSince(state.resources);
				const given = byOthers && new Map([...byOthers].filter(([key]) => names.includes(key)));
				demandNothingPutBack(change, allowed, given, notice);
			}
		}
	}
	const answer = planned.outcome === "refused" ? planned : await client.apply(files, { dryRun: false, onlyAt });
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
	// As the files give it, not as it stands by now: somebody may have changed it again.
	await last.keep(resourcesOf(parseResources(files).resources), state.resources);
	return (await client.get()).resources;
}

/** Says what the files change of what stands. @returns whom they let do what the state denies, told too */
function tell(
	{ revision, resources }: ResourcesAnswer,
	planned: Applied,
	change: Change,
	{ at, notice }: Declaring,
): readonly NewlyAllowed[] {
	notice(
		`the state of ${at.dataDirectory} (revision ${revision}, ${resources.length} resources) is changed by the files given:`,
	);
	for (const one of changedOf(planned)) notice(`${one.change} ${one.kind} ${one.name}`);
	const allowed = newlyAllowed(change);
	for (const { words } of allowed) notice(`NEWLY ALLOWED: ${oneLine(words)}`);
	return allowed;
}

/**
 * @param byOthers of what the files would change, what others have changed, by key, in words; null = nobody knows
 * @throws WeirError `failed-precondition` where the files give back what others took away
 */
function demandNothingPutBack(
	change: Change,
	allowed: readonly NewlyAllowed[],
	byOthers: ReadonlyMap<string, string> | null,
	notice: Declaring["notice"],
): void {
	if (byOthers?.size === 0) return;
	const isByOthers = (key: string): boolean => byOthers?.has(key) ?? true;
	const back = putBack(change, isByOthers);
	for (const words of back) notice(`put back: ${oneLine(words)}`);
	if (back.length === 0 && !allowed.some(({ key }) => key === null || isByOthers(key))) return;
	const since =
		byOthers === null
			? "what may have been taken away: nobody knows who changed the state last"
			: `what was taken away since weir up declared it last: ${listed([...byOthers.values()])}`;
	throw new WeirError(
		"failed-precondition",
		`the files given would allow ${since}`,
		"start without -f to go on from the state; or bring the files up to it (weir get); or start with --loosen, once, to have it as they say",
	);
}

const changedOf = ({ changes }: Applied) => changes.filter(({ change }) => change !== "unchanged");

const listed = (names: readonly string[]): string =>
	`${names.slice(0, NAMED).join(", ")}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ""}`;
