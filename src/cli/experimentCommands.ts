/** The commands about one Experiment, as the program reads them. */
import { type Command, Option } from "commander";
import type { SharedOptions } from "./policyCommands.js";

export function addExperimentCommands(
	program: Command,
	{ files, api, namespace, collect }: SharedOptions & { namespace(): Option },
): void {
	program
		.command("decisions <experiment>")
		.description("what was decided, when, by which rule, on which evidence")
		.addOption(api())
		.addOption(namespace())
		.option("--recompute", "make each decision again from its stored aggregates; exit 1 unless every byte matches")
		.option("--json")
		.action(async (experiment, options) => (await import("./commands/operate.js")).decisions(experiment, options));
	program
		.command("report <experiment>")
		.description("how an Experiment stands: the plain answer, and with --html a page of all pictures and numbers")
		.addOption(api())
		.addOption(namespace())
		.option("--html <file>", "write one self-contained page; - for standard output")
		.option("--json", "all numbers of the page")
		.action(async (experiment, options) => (await import("./commands/report.js")).report(experiment, options));
	program
		.command("plan")
		.description("sample size, detectable effect and time to decision of an Experiment, before and while it runs")
		.addOption(files())
		.option("--experiment <name>", "Experiment, NAME or NAMESPACE/NAME; by default the only one")
		.option("--traffic <units>", "new people of the Service a day, or of each day: 9000,5000,4000")
		.addOption(
			new Option(
				"--baseline <metric=mean,sd,most>",
				"level of a metric, and for means the spread of one person's and the farthest one; repeatable",
			)
				.argParser(collect)
				.default([]),
		)
		.addOption(
			new Option("--effect <metric=size>", "improvement that is believed to be there, such as 2pp; repeatable")
				.argParser(collect)
				.default([]),
		)
		.option("--days <n>", "end of the plan; by default maxDuration, else 28")
		.option("--power <share>", "chance to find what is there", "80%")
		.addOption(api())
		.option("--offline", "ask no control, also where one runs")
		.option("--json")
		.action(async (options) => (await import("./commands/plan.js")).plan(options));
	for (const [verb, description] of [
		["pause", "hold the allocation; harm is still watched"],
		["resume", "go on after a pause, an alarm or an inconclusive end"],
		["promote", "let a challenger take over now, or end the holdback of one that did"],
		["abort", "end the Experiment; all traffic to the default Variant"],
	] as const) {
		const command = program
			.command(`${verb} <experiment>`)
			.description(description)
			.addOption(api())
			.addOption(namespace());
		if (verb === "promote") {
			command
				.option("--arm <arm>", "which arm, where there are several")
				.option("--override-gates", "as an admin, with a reason: do not ask the gates before a promotion")
				.option("--shut-out", "with a reason: although callers of the default Variant lose access");
		}
		command
			.option("--reason <text>", "kept with the decision")
			.action(async (experiment, options) => (await import("./commands/operate.js")).act(verb, experiment, options));
	}
}
