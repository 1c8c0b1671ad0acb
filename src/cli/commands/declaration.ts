/** `weir validate` and `weir schema`: the declaration by itself. */

import { gapMessage } from "../../compile/access/shadow.js";
import { compileShadowGaps } from "../../compile/compile.js";
import { accessLosses } from "../../decide/rollout/accessLosses.js";
import { EMPTY_STATUS } from "../../decide/rollout/status.js";
import { FileReadings } from "../../declare/resources/fileReading.js";
import { loadResources } from "../../declare/resources/parse.js";
import { qualifiedName } from "../../declare/resources/resource.js";
import { jsonSchema } from "../../declare/resources/schema.js";
import { declaredIn } from "../../operate/changes/documents.js";
import { quotaProblems } from "../../operate/changes/quota.js";
import { declaredKeys } from "../declaredKeys.js";
import { printProblems, readResourceFiles } from "../resourceFiles.js";

/**
 * Exit 0 valid, 1 invalid; all problems at once, and what no control would have room for. Warned of: keys that no token would
 * be verified by, shadow policies that would not be tried, and promotions that would wait.
 */
export async function validate({ file }: { readonly file: readonly string[] }): Promise<void> {
	const files = await readResourceFiles(file);
	const readings = new FileReadings();
	const { resources, problems: faults } = loadResources(files, readings);
	const problems = faults.length > 0 ? faults : quotaProblems([], declaredIn(files, readings), EMPTY_STATUS);
	if (problems.length > 0) {
		printProblems(problems);
		process.exitCode = 1;
		return;
	}
	const { warnings } = await declaredKeys(resources);
	const gaps = compileShadowGaps(resources, EMPTY_STATUS).map(gapMessage);
	const held = resources.experiments
		.filter(({ spec }) => spec.goal !== null)
		.flatMap((one) =>
			Object.values(accessLosses({ resources, status: EMPTY_STATUS }, one)).map(
				(loss) => `Experiment ${qualifiedName(one.metadata)}: ${loss}; Weir will not promote it by itself`,
			),
		);
	for (const warning of [...warnings, ...gaps, ...held]) process.stderr.write(`warning: ${warning}\n`);
	const count = Object.values(resources).reduce((sum, list) => sum + list.length, 0);
	process.stdout.write(`valid: ${count} resource${count === 1 ? "" : "s"}\n`);
}

export function schema(): void {
	process.stdout.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`);
}
