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
const identity = () =>
	new Option("--identity <socket>", "UNIX socket of the SPIFFE agent that says who this is (weir ca, SPIRE)");
const decisionLog = () =>
	new Option(
		"--decision-log <share>",
		"what of requests that were allowed ingest records: denied (none), 1%, all",
	).default("denied");
const allowLocalGates = () =>
	new Option("--allow-local-gates", "Experiments may declare gates on control's own machine (http://127.0.0.1:PORT)");
const envoyGateways = () =>
	new Option(
		"--envoy-gateways <id=names>",
		"an Envoy's Gateways on the TCP listeners, SPIFFE-ID=NAME,NAME or SPIFFE-ID=*; one that is not named has none; repeatable",
	)
		.argParser(collect)
		.default([]);
const namespace = () => new Option("-n, --namespace <name>", "of names that say none").default("default");
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
	.option("--trust-domain <name>", "of the mesh, where a Gateway has tls: {identity: mesh}")
	.option("--identity-socket <path>", "the SPIFFE agent that its Envoy asks")
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
	.addOption(
		new Option(
			"-f, --file <file>",
			"resource file, - for standard input; repeatable; without one the state of DATA goes on as it stands",
		)
			.argParser(collect)
			.default([]),
	)
	.option(
		"--overwrite",
		"for this start: have it as the files say, also where an apply, a delete or a rollback has changed the state since the last one",
	)
	.addOption(data())
	.option("--api-port <port>", "port of the API's TCP listener on the loopback (mTLS), 0 = any free one", "0")
	.option("--trust-domain <name>", "of the stack's own authority", "weir.local")
	.option("--svid-lifetime <duration>", "of its identities, which are renewed at half of it; 1h")
	.addOption(
		new Option("--workload <name=id>", "a further identity, NAME=/PATH or NAME=spiffe://…; repeatable")
			.argParser(collect)
			.default([]),
	)
	.option("--identity-socket <path>", "a SPIFFE agent that runs already (SPIRE), instead of an own authority")
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
	.option("--api-port <port>", "opens the API's TCP listener (mTLS); 0 = any free port")
	.addOption(
		new Option("--admin <id>", "who may do everything on the API before a RoleBinding says so; repeatable")
			.argParser(collect)
			.default([]),
	)
	.addOption(allowLocalGates())
	.option(
		"--operator-issuer <issuer>",
		"OIDC issuer whose tokens the API's TCP listener accepts, beside client certificates",
	)
	.option("--operator-audience <audience>", "of these tokens")
	.option("--operator-keys <url>", "JWKS of that issuer: an https URL or a file")
	.option("--operator-groups-claim <claim>", "where these tokens hold group:NAME of RoleBindings", "groups")
	.option("--xds-listen <address:port>", "xDS over TCP too (mTLS), for Envoys of other machines")
	.option(
		"--access-log-listen <address:port>",
		"where weir ingest takes their access log, so that no Service leads there; --xds-listen needs it",
	)
	.option("--no-access-log-listen", "no denial of theirs is recorded, and no exposure counted")
	.addOption(envoyGateways())
	.option("--trace-sampling <percent>", "share of requests traced when the client sent no trace context", "1")
	.option("--gateway-ports <file>", "choose and keep there the ports of Gateways that declare 0")
	.addHelpText("after", OPERATORS_HELP + HEALTH_HELP)
	.action(async (options) => (await import("./commands/control.js")).control(options));
program
	.command("ingest")
	.description("store access logs, outcomes and traces, and answer queries of them")
	.addOption(data())
	.option("--run <directory>", "where the UNIX sockets lie; by default DATA/run")
	.addOption(identity())
	.option("--access-log-listen <address:port>", "the access log of Envoys of other machines, over TCP (mTLS)")
	.addOption(envoyGateways())
	.addOption(decisionLog())
	.action(async (options) => (await import("./commands/control.js")).ingest(options));
