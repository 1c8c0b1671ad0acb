#!/usr/bin/env node
/**
 * `weir`: the only place that composes modules, reads arguments and exits. Exit codes: 0 done, 1 the answer is no
 * (invalid, refused, unavailable), 64 wrong usage (sysexits EX_USAGE), 141 the reader closed the output (as by
 * SIGPIPE). A command's module is loaded when it runs.
 */
import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { WeirError } from "../error.js";
import { addAccountabilityCommands } from "./accountabilityCommands.js";
import { API_HELP, OPERATORS_HELP } from "./apiHelp.js";
import { addExperimentCommands } from "./experimentCommands.js";
import { HEALTH_HELP } from "./healthHelp.js";
import { addModelCommands } from "./modelCommands.js";
import { addPolicyCommands } from "./policyCommands.js";

const EX_USAGE = 64;
const SIGPIPE_EXIT = 128 + 13;

// `weir … | head`: not an error, but never code 0, because the reader did not see all output.
for (const stream of [process.stdout, process.stderr]) {
	stream.on("error", (error: NodeJS.ErrnoException) => {
		if (error.code !== "EPIPE") throw error;
		process.exit(SIGPIPE_EXIT);
	});
}

const packageJson = new URL("../../../package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(packageJson, "utf8")) as { version: string };

const program = new Command("weir")
	.description("Traffic control for model serving inside Envoy.")
	.version(version)
	.exitOverride()
	.showHelpAfterError("(weir --help lists the commands)");

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];
const files = () =>
	new Option("-f, --file <file>", "resource file, - for standard input; required, repeatable")
		.argParser(collect)
		.default([])
		.makeOptionMandatory();
const allocation = () =>
	new Option("--allocation <percent>", "allocation instead of that of the first step, such as 20%");
const mode = () =>
	new Option(
		"--mode <mode>",
		"native: fail if a resource needs the sidecar; callout: the sidecar handles every request; auto: the sidecar where needed",
	)
		.choices(["auto", "native", "callout"])
		.default("auto");
const protocol = () =>
	new Option("--protocol <protocol>", "protocol of the callouts from Envoy to the sidecar")
		.choices(["ext_authz", "ext_proc"])
		.default("ext_authz");
const data = () => new Option("--data <directory>", "directory for state and events").default(".weir");
const identity = () =>
	new Option(
		"--identity <socket>",
		"UNIX socket of the SPIFFE agent that issues this process's identity (weir ca, SPIRE)",
	);
const decisionLog = () =>
	new Option(
		"--decision-log <share>",
		"share of allowed requests that ingest records: denied (none of them), a percentage such as 1%, or all",
	).default("denied");
const allowLocalGates = () =>
	new Option(
		"--allow-local-gates",
		"allow Experiments to declare gates on control's own machine (http://127.0.0.1:PORT)",
	);
const envoyGateways = () =>
	new Option(
		"--envoy-gateways <id=names>",
		"Gateways of an Envoy that connects over TCP: SPIFFE-ID=NAME,NAME or SPIFFE-ID=*; other Envoys are rejected; repeatable",
	)
		.argParser(collect)
		.default([]);
const namespace = () =>
	new Option("-n, --namespace <name>", "namespace of names without one (NAME instead of NAMESPACE/NAME)").default(
		"default",
	);
const api = () =>
	new Option("--api <url>", "URL of control's API; by default that of the stack in ./.weir").env("WEIR_API");

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
		new Option("--format <format>", "output format")
			.choices(["envoy", "table", "istio", "envoy-gateway"])
			.default("envoy"),
	)
	.addOption(mode())
	.addOption(protocol())
	.addOption(allocation())
	.addOption(new Option("--admin-socket <path>", "add Envoy's admin interface on this UNIX socket"))
	.addOption(new Option("--sidecar-socket <path>", "UNIX socket of the sidecar, if one is needed"))
	.option("--trust-domain <name>", "SPIFFE trust domain of the mesh, if a Gateway has tls: {identity: mesh}")
	.option("--identity-socket <path>", "UNIX socket of the SPIFFE agent from which Envoy gets its identity")
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
	.description("explain, rule by rule, how requests are handled")
	.addOption(files())
	.addOption(mode())
	.addOption(protocol())
	.action(async (options) => (await import("./commands/compile.js")).explain(options));

