/**
 * The declaration of a starting stack: the current state, or files on top of it. Their changes are printed before anything
 * serves. Like `git push`, a start does not overwrite changes of others: if a resource has changed since the last start, files
 * that would change any resource are refused. Comparing single resources would not be enough: a removed grant can come
 * back under another name.
 */

import { formatProblem, type Resource } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { ApiClient } from "../../operate/api/apiClient.js";
import type { ApplyAnswer, ResourcesAnswer } from "../../operate/api/wire.js";
import { resourceKey } from "../../operate/changes/resourceKey.js";
import type { ResourceFile } from "../resourceFiles.js";
import type { Places } from "./places.js";

export interface Declaring {
	/** `unix:/path` */
	readonly api: string;
	readonly at: Pick<Places, "dataDirectory">;
	/** Also if others have changed resources since the last start. */
	readonly overwrite: boolean;
	readonly notice: (line: string) => void;
}

/** How many changed resources an error names. */
const NAMED = 5;
/** Attempts if the state changes during each. */
const ATTEMPTS = 10;

type Applied = Extract<ApplyAnswer, { outcome: "applied" }>;

/**
 * A change that needs another's approval is not made and not requested: after an approved change, the file of the last
 * start would request to undo it.
 * @returns the declared resources
 * @throws WeirError `failed-precondition` if nothing is declared, or the files are refused or would overwrite changes of others
 */
export async function declare(files: readonly ResourceFile[], declaring: Declaring): Promise<readonly Resource[]> {
	const client = new ApiClient(declaring.api);
	for (let attempt = 1; ; attempt++) {
		const state = await client.get();
		if (files.length === 0) return currentState(state, declaring);
		try {
			return await declareOn(state, files, client, declaring);
		} catch (thrown) {
			// The state has changed since it was read: check again.
			if (WeirError.from(thrown).code !== "conflict" || attempt === ATTEMPTS) throw thrown;
		}
	}
}

/** The declaration of a start without files. */
function currentState(state: ResourcesAnswer, { at, notice }: Declaring): readonly Resource[] {
	const { revision, resources } = state;
	const text = `${at.dataDirectory}: revision ${revision}, ${resources.length} resources`;
	if (!resources.some(({ kind }) => kind === "Gateway"))
		throw new WeirError("failed-precondition", `no Gateway is declared in the state of ${text}`, "add -f FILE");
	notice(`starting from the state of ${text}`);
	return resources;
}

/** @throws WeirError `conflict` if the state has changed; otherwise as `declare` */
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
		// Approval policies are declared already, so the state is not empty.
		if ((planned.approvals ?? 0) > 0) {
			notice(
				`starting with what is declared already: ${listed(names)} of the file differ, and the change needs another's approval: nothing of it is in force${overwrite ? " (--overwrite changes nothing of that)" : ""}; ask for it with weir apply -f FILE`,
			);
			return state.resources;
		}
		if (names.length > 0 && state.declaredRevision > 0) {
			printChangesOf(state, planned, declaring);
			if (!overwrite) refuseOverwrite(state, names);
		}
		// Files that change or overwrite the state count as aware of it. Files that agree with it are aware of their own
		// resources only.
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
function printChangesOf({ revision, resources }: ResourcesAnswer, planned: Applied, { at, notice }: Declaring): void {
	notice(
		`the files given would change the state of ${at.dataDirectory} (revision ${revision}, ${resources.length} resources):`,
	);
	for (const one of changedOf(planned)) notice(`${VERBS[one.change]} ${one.kind} ${one.name}`);
}

/**
 * @param names of the resources that the files would change
 * @throws WeirError `failed-precondition` if another user may have changed a resource since
 */
function refuseOverwrite(state: ResourcesAnswer, names: readonly string[]): void {
	const { declaredRevision, startRevision } = state;
	if (declaredRevision === startRevision) return;
	const since =
		startRevision === null
			? `no start with -f has declared the state (it is of revision ${declaredRevision})`
			: `the state was changed since a start declared it last (revision ${declaredRevision}, was ${startRevision})`;
	throw new WeirError(
		"failed-precondition",
		`${since}, and the files given would change ${listed(names)}`,
		"start without -f to go on from the state, and weir apply -f FILE then (--dry-run shows what it changes); or start with --overwrite, once, to apply the files",
	);
}

const VERBS = { created: "create", configured: "configure", unchanged: "leave", deleted: "delete" } as const;

const changedOf = ({ changes }: Applied) => changes.filter(({ change }) => change !== "unchanged");

const listed = (names: readonly string[]): string =>
	`${names.slice(0, NAMED).join(", ")}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ""}`;
