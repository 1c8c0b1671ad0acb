/** The commands of `weir` as commander knows them, without what they do. */
import { Command, CommanderError } from "commander";

/** @returns what commander says against these arguments; null = nothing */
export type Check = (args: readonly string[]) => Promise<string | null>;

export async function commandChecks(): Promise<{ readonly check: Check; readonly program: Command }> {
	const { parseAsync, hook, action } = Command.prototype;
	let program: Command | null = null;
	// main.ts parses when it is loaded. Here it only builds its commands, and none does anything.
	Command.prototype.parseAsync = async function (this: Command) {
		program = this;
		return this;
	};
	Command.prototype.hook = function (this: Command) {
		return this;
	};
	Command.prototype.action = function (this: Command) {
		return action.call(this, () => undefined);
	};
	await import("../../src/cli/main.js");
	Object.assign(Command.prototype, { parseAsync, hook, action });
	if (program === null) throw new Error("src/cli/main.ts parses nothing");
	const built: Command = program;
	const silence = (one: Command): void => {
		one.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
		for (const below of one.commands) silence(below);
	};
	silence(built);
	return {
		program: built,
		check: async (args) => {
			try {
				await built.parseAsync([...args], { from: "user" });
				return null;
			} catch (error) {
				if (error instanceof CommanderError) return error.exitCode === 0 ? null : error.message;
				throw error;
			}
		},
	};
}
