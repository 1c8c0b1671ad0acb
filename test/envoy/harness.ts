/**
 * A real Envoy for one test: started from a bootstrap in its own temporary directory, ready once its admin is,
 * ended with the test. Its log is shown only on failure.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type EnvoyBinary, findEnvoy } from "../../src/cli/stack/envoyBinary.js";
import { NO_COLLECTORS } from "../../src/compile/compile.js";
import { staticBootstrap } from "../../src/compile/envoy/bootstrap.js";
import type { Collectors, CompiledPlan } from "../../src/compile/plan/compiledPlan.js";

const READY_TIMEOUT_MS = 20_000;
const STOP_GRACE_MS = 3_000;
const LOG_CHARS = 40_000;

/** What the harness needs of a tap test. */
export interface TestScope {
	teardown(run: () => Promise<void> | void): unknown;
	passing(): boolean;
	comment(...lines: unknown[]): void;
}

export interface RunningEnvoy {
	readonly version: string;
	readonly pid: number;
	/** Real port of a listener by its name; without a name, the only one's. */
	port(listener?: string): number;
	/** Body of an admin page. */
	admin(path: string, method?: "GET" | "POST"): Promise<string>;
	/** A counter or gauge by its full name; 0 where Envoy has none. */
	stat(name: string): Promise<number>;
	log(): string;
	stop(): Promise<void>;
}

export interface EnvoyOptions {
	/** A tested version; the newest by default. */
	readonly version?: string;
	readonly concurrency?: number;
}

const living = new Set<ChildProcess>();
const killAll = (): void => {
	for (const child of living) child.kill("SIGKILL");
};
process.on("exit", killAll);
// A runner that ends a test for its time sends one of these, and then there is no "exit".
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
	process.once(signal, () => {
		killAll();
		process.kill(process.pid, signal);
	});
}

/** A tested Envoy; the newest by default. */
export function envoyBinary(version?: string): Promise<EnvoyBinary> {
	return findEnvoy({
		environment: process.env,
		notice: (line) => process.stderr.write(`${line}\n`),
		...(version === undefined ? {} : { version }),
	});
}

/**
 * Starts Envoy and resolves when it is ready.
 * @param bootstrap made for the admin socket that it is given
 * @throws Error with Envoy's log when it ends or is not ready in time, at once when it has no admin there
 */
export async function launchEnvoy(
	bootstrap: (adminSocket: string) => object,
	options: EnvoyOptions = {},
): Promise<RunningEnvoy> {
	const binary = await envoyBinary(options.version);
	const directory = await mkdtemp(join(tmpdir(), "weir-envoy-"));
	const adminSocket = join(directory, "admin.sock");
	const file = join(directory, "bootstrap.json");
	const made = bootstrap(adminSocket);
	if (!hasAdmin(made, adminSocket)) {
		await rm(directory, { recursive: true, force: true });
		throw new Error("its bootstrap has no admin at the socket that it was given: it could never be seen to be ready");
	}
	await writeFile(file, JSON.stringify(made));
	const child = spawn(
		binary.path,
		[
			...["-c", file, "--concurrency", String(options.concurrency ?? 1)],
			...["--disable-hot-restart", "--log-level", "warning"],
			// Tests read access logs of files as soon as they are whole; the default is 10 s.
			...["--file-flush-interval-msec", "100"],
		],
		{ stdio: ["ignore", "pipe", "pipe"] },
	);
	living.add(child);
	let log = "";
	for (const stream of [child.stdout, child.stderr]) {
		stream.setEncoding("utf8").on("data", (text: string) => {
			log = (log + text).slice(-LOG_CHARS);
		});
	}
	const ended = once(child, "exit").then(() => {
		living.delete(child);
	});
	const stop = async (): Promise<void> => {
		if (child.exitCode === null && child.signalCode === null) {
			child.kill("SIGTERM");
			const deadline = setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS);
			await ended;
			clearTimeout(deadline);
		}
		await rm(directory, { recursive: true, force: true });
	};
	try {
		await ready(adminSocket, child);
		const ports = listenerPorts(await adminPage(adminSocket, "/listeners?format=json"));
		return {
			version: binary.version,
			pid: child.pid ?? 0,
			port(listener) {
				const port = listener === undefined ? [...ports.values()][0] : ports.get(listener);
				if (port === undefined) throw new Error(`Envoy has no listener ${listener ?? "at all"}`);
				return port;
			},
			admin: (path, method) => adminPage(adminSocket, path, method),
			stat: async (name) => {
				const page: { stats: readonly { name?: string; value?: number }[] } = JSON.parse(
					await adminPage(adminSocket, `/stats?format=json&filter=^${encodeURIComponent(name)}$`),
				);
				return page.stats.find((stat) => stat.name === name)?.value ?? 0;
			},
			log: () => log,
			stop,
		};
	} catch (error) {
		await stop();
		throw new Error(`Envoy ${binary.version} did not start: ${(error as Error).message}\n${log}`);
	}
}

