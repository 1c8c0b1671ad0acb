/** Resource files as the commands take them: read, parsed, checked; problems go to standard error. */
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { WeirError } from "../error.js";
import { formatProblem, type Problem, type ResourceSet } from "../resources/resource.js";

export interface ResourceFile {
	readonly name: string;
	readonly text: string;
}

export async function readResourceFiles(names: readonly string[]): Promise<readonly ResourceFile[]> {
	if (names.length === 0) throw new WeirError("invalid-argument", "no resource file was given", "add -f FILE");
	return Promise.all(
		names.map(async (name) => {
			if (name === "-") return { name: "<stdin>", text: await text(process.stdin) };
			try {
				return { name, text: await readFile(name, "utf8") };
			} catch (error) {
				throw new WeirError("invalid-argument", `cannot read ${name}: ${(error as Error).message}`, "", {
					cause: error,
				});
			}
		}),
	);
}

/** The resources, where nothing is wrong with them; else prints every problem and throws. */
export async function validResources(names: readonly string[]): Promise<ResourceSet> {
	// With every schema: who hands the files on as they are (weir apply) reads none.
	const { loadResources } = await import("../resources/parse.js");
	const { resources, problems } = loadResources(await readResourceFiles(names));
	if (problems.length > 0) {
		printProblems(problems);
		throw new WeirError(
			"failed-precondition",
			`${problems.length} problem${problems.length === 1 ? "" : "s"} in the resources`,
		);
	}
	return resources;
}

export function printProblems(problems: readonly Problem[]): void {
	for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
}
