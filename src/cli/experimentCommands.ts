/** The commands about one Experiment, as the program reads them. */
import { type Command, Option } from "commander";
import type { SharedOptions } from "./policyCommands.js";

export function addExperimentCommands(
	program: Command,
	{ files, api, namespace, collect }: SharedOptions & { namespace(): Option },
): void {
	program
		.command("decisions <experiment>")
		.description("list the decisions on an Experiment, with time, rule and reason")
		.addOption(api())
		.addOption(namespace())
		.option("--recompute", "recompute each decision from its stored aggregates; exit 1 unless every byte matches")
		.option("--json")
		.action(async (experiment, options) => (await import("./commands/operate.js")).decisions(experiment, options));
	program
		.command("report <experiment>")
		.description("summarize the current state of an Experiment; with --html write a page with all charts and numbers")
		.addOption(api())
		.addOption(namespace())
		.option("--html <file>", "write a self-contained page to this file; - for standard output")
		.option("--json", "print all numbers of the page as JSON")
		.action(async (experiment, options) => (await import("./commands/report.js")).report(experiment, options));
	program
		.command("plan")
		.description("compute sample size, detectable effect and time to decision of an Experiment in the given files")
		.addOption(files())
		.option("--experiment <name>", "Experiment in the files, NAME or NAMESPACE/NAME; needed if the files have several")
		.option("--traffic <units>", "new units of the Service per day, or of each day: 9000,5000,4000")
		.addOption(
			new Option(
				"--baseline <metric=mean,sd,most>",
				"mean of a metric in the baseline; for metrics of type mean also the standard deviation and the largest value of a unit; repeatable",
			)
				.argParser(collect)
				.default([]),
		)
		.addOption(
			new Option("--effect <metric=size>", "assumed true improvement, such as 2pp; repeatable")
				.argParser(collect)
				.default([]),
		)
		.option("--days <n>", "length of the plan in days; default maxDuration, or 28")
		.option("--power <share>", "probability to detect the assumed improvement", "80%")
		.addOption(api())
		.option("--offline", "do not query control for traffic and earlier results")
		.option("--json")
		.action(async (options) => (await import("./commands/plan.js")).plan(options));
	for (const [verb, description] of [
		["pause", "keep the current allocation; harm is still tested"],
		["resume", "continue after a pause, an alarm or an inconclusive end"],
		["promote", "make a challenger the default Variant now, or end the holdback after a promotion"],
		["abort", "end the Experiment and send all traffic to the default Variant"],
	] as const) {
		const command = program
			.command(`${verb} <experiment>`)
			.description(description)
			.addOption(api())
			.addOption(namespace());
		if (verb === "promote") {
			command
				.option("--arm <arm>", "arm to promote, if there are several challengers")
				.option("--override-gates", "do not call the gates before the promotion; needs admin and --reason")
				.option("--shut-out", "promote although callers of the default Variant lose access; needs --reason");
		}
		command
			.option("--reason <text>", "reason to store with the decision")
			.action(async (experiment, options) => (await import("./commands/operate.js")).act(verb, experiment, options));
	}
}
