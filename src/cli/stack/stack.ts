/**
 * The whole stack on one machine: an authority, control, ingest, a real Envoy, and what the caller adds, each in its
 * own process under one supervisor. Nothing is kept in this process, so kill -9 of any of them loses nothing. Its parts
 * meet on UNIX sockets in 0700 directories, or by mTLS; each has an identity of its own, over a socket of its own.
 */
import { rmSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Gateway, qualifiedName } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { envoyAdmin } from "../../observe/agent/envoyAdmin.js";
import { TRACES_SOCKET } from "../../observe/telemetry/tracesSocket.js";
import { ApiClient } from "../../operate/api/apiClient.js";
import { isAnswered } from "../../trust/local/socket.js";
import type { ResourceFile } from "../resourceFiles.js";
import { declare } from "./declare.js";
import { endOrphan } from "./envoyProcess.js";
import { requireFreePorts, untilListening } from "./gatewayPorts.js";
import { caChild, identitySocket, stackIds, TRUST_DOMAIN } from "./identity.js";
import { type Places, places } from "./places.js";
import { type ChildSpec, Supervisor } from "./supervisor.js";

export interface StackOptions {
	readonly dataDirectory: string;
	/** TCP port of the API (mTLS); 0 = any free one. */
	readonly apiPort: number;
	readonly traceSamplingPercent: number;
	readonly notice: (line: string) => void;
	/** A SPIFFE agent that runs already (SPIRE); by default the stack runs an authority of its own. */
	readonly identitySocket?: string;
	/** Trust domain of the own authority. */
	readonly trustDomain?: string;
	/** Lifetime of each identity of the own authority, renewed at half of it; an hour. A duration such as 10m. */
	readonly svidLifetime?: string;
	/** Share of allowed requests that ingest records: denied (none), 1%, all; none. */
	readonly decisionLog?: string;
	/** Whether gates may be on this machine; false. */
	readonly allowLocalGates?: boolean;
	/** Directory of a store of models: the stack runs a predictor for Variants without endpoints. Default: none. */
	readonly store?: string;
	/** Further identities of the own authority, by name: SPIFFE ids. */
	readonly workloads?: Readonly<Record<string, string>>;
	/** Processes to start before anything is declared. */
	readonly children?: (identity: StackIdentity) => readonly ChildSpec[];
	/** What to declare, once the children have reported their addresses (by child name); none = the current state. */
	readonly declare: (ready: Readonly<Record<string, unknown>>) => readonly ResourceFile[];
	/** Also if others have changed resources since the last start; false. */
	readonly overwrite?: boolean;
	/** Ends a start that is under way: its children are stopped, and it throws. */
	readonly signal?: AbortSignal;
}

/** Identities of the parts of the stack. */
export interface StackIdentity {
	/** SPIFFE ids of the parts: envoy, control, sidecar, predictor, operator. */
	readonly ids: ReturnType<typeof stackIds>;
	/** UNIX socket of the SPIFFE agent for a part or a further workload. */
	socketOf(name: string): string;
}

export interface Stack {
	/** By Gateway: `http://…` or `https://…`. */
	readonly gateways: Readonly<Record<string, string>>;
	/** The API for the owner: `unix:/path`. */
	readonly api: string;
	/** The API for all others, by mTLS or token: `https://127.0.0.1:PORT`. */
	readonly apiHttps: string;
	/** Prometheus metrics over TCP; the socket serves /metrics too. */
	readonly metrics: string;
	/** Takes OTLP/HTTP spans of further processes (WEIR_TRACES_SOCKET). */
	readonly tracesSocket: string;
	readonly identity: StackIdentity;
	readonly envoyVersion: string;
	/** Process id of a part: ca, control, ingest, sidecar, envoy, or an added child. */
	pid(name: string): number | undefined;
	/** Envoy first, then the sidecar, then the rest. */
	stop(): Promise<void>;
}

const MAIN = fileURLToPath(new URL("../main.js", import.meta.url));
/** Node id of the stack's Envoy, and the last segment of its SPIFFE id. */
const ENVOY = "weir-gateway";
/** Envoy asks for its listeners for 15 s at most before it is live without them, and goes on asking. */
const LISTEN_MS = 20_000;
const LISTEN_POLL_MS = 50;

