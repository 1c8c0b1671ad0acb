#!/usr/bin/env node
/**
 * `weir`: the only place that composes rooms, reads arguments and exits. Exit codes: 0 done, 1 the answer is no
 * (invalid, refused, unavailable), 64 wrong usage (sysexits EX_USAGE). A command's module is loaded when it runs.
 */
import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { WeirError } from "../error.js";

const EX_USAGE = 64;

const packageJson = new URL("../../../package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(packageJson, "utf8")) as { version: string };

const program = new Command("weir")
	.description("Traffic control for model serving inside Envoy.")
	.version(version)
	.exitOverride()
	.showHelpAfterError("(weir --help lists the commands)");

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];
const files = () =>
	new Option("-f, --file <file>", "resource file, - for standard input; repeatable")
		.argParser(collect)
		.default([])
		.makeOptionMandatory();
const allocation = () =>
	new Option("--allocation <percent>", "live share of the slot instead of the first step, e.g. 20%");
const mode = () =>
	new Option("--mode <mode>", "native: refuse what Envoy cannot do; callout: the sidecar does all")
		.choices(["auto", "native", "callout"])
		.default("auto");
const protocol = () =>
	new Option("--protocol <protocol>", "by which Envoy asks the sidecar")
		.choices(["ext_authz", "ext_proc"])
		.default("ext_authz");
const data = () => new Option("--data <directory>", "where state and events are kept").default(".weir");
const api = () => new Option("--api <url>", "control's API; by default that of the stack in ./.weir").env("WEIR_API");

program
	.command("validate")
	.description("check resources")
	.addOption(files())
	.action(async (options) => (await import("./commands/declaration.js")).validate(options));
program
	.command("schema")
	.description("print the JSON Schema of all kinds")
	.action(async () => (await import("./commands/declaration.js")).schema());
program
	.command("compile")
	.description("print a complete Envoy bootstrap")
	.addOption(files())
	.addOption(
		new Option("--format <format>", "what to print")
			.choices(["envoy", "table", "istio", "envoy-gateway"])
			.default("envoy"),
	)
	.addOption(mode())
	.addOption(protocol())
	.addOption(allocation())
	.addOption(new Option("--admin-socket <path>", "add Envoy's admin on a UNIX socket"))
	.addOption(new Option("--sidecar-socket <path>", "where the sidecar listens, if one is needed"))
	.option("--sidecar-address <host:port>", "istio, envoy-gateway: the sidecar's Kubernetes Service")
	.option("--namespace <name>", "istio, envoy-gateway: Kubernetes namespace of the manifests")
	.option("--gateway <name>", "istio, envoy-gateway: an existing gateway, NAMESPACE/NAME")
	.action(async (options) => (await import("./commands/compile.js")).compileCommand(options));
program
	.command("assign")
	.description("read unit ids from standard input, one a line; print id<TAB>arm")
	.addOption(files())
	.requiredOption("--experiment <name>", "Experiment, NAME or NAMESPACE/NAME")
	.addOption(allocation())
	.action(async (options) => (await import("./commands/assign.js")).assign(options));
program
	.command("explain")
	.description("tell, rule by rule, what happens to a request")
	.addOption(files())
	.addOption(mode())
	.addOption(protocol())
	.action(async (options) => (await import("./commands/compile.js")).explain(options));

program
	.command("up")
	.description("run the whole stack and a real Envoy on this machine until stopped")
	.addOption(files())
	.addOption(data())
	.option("--api-port <port>", "port of the API on loopback, 0 = any free one", "0")
	.option("--trace-sampling <percent>", "share of requests traced when the client sent no trace", "1")
	.action(async (options) => (await import("./commands/up.js")).up(options));
program
	.command("control")
	.description("run roles of control in this process")
	.requiredOption("--roles <list>", "comma-separated: api, ingest, xds, rollout (one process each is best)")
	.addOption(data())
	.option("--run <directory>", "where the UNIX sockets lie; by default DATA/run")
	.option("--api-address <address>", "loopback address of the API", "127.0.0.1")
	.option("--api-port <port>", "port of the API, 0 = any free one", "0")
	.option("--trace-sampling <percent>", "share of requests traced when the client sent no trace", "1")
	.addOption(
		new Option("--gateway-port <name=port>", "port of a Gateway that declares 0; repeatable")
			.argParser(collect)
			.default([]),
	)
	.action(async (options) => (await import("./commands/control.js")).control(options));
