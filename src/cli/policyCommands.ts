/** The commands under `weir policy`, as the program reads them. */
import { type Command, Option } from "commander";

/** Options that other commands have too. */
export interface SharedOptions {
	files(): Option;
	api(): Option;
	collect(value: string, before: readonly string[]): readonly string[];
}

export function addPolicyCommands(program: Command, { files, api, collect }: SharedOptions): void {
	const policy = program.command("policy").description("what access rules do, before they do it");
	policy
		.command("test")
		.description("check tables of requests against the verdicts expected of them; exit 1 where one differs")
		.addHelpText(
			"after",
			"\nA case's token is taken as verified and its possession as proved, whatever its exp, nbf, iat or aud says; claims that no execution takes are refused. token: invalid is one that does not hold.\nWith a principal: a request comes through the Gateways that demand client certificates, without one through those that demand none, with a region: through those there. A case must hold at each of them, or at the one that gateway: names; where there is none it is refused. With a via: a trusted proxy of the Gateway brings it, and names the principal.",
		)
		.addOption(files())
		.addOption(
			new Option("-t, --table <file>", "table of cases; repeatable")
				.argParser(collect)
				.default([])
				.makeOptionMandatory(),
		)
		.option("--live", "a request's Variant, where a case names none, is the default one that control serves now")
		.addOption(api())
		.action(async (options) => (await import("./commands/policy.js")).policyTest(options));
	policy
		.command("diff <old> <new>")
		.description(
			"requests whose verdict differs between two files, constructed or logged, rules that may let in more or less, and settings that decide; exit 1 where there is one, or a file is invalid",
		)
		.option("--log <file>", "lines of weir audit requests --json")
		.option("--recent", "the last requests of control's decision log")
		.addOption(api())
		.option("--json")
		.action(async (before, after, options) =>
			(await import("./commands/policy.js")).policyDiff(before, after, options),
		);
	policy
		.command("shadow")
		.description("what the policies that are in mode shadow now would have changed, under the rules in force")
		.addOption(api())
		.option("--service <name>")
		.option("--policy <name>")
		.option("--since <time>", "such as 2026-01-31T12:00:00Z, or 2026-01-31")
		.option("--all-rules", "also what was judged under earlier rules of the Service, each apart")
		.option("--json")
		.action(async (options) => (await import("./commands/policyShadow.js")).policyShadow(options));
}
