/** `weir policy rollback`: back to the access rules of an earlier revision, as one change of the newest. */
import { WeirError } from "../../error.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { ofAll } from "./ofAll.js";
import { oneLine } from "./oneLine.js";
import { printChanges } from "./operate.js";

const print = (line: string): void => void process.stdout.write(`${oneLine(line)}\n`);

export interface RollbackArguments extends ApiArguments {
	/** A revision. */
	readonly to?: string;
	readonly list?: boolean;
	readonly namespace?: string;
	readonly dryRun?: boolean;
}

/** Exit code 1 where the older rules would be refused now: nothing is changed then. */
export async function policyRollback(options: RollbackArguments): Promise<void> {
	const client = clientOf(options);
	const namespace = options.namespace ?? null;
	if (options.list === true) {
		const { changes, partial, dropped = [] } = await client.policyHistory(namespace);
		for (const { revision, atMs, by, restored, changes: what } of changes) {
			const how = restored === null ? "" : ` (back to ${restored})`;
			const effects = what.map(({ change, kind, name }) => `${change} ${kind} ${name}`).join(", ");
			print(`${String(revision).padStart(8)}  ${new Date(atMs).toISOString()}  by ${by}  ${effects}${how}`);
		}
		for (const { namespace, keptFrom } of dropped)
			print(`earlier changes of namespace ${namespace} were dropped: its rules are kept back to revision ${keptFrom}`);
		const oldest = changes.at(-1);
		const keptFrom = Math.max(...dropped.map((one) => one.keptFrom));
		if (oldest === undefined) print(`no earlier access rules are kept${ofAll(partial)}`);
		else if (keptFrom <= oldest.revisionBefore) print(`the rules before all of these: --to ${oldest.revisionBefore}`);
		else print(`the oldest rules that are kept of all of them: --to ${keptFrom}`);
		return;
	}
	if (options.to !== undefined && !/^\d{1,15}$/.test(options.to)) {
		throw new WeirError("invalid-argument", `--to ${options.to} is no revision`, "see weir policy rollback --list");
	}
	const dryRun = options.dryRun ?? false;
	printChanges(
		await client.rollback(options.to === undefined ? null : Number(options.to), namespace, { dryRun }),
		dryRun,
	);
}