/** Resolves when Envoy serves what was declared. @throws WeirError when a part does not start or the declaration is refused. */
export async function startStack(options: StackOptions): Promise<Stack> {
	const at = places(options.dataDirectory);
	// Checked first: a part whose socket is in use would not name the user's folder.
	if (await isAnswered(at.apiSocket)) {
		const hint = "stop it, or name another folder by --data";
		throw new WeirError("already-exists", `another Weir runs on ${at.dataDirectory}`, hint);
	}
	const { signal } = options;
	signal?.throwIfAborted();
	const aborted = new Promise<never>((_, reject) => {
		signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
	});
	const supervisor = new Supervisor({ notice: options.notice });
	try {
		return await Promise.race([startParts(options, at, supervisor), aborted]);
	} catch (error) {
		await supervisor.stop();
		throw error;
	}
}

async function startParts(options: StackOptions, at: Places, supervisor: Supervisor): Promise<Stack> {
	const identity = identityOf(options, at.runDirectory);
	const common = ["--data", at.dataDirectory, "--trace-sampling", String(options.traceSamplingPercent)];
	// Spans of our own children go to the embedded store unless the user names another place.
	const environment =
		process.env.OTEL_EXPORTER_OTLP_ENDPOINT || process.env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
			? {}
			: { [TRACES_SOCKET]: at.traceQuerySocket };
	// Ports are chosen anew at each start: another program may have one of the last.
	rmSync(at.gatewayPortsFile, { force: true });
	if (options.identitySocket === undefined) {
		const { trustDomain, workloads, svidLifetime } = options;
		const ids = { ...identity.ids, ...workloads };
		await supervisor.start(caChild({ data: at.dataDirectory, run: at.runDirectory, trustDomain, ids, svidLifetime }));
	}
	const predictor =
		options.store === undefined
			? null
			: ((await supervisor.start(predictorChild(options.store, identity, environment))) as { url: string });
	const models =
		options.store === undefined || predictor === null
			? []
			: ["--store", options.store, "--predictor", new URL(predictor.url).host];
	const control = controlChild(options, at, identity, [...common, ...models]);
	const { api: https } = (await supervisor.start(control)) as { api: string };
	const api = `unix:${at.apiSocket}`;
	// What does not need each other starts side by side; a part that stops goes after all that began later.
	const children = options.children?.(identity) ?? [];
	const [ready] = await Promise.all([
		Promise.all(
			children.map((child) => supervisor.start({ ...child, environment: { ...environment, ...child.environment } })),
		),
		// On a shared machine, counting must not slow what it counts.
		supervisor.start({
			name: "ingest",
			module: MAIN,
			args: ["ingest", "--data", at.dataDirectory, "--decision-log", options.decisionLog ?? "denied"],
			niceness: 10,
		}),
	]);
	const files = options.declare(Object.fromEntries(children.map(({ name }, index) => [name, ready[index]])));
	const { overwrite = false, notice } = options;
	const resources = await declare(files, { api, at, overwrite, notice });
	const declared = resources.filter((resource): resource is Gateway => resource.kind === "Gateway");
	endOrphan(at.runDirectory);
	await requireFreePorts(declared);
	// Envoy after the sidecar, so that it stops before it: a sidecar that went first would fail Envoy's open calls, and
	// Envoy 1.40.0 can crash when both end at once.
	await supervisor.start({
		name: "sidecar",
		module: MAIN,
		args: ["sidecar", "--data", at.dataDirectory, "--identity", identity.socketOf("sidecar")],
		environment,
	});
	const envoy = (await supervisor.start({
		name: "envoy",
		module: MAIN,
		args: ["envoy", ...common, "--node", ENVOY, "--identity", identity.socketOf("envoy")],
	})) as { version: string };
	const unheard = await allListen(declared, at, api, options.notice);
	const listening = declared.filter(({ metadata }) => !unheard.has(qualifiedName(metadata)));
	const gateways = await gatewayUrls(listening, at);
	const metrics = `${https}/metrics`;
	const operator = identity.socketOf("operator");
	const addresses = { api, https, metrics, gateways, operator, traces: at.traceQuerySocket, pid: process.pid };
	writeFileSync(at.addressesFile, JSON.stringify(addresses), { mode: 0o600 });
	return {
		gateways,
		api,
		apiHttps: https,
		metrics,
		tracesSocket: at.traceQuerySocket,
		identity,
		envoyVersion: envoy.version,
		pid: (name) => supervisor.pid(name),
		stop: async () => {
			rmSync(at.addressesFile, { force: true });
			await supervisor.stop();
		},
	};
}

