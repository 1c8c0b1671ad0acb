/** `weir requests`, `approve`, `reject`, `history`, `rollback` and `audit`, as the program reads them. */
import type { Command } from "commander";
import type { SharedOptions } from "./policyCommands.js";

export function addAccountabilityCommands(program: Command, { api }: Pick<SharedOptions, "api">): void {
	program
		.command("requests [id]")
		.description("list approval requests; with an id, show its exact content")
		.addOption(api())
		.option("--json")
		.action(async (id, options) => (await import("./commands/approve.js")).requests(id, options));
	program
		.command("approve <id>")
		.description("approve a request of another operator; the last approval executes it")
		.addOption(api())
		.action(async (id, options) => (await import("./commands/approve.js")).approve(id, options));
	program
		.command("reject <id>")
		.description("reject an approval request as an approver, or withdraw it as the requester")
		.addOption(api())
		.option("--reason <text>", "reason to store with the request")
		.action(async (id, options) => (await import("./commands/approve.js")).reject(id, options));
	program
		.command("history")
		.description("list the changes of resources, newest first")
		.addOption(api())
		.option("-n, --namespace <name>", "only this namespace")
		.option("--json")
		.action(async (options) => (await import("./commands/history.js")).history(options));
	program
		.command("rollback")
		.description("apply the resources of an earlier revision again, as one change")
		.addOption(api())
		.requiredOption("--to <revision>", "revision, from weir history")
		.option("-n, --namespace <name>", "only this namespace")
		.option("--dry-run", "check and show what would change")
		.action(async (options) => (await import("./commands/history.js")).rollback(options));
	const audit = program.command("audit").description("show the audit logs");
	audit
		.command("operators")
		.description("show the operations of operators, also refused ones, with approvals")
		.addOption(api())
		.option("--json")
		.option("--verify", "verify both hash chains and print their heads; exit 1 if one is broken")
		.option(
			"--noted <heads...>",
			"verify, and exit 1 if the chains no longer contain these heads, as printed by an earlier --verify",
		)
		.action(async (options) => (await import("./commands/audit.js")).auditOperators(options));
	audit
		.command("requests")
		.description(
			"show the access record log: denied requests, changed assignments, rejected outcomes and rejected streams",
		)
		.addOption(api())
		.option("--service <name>", "only this Service")
		.option("--request <id>", "only the request with this x-request-id")
		.option("--reason <code>", "only this reason, such as no-policy-allows")
		.option("--principal <id>", "only this caller, a SPIFFE id")
		.option("--policy <name>", "only this AccessPolicy, or for rejected outcomes this Metric")
		.option(
			"--kind <kind>",
			"only this kind: denied, allowed, unjudged, assignment-changed, outcome-refused, stream-refused or records-missing",
		)
		.option("--since <time>", "start time, such as 2026-01-31T12:00:00Z or 2026-01-31")
		.option("--limit <n>", "number of records, the newest ones", "100")
		.option("--json", "one JSON object a line")
		.action(async (options) => (await import("./commands/audit.js")).auditRequests(options));
}
