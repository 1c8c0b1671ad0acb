/** `weir assign`: unit ids in, arms out; the same bits as Envoy, bytes in and the same bytes out. */
import { compileAssignment } from "../../compile/assignment/assign.js";
import { experimentTable, freshStatus } from "../../compile/assignment/experimentTable.js";
import { parseUnit, trimUnit } from "../../compile/assignment/unit.js";
import { qualifiedName } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { heldResources } from "../resourceFiles.js";
import { allocationPpm } from "./compile.js";

export interface AssignArguments {
	readonly file: readonly string[];
	readonly experiment: string;
	readonly allocation?: string;
}

/** Prints `id<TAB>arm`, `-` for the rest, outside the slot, or no unit. */
export async function assign({ file, experiment: name, allocation }: AssignArguments): Promise<void> {
	const resources = await heldResources(file);
	const experiment = resources.experiments.find(({ metadata }) => qualifiedName(metadata) === name);
	if (experiment === undefined) {
		const known = resources.experiments.map(({ metadata }) => qualifiedName(metadata)).join(", ");
		throw new WeirError("invalid-argument", `there is no Experiment ${name}`, known === "" ? "" : `declared: ${known}`);
	}
	const layer = resources.layers.find(
		({ metadata }) =>
			metadata.name === experiment.spec.layer.name && metadata.namespace === experiment.metadata.namespace,
	);
	const status = freshStatus(experiment, allocation === undefined ? null : allocationPpm(allocation));
	const table = experimentTable(experiment, layer ?? null, status);
	const assignment = table === null ? null : compileAssignment(table);
	const answer = (line: string): string => {
		const unit = parseUnit(trimUnit(line));
		return `${line}\t${(unit === null ? null : assignment?.arm(unit)) ?? "-"}\n`;
	};
	// latin1 maps bytes to characters one to one: ids are bytes, and leave as they came. Only LF ends a line.
	process.stdin.setEncoding("latin1");
	let pending = "";
	for await (const chunk of process.stdin) {
		const lines = `${pending}${chunk}`.split("\n");
		pending = lines.pop() ?? "";
		await write(lines.map(answer).join(""));
	}
	if (pending !== "") await write(answer(pending));
}

function write(text: string): Promise<void> {
	return new Promise((resolve, reject) => {
		process.stdout.write(text, "latin1", (error) => (error ? reject(error) : resolve()));
	});
}
