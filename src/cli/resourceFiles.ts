/** Resource files as the commands take them: read, parsed, checked; problems go to standard error. */
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { resourceTitle } from "../declare/resources/position.js";
import { formatProblem, type Problem, type ResourceSet } from "../declare/resources/resource.js";
import { WeirError } from "../error.js";
import { oneLine } from "./commands/oneLine.js";

export interface ResourceFile {
	readonly name: string;
	readonly text: string;
}

export async function readResourceFiles(names: readonly string[]): Promise<readonly ResourceFile[]> {
	if (names.length === 0) throw new WeirError("invalid-argument", "no resource file was given", "add -f FILE");
	return Promise.all(
		names.map(async (name) => {
			if (name === "-") return { name: "<stdin>", text: await text(process.stdin) };
			return { name, text: await readNamed(name) };
		}),
	);
}

/** A file that was named on the command line. @throws WeirError `invalid-argument` where it cannot be read */
export async function readNamed(name: string): Promise<string> {
	try {
		return await readFile(name, "utf8");
	} catch (error) {
		const { code = "", message } = error as NodeJS.ErrnoException;
		const [words, hint] = UNREADABLE[code] ?? [message, ""];
		throw new WeirError("invalid-argument", `cannot read ${name}: ${words}`, hint, { cause: error });
	}
}

/** By errno: what is wrong, and what to do. */
const UNREADABLE: Readonly<Record<string, readonly [string, string]>> = {
	ENOENT: ["there is no such file", `a path counts from where weir is run, now ${process.cwd()}`],
	ENOTDIR: ["a part of its path is no directory", "look at the path"],
	EISDIR: ["it is a directory", "name the files in it, each by its own -f"],
	EACCES: ["you may not read it", "look at its owner and mode: ls -l"],
};

/** The valid resources; otherwise prints every problem and throws. */
export async function validResources(names: readonly string[]): Promise<ResourceSet> {
	const files = await readResourceFiles(names);
	// Loads every schema: weir apply, which sends files unread, does without.
	const { loadResources } = await import("../declare/resources/parse.js");
	const { resources, problems } = loadResources(files);
	refuse(problems);
	return resources;
}

/**
 * For commands that only show the effect of files. Also accepts stored resources that an apply would refuse, such as a
 * policy whose grant is gone. Prints each as a warning.
 */
export async function heldResources(names: readonly string[]): Promise<ResourceSet> {
	const files = await readResourceFiles(names);
	const { loadHeldResources } = await import("../declare/resources/parse.js");
	const { resources, problems } = loadHeldResources(files);
	refuse(problems);
	const { withoutEffect } = await import("../declare/resources/checks/revokedReferences.js");
	for (const { resource, message } of withoutEffect(resources))
		process.stderr.write(`warning: ${resourceTitle(resource)}: ${oneLine(message)}\n`);
	return resources;
}

function refuse(problems: readonly Problem[]): void {
	if (problems.length === 0) return;
	printProblems(problems);
	throw new WeirError(
		"failed-precondition",
		`${problems.length} problem${problems.length === 1 ? "" : "s"} in the resources`,
	);
}

export function printProblems(problems: readonly Problem[]): void {
	for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
}