program
	.command("up")
	.description("run the whole stack and a real Envoy on this machine until stopped")
	.addOption(
		new Option(
			"-f, --file <file>",
			"resource file, - for standard input; repeatable; default: the resources stored in --data",
		)
			.argParser(collect)
			.default([]),
	)
	.option(
		"--overwrite",
		"apply the files even if an apply, delete or rollback has changed the stored resources since the last start",
	)
	.addOption(data())
	.option(
		"--store <directory>",
		"store of the models that Variants name (weir model); default: DATA/models, if there is one or a Variant needs it",
	)
	.option("--api-port <port>", "port of the API's TCP listener (mTLS) on the loopback address; 0: any free port", "0")
	.option("--trust-domain <name>", "SPIFFE trust domain of the stack's certificate authority", "weir.local")
	.option("--svid-lifetime <duration>", "lifetime of the identities, which are renewed after half of it; default 1h")
	.addOption(
		new Option("--workload <name=id>", "additional identity, NAME=/PATH or NAME=spiffe://…; repeatable")
			.argParser(collect)
			.default([]),
	)
	.option(
		"--identity-socket <path>",
		"UNIX socket of a running SPIFFE agent (SPIRE), instead of the stack's certificate authority",
	)
	.option("--trace-sampling <percent>", "share of requests traced when the client sent no trace context", "1")
	.addOption(decisionLog())
	.addOption(allowLocalGates())
	.addHelpText("after", HEALTH_HELP)
	.action(async (options) => (await import("./commands/up.js")).up(options));
program
	.command("control")
	.description("run the API, the xDS publisher and the rollout loop in one process")
	.addOption(data())
	.option("--run <directory>", "where the UNIX sockets lie; by default DATA/run")
	.addOption(identity())
	.option("--api-address <address>", "address of the API's TCP listener (mTLS)", "127.0.0.1")
	.option("--api-port <port>", "port of the API's TCP listener (mTLS); 0: any free port; default: no TCP listener")
	.addOption(
		new Option("--admin <id>", "SPIFFE id of an operator with all permissions, without a RoleBinding; repeatable")
			.argParser(collect)
			.default([]),
	)
	.addOption(allowLocalGates())
	.option(
		"--operator-issuer <issuer>",
		"OIDC issuer whose tokens the API's TCP listener accepts, in addition to client certificates",
	)
	.option("--operator-audience <audience>", "audience that these tokens must have")
	.option("--operator-keys <url>", "JWKS of that issuer: an https URL or a file")
	.option(
		"--operator-groups-claim <claim>",
		"claim of these tokens with the groups, group:NAME in RoleBindings",
		"groups",
	)
	.option("--xds-listen <address:port>", "also serve xDS over TCP (mTLS), for Envoys on other machines")
	.option(
		"--access-log-listen <address:port>",
		"address where weir ingest receives their access log; no Service may have it as an endpoint; --xds-listen requires it",
	)
	.option("--no-access-log-listen", "accept that no denials and no exposures of these Envoys are recorded")
	.addOption(envoyGateways())
	.option("--trace-sampling <percent>", "share of requests traced when the client sent no trace context", "1")
	.option("--store <directory>", "store of the models that Variants name (weir model)")
	.option(
		"--predictor <address:port>",
		"weir predictor --store that serves the models of Variants without endpoints (mTLS)",
	)
	.option("--predictor-id <id>", "SPIFFE id of that predictor; default: /weir/predictor in the own trust domain")
	.option("--gateway-ports <file>", "choose the ports of Gateways that declare port 0, and store them in this file")
	.addHelpText("after", OPERATORS_HELP + HEALTH_HELP)
	.action(async (options) => (await import("./commands/control.js")).control(options));