/** launchEnvoy for the length of a test; its log is printed when the test has failed. */
export async function startEnvoy(
	t: TestScope,
	bootstrap: (adminSocket: string) => object,
	options: EnvoyOptions = {},
): Promise<RunningEnvoy> {
	const envoy = await launchEnvoy(bootstrap, options);
	t.teardown(async () => {
		if (!t.passing()) t.comment(`log of Envoy ${envoy.version}:\n${envoy.log()}`);
		await envoy.stop();
	});
	return envoy;
}

/** The static bootstrap of a Plan, as `weir compile` prints it, for startEnvoy. */
export function bootstrapOf(
	plan: CompiledPlan,
	collectors: Collectors = NO_COLLECTORS,
	sidecarSocket: string | null = null,
): (adminSocket: string) => object {
	return (adminSocket) => staticBootstrap(plan.envoy, { collectors, adminSocket, nodeId: "test", sidecarSocket });
}

/** `envoy --mode validate`: null where it accepts, else its error. */
export async function validateBootstrap(bootstrap: object, version?: string): Promise<string | null> {
	const binary = await envoyBinary(version);
	const directory = await mkdtemp(join(tmpdir(), "weir-validate-"));
	try {
		const file = join(directory, "bootstrap.json");
		await writeFile(file, JSON.stringify(bootstrap));
		await promisify(execFile)(binary.path, ["--mode", "validate", "-c", file]);
		return null;
	} catch (error) {
		return (error as { stderr?: string }).stderr ?? String(error);
	} finally {
		await rm(directory, { recursive: true, force: true });
	}
}

function hasAdmin(bootstrap: object, socketPath: string): boolean {
	const { admin } = bootstrap as {
		readonly admin?: { readonly address?: { readonly pipe?: { readonly path?: string } } };
	};
	return admin?.address?.pipe?.path === socketPath;
}

async function ready(adminSocket: string, child: ChildProcess): Promise<void> {
	const deadline = Date.now() + READY_TIMEOUT_MS;
	while (Date.now() < deadline) {
		if (child.exitCode !== null || child.signalCode !== null) throw new Error("it ended");
		const page = await adminPage(adminSocket, "/ready").catch(() => "");
		if (page.trim() === "LIVE") return;
		// The admin socket appears at some moment that nothing announces.
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
	throw new Error(`it was not ready within ${READY_TIMEOUT_MS} ms`);
}

function adminPage(socketPath: string, path: string, method: "GET" | "POST" = "GET"): Promise<string> {
	return new Promise((resolve, reject) => {
		request({ socketPath, path, method, agent: false }, (response) => {
			let body = "";
			response.setEncoding("utf8");
			response.on("data", (text: string) => {
				body += text;
			});
			response.on("end", () => resolve(body));
		})
			.on("error", reject)
			.end();
	});
}

function listenerPorts(page: string): ReadonlyMap<string, number> {
	const { listener_statuses = [] }: ListenersPage = JSON.parse(page);
	return new Map(
		listener_statuses.map(({ name, local_address }) => [name, local_address.socket_address?.port_value ?? 0]),
	);
}

interface ListenersPage {
	readonly listener_statuses?: readonly {
		readonly name: string;
		readonly local_address: { readonly socket_address?: { readonly port_value: number } };
	}[];
}