/** Control asks it whether it serves a model, and Envoy sends it requests. A restarted one has the port of its first start. */
function predictorChild(store: string, { ids, socketOf }: StackIdentity, environment: NodeJS.ProcessEnv): ChildSpec {
	const args = (port: string) => [
		...["predictor", "--store", store, "--port", port, "--identity", socketOf("predictor")],
		...["--clients", ids.envoy, "--clients", ids.control],
	];
	return {
		name: "predictor",
		module: MAIN,
		args: args("0"),
		argsAgain: (ready) => args(new URL((ready as { url: string }).url).port),
		environment,
	};
}

/** A restarted control has the API port of its first start. */
function controlChild(
	{ apiPort, allowLocalGates = false }: StackOptions,
	at: Places,
	identity: StackIdentity,
	common: readonly string[],
): ChildSpec {
	const args = (port: string) => [
		...["control", ...common, "--identity", identity.socketOf("control"), "--admin", identity.ids.operator],
		...["--api-port", port, "--gateway-ports", at.gatewayPortsFile],
		...(allowLocalGates ? ["--allow-local-gates"] : []),
	];
	return {
		name: "control",
		module: MAIN,
		args: args(String(apiPort)),
		crashHint: `the state file ${join(at.dataDirectory, "state", "state.mdb")} may be damaged: restore a copy, or move it away to start without state`,
		argsAgain: (ready) => args(new URL((ready as { api: string }).api).port),
	};
}

/** By qualified name. */
async function gatewayUrls(gateways: readonly Gateway[], at: Places): Promise<Readonly<Record<string, string>>> {
	const listeners = await envoyAdmin(at.envoyAdminSocket).listeners();
	return Object.fromEntries(
		gateways.map(({ metadata, spec }) => {
			const name = qualifiedName(metadata);
			const address = spec.address === "0.0.0.0" || spec.address === "::" ? "127.0.0.1" : spec.address;
			const host = address.includes(":") ? `[${address}]` : address;
			const scheme = spec.tls === null ? "http" : "https";
			return [name, `${scheme}://${host}:${spec.port || listeners.get(name)?.port}`];
		}),
	);
}

/** An external agent attests each process itself: one socket for all. */
function identityOf({ identitySocket: agent, trustDomain = TRUST_DOMAIN }: StackOptions, run: string): StackIdentity {
	return {
		ids: stackIds(trustDomain, { envoy: ENVOY, operator: userInfo().username }),
		socketOf: (name) => agent ?? identitySocket(run, name),
	};
}

/**
 * Waits until Envoy listens for the declared Gateways.
 * @returns qualified names of Gateways that do not listen
 * @throws WeirError `unavailable` if none does and Envoy reports why, such as an address of another machine
 */
async function allListen(
	declared: readonly Gateway[],
	{ envoyAdminSocket }: Places,
	api: string,
	notice: (line: string) => void,
): Promise<ReadonlySet<string>> {
	const names = declared.map(({ metadata }) => qualifiedName(metadata));
	const client = new ApiClient(api);
	const unheard = await untilListening(names, {
		listening: async () => new Set((await envoyAdmin(envoyAdminSocket).listeners()).keys()),
		refusal: async () => {
			const { proxies } = await client.proxies();
			const errors = proxies.flatMap(({ types: { listeners } }) =>
				listeners?.state === "ERROR" ? listeners.error : [],
			);
			return errors[0] ?? null;
		},
		patienceMs: LISTEN_MS,
		everyMs: LISTEN_POLL_MS,
	});
	if (unheard === null) return new Set();
	const which = unheard.names.map((name) => `Gateway ${name}`).join(", ");
	const why = unheard.why === null ? "Envoy has not taken its listener yet" : unheard.why.trim();
	if (unheard.why !== null && unheard.names.length === names.length)
		throw new WeirError("unavailable", `${which}: nothing listens: ${why}`, "correct the Gateway");
	notice(`${which}: nothing listens: ${why} (weir status)`);
	return new Set(unheard.names);
}