program
	.command("ingest")
	.description("store access logs, outcomes and traces, and serve queries on them")
	.addOption(data())
	.option("--run <directory>", "where the UNIX sockets lie; by default DATA/run")
	.addOption(identity())
	.option(
		"--access-log-listen <address:port>",
		"address to receive the access log of Envoys on other machines, over TCP (mTLS)",
	)
	.addOption(envoyGateways())
	.addOption(decisionLog())
	.action(async (options) => (await import("./commands/control.js")).ingest(options));
program
	.command("ca")
	.description(
		"issue short-lived SPIFFE identities on UNIX sockets, with the APIs of a SPIRE agent (SDS, Workload API)",
	)
	.addOption(data())
	.option("--run <directory>", "where the UNIX sockets lie; by default DATA/run")
	.option("--trust-domain <name>", "trust domain of the SPIFFE ids", "weir.local")
	.addOption(
		new Option(
			"--workload <name=id>",
			"identity in addition to envoy, control, sidecar, predictor and operator, or another id for one of these: NAME=/PATH or NAME=spiffe://…, served on RUN/identity/NAME.sock; repeatable",
		)
			.argParser(collect)
			.default([]),
	)
	.option("--workloads-only", "serve only the identities of --workload")
	.option("--svid-lifetime <duration>", "lifetime of each identity, which is renewed after half of it; default 1h")
	.option(
		"--root-lifetime <duration>",
		"lifetime of each root certificate, which is replaced before it expires; default 7d",
	)
	.action(async (options) => (await import("./commands/ca.js")).ca(options));
program
	.command("envoy")
	.description("run Envoy as a client of control in this directory")
	.addOption(data())
	.option("--run <directory>", "where the UNIX sockets lie; by default DATA/run")
	.option(
		"--trace-sampling <percent>",
		"share of requests traced when the client sent no trace context; the same as of control",
		"1",
	)
	.option("--node <id>", "Envoy's node id", "weir-gateway")
	.addOption(identity())
	.option("--control <address:port>", "control's xDS over TCP (mTLS) instead of the UNIX socket")
	.option("--control-id <id>", "SPIFFE id of that control")
	.option("--access-log <address:port>", "address of that control's --access-log-listen (mTLS); --control requires it")
	.option("--no-access-log", "accept that no denials and no exposures of this Envoy are recorded")
	.action(async (options) => (await import("./commands/envoy.js")).envoy(options));
program
	.command("sidecar")
	.description("answer the ext_authz and ext_proc callouts of Envoys on this machine")
	.addOption(data())
	.option("--run <directory>", "where the UNIX sockets lie; by default DATA/run")
	.option("--table <file>", "table from weir compile --format table, instead of the one from control")
	.option("--socket <path>", "UNIX socket to listen on; by default RUN/sidecar.sock")
	.option("--listen <address:port>", "TCP with mutual TLS instead of a UNIX socket; needs --identity")
	.addOption(
		new Option("--peers <id>", "SPIFFE id of an Envoy that may connect to --listen, or PREFIX/*; repeatable")
			.argParser(collect)
			.default([]),
	)
	.option("--metrics-socket <path>", "UNIX socket for metrics; by default RUN/sidecar-metrics.sock")
	.option("--workers <n>", "number of worker processes; they share the replay protection of DPoP proofs", "1")
	.addOption(identity())
	.option("--control <address:port>", "control's xDS over TCP (mTLS) instead of the UNIX socket")
	.option("--control-id <id>", "SPIFFE id of that control")
	.action(async (options) => (await import("./commands/sidecar.js")).sidecar(options));
