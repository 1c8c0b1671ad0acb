/**
 * What a stack is started with: the state as it is, or files on top of it. What they change is printed before anything serves. As `git push` does, a start overwrites nobody: where anybody has changed a resource since the last
 * start declared its files, files that would change one are refused. What was taken away meanwhile can come back in many ways
 * (under another name, below another policy, by a file that others applied and took back), and no comparison knows all of them.
 * Who edits the file and starts again, and nobody has changed anything meanwhile, is held up by nothing.
 */

import { formatProblem, type Resource } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { ApiClient } from "../../operate/api/apiClient.js";
import type { ApplyAnswer, ResourcesAnswer } from "../../operate/api/wire.js";
import { resourceKey } from "../../operate/state/store/resourceSet.js";
import type { ResourceFile } from "../resourceFiles.js";
import type { Places } from "./places.js";

export interface Declaring {
	/** `unix:/path` */
	readonly api: string;
	readonly at: Pick<Places, "dataDirectory">;
	/** Whatever others have changed since. */
	readonly overwrite: boolean;
	readonly notice: (line: string) => void;
}

/** Named of what the files would change. */
const NAMED = 5;
/** Attempts, where somebody changes the state during each. */
const ATTEMPTS = 10;

type Applied = Extract<ApplyAnswer, { outcome: "applied" }>;

/**
 * What stands already and may not be changed without another's approval is left as it stands, and nothing is asked for:
 * after an approved change the file of the last start would ask to take that change back.
 * @returns what is declared then
 * @throws WeirError `failed-precondition` where nothing is declared, the files are refused, or would overwrite what others changed
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
	const { overwrite, notice } = declaring;
	const onlyAt = state.revision;
	const planned = await client.apply(files, { dryRun: true, onlyAt });
	let start = overwrite;
	if (planned.outcome === "applied") {
		const names = changedOf(planned).map(({ kind, name }) => resourceKey(kind, name));
		// Only what is declared already holds a policy, so that there is something to start with.
		if ((planned.approvals ?? 0) > 0) {
			notice(
				`starting with what is declared already: ${listed(names)} of the file differ, and the change needs another's approval: nothing of it is in force${overwrite ? " (--overwrite changes nothing of that)" : ""}; ask for it with weir apply -f FILE`,
			);
			return state.resources;
		}
		if (names.length > 0 && state.declaredRevision > 0) {
			tell(state, planned, declaring);
			if (!overwrite) demandNobodyElse(state, names);
		}
		// By what they change, or say that they overwrite, they have taken all before into account; what agrees with the state has
		// seen no more of it than it names.
		start ||= names.length > 0;
	}
	const answer = planned.outcome === "refused" ? planned : await client.apply(files, { dryRun: false, onlyAt, start });
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
	return (await client.get()).resources;
}

/** Prints what the files would change of the state. */
function tell({ revision, resources }: ResourcesAnswer, planned: Applied, { at, notice }: Declaring): void {
	notice(
		`the files given would change the state of ${at.dataDirectory} (revision ${revision}, ${resources.length} resources):`,
	);
	for (const one of changedOf(planned)) notice(`${VERBS[one.change]} ${one.kind} ${one.name}`);
}

/**
 * @param names of what the files would change
 * @throws WeirError `failed-precondition` where somebody else may have changed a resource since
 */
function demandNobodyElse(state: ResourcesAnswer, names: readonly string[]): void {
	const { declaredRevision, startRevision } = state;
	if (declaredRevision === startRevision) return;
	const since =
		startRevision === null
			? `no start with -f has declared the state (it is of revision ${declaredRevision})`
			: `the state was changed since a start declared it last (revision ${declaredRevision}, was ${startRevision})`;
	throw new WeirError(
		"failed-precondition",
		`${since}, and the files given would change ${listed(names)}`,
		"start without -f to go on from the state, and weir apply -f FILE then (--dry-run tells what it changes); or start with --overwrite, once, to have these as the files say",
	);
}

const VERBS = { created: "create", configured: "configure", unchanged: "leave", deleted: "delete" } as const;

const changedOf = ({ changes }: Applied) => changes.filter(({ change }) => change !== "unchanged");

const listed = (names: readonly string[]): string =>
	`${names.slice(0, NAMED).join(", ")}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ""}`;