program
	.command("envoy")
	.description("run Envoy as a client of control in this directory")
	.addOption(data())
	.option("--run <directory>", "where the UNIX sockets lie; by default DATA/run")
	.option("--trace-sampling <percent>", "as given to control", "1")
	.option("--node <id>", "Envoy's node id", "weir-gateway")
	.action(async (options) => (await import("./commands/envoy.js")).envoy(options));
program
	.command("sidecar")
	.description("answer the ext_authz and ext_proc callouts of Envoys on this machine")
	.addOption(data())
	.option("--run <directory>", "where the UNIX sockets lie; by default DATA/run")
	.option("--table <file>", "a table of weir compile --format table, instead of control's")
	.option("--socket <path>", "UNIX socket to listen on; by default RUN/sidecar.sock")
	.option("--listen <address:port>", "a loopback address instead of a UNIX socket")
	.option("--metrics-socket <path>", "UNIX socket for metrics; by default RUN/sidecar-metrics.sock")
	.option("--workers <n>", "processes that answer", "1")
	.action(async (options) => (await import("./commands/sidecar.js")).sidecar(options));
program
	.command("predictor")
	.description("serve ONNX models by the Open Inference Protocol v2 (REST)")
	.addOption(
		new Option("--model <name=path>", "model to serve; repeatable")
			.argParser(collect)
			.default([])
			.makeOptionMandatory(),
	)
	.option("--address <address>", "loopback address", "127.0.0.1")
	.option("--port <port>", "0 = any free one", "0")
	.option("--workers <n>", "inference threads")
	.action(async (options) => (await import("./commands/predictor.js")).predictor(options));

program
	.command("apply")
	.description("give resources to a running control")
	.addOption(files())
	.addOption(api())
	.option("--dry-run", "check and show what would change")
	.action(async (options) => (await import("./commands/operate.js")).apply(options));
program
	.command("get")
	.description("print what is declared")
	.addOption(api())
	.addOption(new Option("-o, --output <form>").choices(["yaml", "json"]).default("yaml"))
	.action(async (options) => (await import("./commands/operate.js")).get(options));
program
	.command("status")
	.description("allocation and phase of every Experiment")
	.addOption(api())
	.option("--json")
	.action(async (options) => (await import("./commands/operate.js")).status(options));
program
	.command("diff")
	.description("wishes against facts")
	.addOption(api())
	.action(async (options) => (await import("./commands/operate.js")).diff(options));
program
	.command("proxy-status")
	.description("what each Envoy has, and what it refused")
	.addOption(api())
	.action(async (options) => (await import("./commands/operate.js")).proxyStatus(options));
program
	.command("decisions <experiment>")
	.description("what was decided, when, by which rule, on which evidence")
	.addOption(api())
	.option("--recompute", "make each decision again from its stored aggregates; exit 1 unless every byte matches")
	.option("--json")
	.action(async (experiment, options) => (await import("./commands/operate.js")).decisions(experiment, options));
for (const [verb, description] of [
	["pause", "hold the allocation; harm is still watched"],
	["resume", "go on after a pause, an alarm or an inconclusive end"],
	["promote", "let a challenger take over now"],
	["abort", "end the Experiment; all traffic to the default Variant"],
] as const) {
	const command = program.command(`${verb} <experiment>`).description(description).addOption(api());
	if (verb === "promote") command.option("--arm <arm>", "which arm, where there are several");
	command
		.option("--reason <text>", "kept with the decision")
		.action(async (experiment, options) => (await import("./commands/operate.js")).act(verb, experiment, options));
}
program
	.command("trace <id>")
	.description("the path of one request, by trace id or x-request-id")
	.addOption(api())
	.action(async (id, options) => (await import("./commands/operate.js")).trace(id, options));
program
	.command("why <request-id>")
	.description("who asked, by which rule, bucket, decision and model one request was answered, and its trace")
	.addOption(api())
	.option("--json")
	.action(async (id, options) => (await import("./commands/why.js")).why(id, options));

try {
	await program.parseAsync();
} catch (thrown) {
	if (thrown instanceof CommanderError) {
		process.exitCode = thrown.exitCode === 0 ? 0 : EX_USAGE;
	} else {
		const error = WeirError.from(thrown);
		process.stderr.write(`weir: ${error.message}${error.hint === "" ? "" : `; ${error.hint}`}\n`);
		if (error.code === "internal" && process.env.WEIR_LOG === "debug")
			process.stderr.write(`${(error.cause as Error)?.stack ?? error.stack}\n`);
		process.exitCode = error.code === "invalid-argument" ? EX_USAGE : 1;
	}
}