program
	.command("predictor")
	.description("serve ONNX models by the Open Inference Protocol v2 (REST)")
	.addOption(
		new Option(
			"--model <name=path>",
			"model to serve: NAME=PATH, or with --store NAME@ALIAS (followed), NAME:VERSION or NAME@sha256:…; repeatable",
		)
			.argParser(collect)
			.default([]),
	)
	.option("--store <directory>", "store of models (weir model); requests may name any of its models by digest")
	.option("--address <address>", "address to listen on; without an identity only a loopback address", "127.0.0.1")
	.option("--port <port>", "port to listen on; 0: any free port", "0")
	.option("--workers <n>", "number of inference threads")
	.addOption(identity())
	.addOption(
		new Option(
			"--clients <id>",
			"SPIFFE id of an Envoy that may send requests, or ID/* for all below; other clients are rejected; repeatable",
		)
			.argParser(collect)
			.default([]),
	)
	.addOption(
		new Option("--decision <how>", "demand: each request must also have the sidecar's signed decision")
			.choices(["none", "demand"])
			.default("none"),
	)
	.option("--as <service/variant>", "with --decision demand: the Variant whose decisions are accepted")
	.action(async (options) => (await import("./commands/predictor.js")).predictor(options));

program
	.command("apply")
	.description("apply resources to a running control; exit 75 if they wait for approval")
	.addOption(files())
	.addOption(api())
	.option("--dry-run", "check and show what would change")
	.action(async (options) => (await import("./commands/operate.js")).apply(options));
program
	.command("delete <kind> <name> [more...]")
	.description(
		"delete resources, all or none; repeat KIND NAME for several; refused if another resource references one",
	)
	.addOption(api())
	.addOption(namespace())
	.option("--dry-run", "check and show what would change")
	.action(async (kind, name, more, options) =>
		(await import("./commands/operate.js")).deleteResources([kind, name, ...more], options),
	);
program
	.command("get")
	.description("print the declared resources")
	.addOption(api())
	.addOption(new Option("-o, --output <form>").choices(["yaml", "json"]).default("yaml"))
	.action(async (options) => (await import("./commands/operate.js")).get(options));
program
	.command("status")
	.description("show alarms, the phase and allocation of every Experiment, and default Variants")
	.addOption(api())
	.option("--json")
	.action(async (options) => (await import("./commands/operate.js")).status(options));
program
	.command("diff")
	.description("compare spec and status, as JSON")
	.addOption(api())
	.action(async (options) => (await import("./commands/operate.js")).diff(options));
program
	.command("proxy-status")
	.description(
		"show the configuration versions of each Envoy and sidecar, and what they rejected; exit 1 if they rejected any",
	)
	.addOption(api())
	.action(async (options) => (await import("./commands/operate.js")).proxyStatus(options));
program
	.command("probe")
	.description("send the bypass probe through every listener of every Envoy now; exit 1 unless all probes are denied")
	.addOption(api())
	.option("--json")
	.action(async (options) => (await import("./commands/probe.js")).probe(options));
addModelCommands(program);
addExperimentCommands(program, { files, api, namespace, collect });
addAccountabilityCommands(program, { api });
addPolicyCommands(program, { files, api, collect });
program
	.command("trace <id>")
	.description("show the trace of one request, by trace id or x-request-id")
	.addOption(api())
	.action(async (id, options) => (await import("./commands/operate.js")).trace(id, options));
program
	.command("why <request-id>")
	.description(
		"explain one request by x-request-id: caller, access rule, assignment, rollout decision, model and trace",
	)
	.addOption(api())
	.option("--json")
	.action(async (id, options) => (await import("./commands/why.js")).why(id, options));

// Commands that call control may use mTLS, with an identity of an agent on this machine.
for (const command of program.commands.flatMap((one) => [one, ...one.commands])) {
	if (!command.options.some(({ long }) => long === "--api")) continue;
	command
		.addOption(identity())
		.addHelpText("after", API_HELP)
		.hook("preAction", async (acting) => {
			const { identity: socket } = acting.opts<{ identity?: string }>();
			if (socket !== undefined) await (await import("./commands/apiAccess.js")).actAs(socket);
		});
}

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
		// Listeners and clients of a role that could not start would keep the process alive.
		process.exit(error.code === "invalid-argument" ? EX_USAGE : 1);
	}
}
