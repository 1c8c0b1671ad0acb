/** `weir requests`, `approve`, `reject`, `history`, `rollback` and `audit`, as the program reads them. */
import type { Command } from "commander";
import type { SharedOptions } from "./policyCommands.js";

export function addAccountabilityCommands(program: Command, { api }: Pick<SharedOptions, "api">): void {
	program
		.command("requests [id]")
		.description("what waits for a second person; with an id its exact content")
		.addOption(api())
		.option("--json")
		.action(async (id, options) => (await import("./commands/approve.js")).requests(id, options));
	program
		.command("approve <id>")
		.description("approve what another operator asked for; with the last approval it happens")
		.addOption(api())
		.action(async (id, options) => (await import("./commands/approve.js")).approve(id, options));
	program
		.command("reject <id>")
		.description("end a request, as its approver or as who asked")
		.addOption(api())
		.option("--reason <text>", "kept with the request")
		.action(async (id, options) => (await import("./commands/approve.js")).reject(id, options));
	program
		.command("history")
		.description("changes of the declaration, newest first")
		.addOption(api())
		.option("-n, --namespace <name>", "of that namespace alone")
		.option("--json")
		.action(async (options) => (await import("./commands/history.js")).history(options));
	program
		.command("rollback")
		.description("apply the documents of an earlier revision again, as one change")
		.addOption(api())
		.requiredOption("--to <revision>", "see weir history")
		.option("-n, --namespace <name>", "of that namespace alone")
		.option("--dry-run", "check and show what would change")
		.action(async (options) => (await import("./commands/history.js")).rollback(options));
	const audit = program.command("audit").description("operations and decisions, with their authors");
	audit
		.command("operators")
		.description("what operators did and tried, and by whose approval")
		.addOption(api())
		.option("--json")
		.option("--verify", "check both chains of hashes and print their heads; exit 1 unless they hold")
		.option(
			"--noted <heads...>",
			"verify, and exit 1 unless these heads of an earlier --verify, as printed, are still there",
		)
		.action(async (options) => (await import("./commands/audit.js")).auditOperators(options));
	audit
		.command("requests")
		.description(
			"the decision log: requests that were refused, assignments that changed, outcomes and streams that were refused",
		)
		.addOption(api())
		.option("--service <name>")
		.option("--request <id>", "x-request-id of the response")
		.option("--reason <code>", "such as no-policy-allows")
		.option("--principal <id>", "SPIFFE id")
		.option("--policy <name>", "AccessPolicy; of refused outcomes, the Metric")
		.option(
			"--kind <kind>",
			"denied, allowed, unjudged, assignment-changed, outcome-refused, stream-refused, records-missing",
		)
		.option("--since <time>", "such as 2026-01-31T12:00:00Z, or 2026-01-31")
		.option("--limit <n>", "the newest n records", "100")
		.option("--json", "one JSON object a line")
		.action(async (options) => (await import("./commands/audit.js")).auditRequests(options));
}
