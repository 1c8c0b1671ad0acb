/** The commands under `weir policy`, as the program reads them. */
import { type Command, Option } from "commander";

/** Options that other commands have too. */
export interface SharedOptions {
	files(): Option;
	api(): Option;
	collect(value: string, before: readonly string[]): readonly string[];
}

export function addPolicyCommands(program: Command, { files, api, collect }: SharedOptions): void {
	const policy = program.command("policy").description("test and compare access policies before they are enforced");
	policy
		.command("test")
		.description("check requests against expected verdicts; exit 1 if one differs")
		.addHelpText(
			"after",
			"\nThe token of a case counts as verified, with proof of possession; its exp, nbf, iat and aud are not checked. Claims that no sidecar or Envoy would accept are an error. token: invalid is a token that fails verification.\nA request with principal: uses the Gateways that require client certificates, one without principal: the others; region: limits them to a region, gateway: to one Gateway. The verdict must be as expected at each of these Gateways; it is an error if there is none. via: is a trusted proxy of the Gateway that forwards the request and identifies the principal.",
		)
		.addOption(files())
		.addOption(
			new Option("-t, --table <file>", "table of cases; required, repeatable")
				.argParser(collect)
				.default([])
				.makeOptionMandatory(),
		)
		.option("--live", "for cases without a Variant, use the default Variant that control serves now")
		.addOption(api())
		.action(async (options) => (await import("./commands/policy.js")).policyTest(options));
	policy
		.command("diff <old> <new>")
		.description(
			"show example requests whose verdict differs between two files: constructed at the boundaries of the rules, and logged ones; exit 1 if there is one, or if a file is invalid",
		)
		.option("--log <file>", "also judge these logged requests, lines of weir audit requests --json")
		.option("--recent", "also judge the newest requests of control's access record log")
		.addOption(api())
		.option("--json")
		.action(async (before, after, options) =>
			(await import("./commands/policy.js")).policyDiff(before, after, options),
		);
	policy
		.command("shadow")
		.description("show which verdicts the policies in shadow mode would have changed, under the current rules")
		.addOption(api())
		.option("--service <name>", "only this Service")
		.option("--policy <name>", "only this AccessPolicy")
		.option("--since <time>", "start time, such as 2026-01-31T12:00:00Z or 2026-01-31")
		.option("--all-rules", "also show verdicts under earlier rules of the Service, separately")
		.option("--json")
		.action(async (options) => (await import("./commands/policyShadow.js")).policyShadow(options));
}