program
	.command("ca")
	.description(
		"issue short-lived identities on this machine's sockets, as a SPIRE agent serves them (SDS, Workload API)",
	)
	.addOption(data())
	.option("--run <directory>", "where the UNIX sockets lie; by default DATA/run")
	.option("--trust-domain <name>", "of the SPIFFE ids", "weir.local")
	.addOption(
		new Option(
			"--workload <name=id>",
			"a further identity, NAME=/PATH or NAME=spiffe://…, beside envoy, control, sidecar, predictor and operator (or another id of one of these): each on RUN/identity/NAME.sock; repeatable",
		)
			.argParser(collect)
			.default([]),
	)
	.option("--workloads-only", "the identities of --workload and no others")
	.option("--svid-lifetime <duration>", "of each identity, which is renewed at half of it; 1h")
	.option("--root-lifetime <duration>", "of each root, which is replaced before it ends; 7d")
	.action(async (options) => (await import("./commands/ca.js")).ca(options));
program
	.command("envoy")
	.description("run Envoy as a client of control in this directory")
	.addOption(data())
	.option("--run <directory>", "where the UNIX sockets lie; by default DATA/run")
	.option("--trace-sampling <percent>", "as given to control", "1")
	.option("--node <id>", "Envoy's node id", "weir-gateway")
	.addOption(identity())
	.option("--control <address:port>", "control's xDS over TCP (mTLS) instead of the UNIX socket")
	.option("--control-id <id>", "SPIFFE id of that control")
	.option("--access-log <address:port>", "that control's access log (mTLS); --control needs it")
	.option("--no-access-log", "none: no denial here is recorded, and no exposure counted")
	.action(async (options) => (await import("./commands/envoy.js")).envoy(options));
program
	.command("sidecar")
	.description("answer the ext_authz and ext_proc callouts of Envoys on this machine")
	.addOption(data())
	.option("--run <directory>", "where the UNIX sockets lie; by default DATA/run")
	.option("--table <file>", "a table of weir compile --format table, instead of control's")
	.option("--socket <path>", "UNIX socket to listen on; by default RUN/sidecar.sock")
	.option("--listen <address:port>", "TCP with mutual TLS instead of a UNIX socket; needs --identity")
	.addOption(
		new Option("--peers <id>", "SPIFFE id of an Envoy that --listen answers, or PREFIX/*; repeatable")
			.argParser(collect)
			.default([]),
	)
	.option("--metrics-socket <path>", "UNIX socket for metrics; by default RUN/sidecar-metrics.sock")
	.option("--workers <n>", "processes that answer, for more cores; a DPoP proof is used once by all of them", "1")
	.addOption(identity())
	.option("--control <address:port>", "control's xDS over TCP (mTLS) instead of the UNIX socket")
	.option("--control-id <id>", "SPIFFE id of that control")
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
	.option("--address <address>", "where to listen; without an identity on the loopback only", "127.0.0.1")
	.option("--port <port>", "0 = any free one", "0")
	.option("--workers <n>", "inference threads")
	.addOption(identity())
	.addOption(
		new Option(
			"--clients <id>",
			"SPIFFE id of an Envoy that may ask, or ID/* for all below; repeatable; no other client may",
		)
			.argParser(collect)
			.default([]),
	)
	.addOption(
		new Option("--decision <how>", "demand: each request must carry the sidecar's signed decision as well")
			.choices(["none", "demand"])
			.default("none"),
	)
	.option("--as <service/variant>", "with --decision demand: whose decisions count here")
	.action(async (options) => (await import("./commands/predictor.js")).predictor(options));

program
	.command("apply")
	.description("give resources to a running control; exit 75 where they wait for approval")
	.addOption(files())
	.addOption(api())
	.option("--dry-run", "check and show what would change")
	.action(async (options) => (await import("./commands/operate.js")).apply(options));
program
	.command("delete <kind> <name> [more...]")
	.description("take resources away, all or none: KIND NAME, and again; refused where another one still names them")
	.addOption(api())
	.addOption(namespace())
	.option("--dry-run", "check and show what would change")
	.action(async (kind, name, more, options) =>
		(await import("./commands/operate.js")).deleteResources([kind, name, ...more], options),
	);
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
	.command("probe")
	.description("send the bypass probe through every listener of every Envoy now; exit 1 unless all is denied")
	.addOption(api())
	.option("--json")
	.action(async (options) => (await import("./commands/probe.js")).probe(options));
addExperimentCommands(program, { files, api, namespace, collect });
addAccountabilityCommands(program, { api });
addPolicyCommands(program, { files, api, collect });
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
		process.exitCode = error.code === "invalid-argument" ? EX_USAGE : 1;
	}
}
