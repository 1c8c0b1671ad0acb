/** The commands about the models of a store, as the program reads them. */
import { type Command, Option } from "commander";

export function addModelCommands(program: Command): void {
	const model = program.command("model").description("push, gate, promote and roll back models");
	const store = () =>
		new Option("--store <directory>", "store of models: OCI image layouts").default(".weir/models").env("WEIR_STORE");
	const actor = () => new Option("--actor <name>", "who does this, for the log; default: local:USER").env("WEIR_ACTOR");
	const reason = () => new Option("--reason <text>", "why, for the log").makeOptionMandatory();

	model
		.command("push <model> <path>")
		.description("store an ONNX file, or a folder with one, as NAME:VERSION")
		.addOption(store())
		.addOption(actor())
		.action(async (name, path, options) => (await import("./commands/model.js")).push(name, path, options));
	model
		.command("list [name]")
		.description("list the models with their versions and aliases")
		.addOption(store())
		.option("--json")
		.action(async (name, options) => (await import("./commands/model.js")).list(name, options));
	model
		.command("show <model>")
		.description("show the files of NAME:VERSION, NAME@ALIAS or NAME@sha256:…")
		.addOption(store())
		.option("--json")
		.action(async (name, options) => (await import("./commands/model.js")).show(name, options));
	model
		.command("alias <name> <alias> <version>")
		.description("point an alias such as production to a version or a digest")
		.addOption(store())
		.addOption(actor())
		.addOption(reason())
		.option("--expect <digest>", "digest that the alias must have now, or none: refused if somebody else has moved it")
		.action(async (name, alias, version, options) =>
			(await import("./commands/model.js")).alias(name, alias, version, options),
		);
	model
		.command("rollback <name> <alias>")
		.description("take the last move of an alias back")
		.addOption(store())
		.addOption(actor())
		.addOption(reason())
		.action(async (name, alias, options) => (await import("./commands/model.js")).rollback(name, alias, options));
	model
		.command("history <name> [alias]")
		.description("list the moves of the aliases, newest first")
		.addOption(store())
		.option("--as-of <time>", "show where the aliases pointed at that time (RFC 3339)")
		.option("--json")
		.action(async (name, alias, options) => (await import("./commands/model.js")).history(name, alias, options));
	model
		.command("gc")
		.description("remove versions that no alias has named for a time, and files that no version needs")
		.addOption(store())
		.addOption(actor())
		.option("--keep <days>", "keep what was pushed or named by an alias in these days", "30")
		.option("--delete", "remove it; otherwise only say what would be removed")
		.action(async (options) => (await import("./commands/model.js")).gc(options));
}
