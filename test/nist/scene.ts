/**
 * The stack of `weir up` as a user has it, for the five points of NIST SP 800-207A: an authority, a real Envoy, a real
 * model server behind mTLS, and callers with identities of the authority.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type IncomingHttpHeaders, request as plainRequest } from "node:http";
import { request } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { ownIdentity } from "../../src/cli/stack/identity.js";
import { clientTls } from "../../src/trust/identity/nodeTls.js";
import type { Workload } from "../../src/trust/identity/workloadClient.js";
import { fileOf, MAIN, type RunningUp, temporaryDirectory, weirUp } from "../cli/command.js";

const PLAIN = fileURLToPath(new URL("../../../test/fixtures/employment/plain.onnx", import.meta.url));
export const HOST = "model.test";
export const INFER = "/v2/models/employment/infer";
export const BODY = JSON.stringify({
	inputs: [{ name: "features", shape: [1, 16], datatype: "FP32", data: Array(16).fill(1) }],
});
const id = (path: string): string => `spiffe://weir.local/${path}`;
export const APP = id("app");

export interface SceneOptions {
	/** More fields of the Service (YAML, two blanks deep), and of the Gateway. */
	readonly service?: string;
	readonly gateway?: string;
	/** Documents beside them, each ended by `---`. */
	readonly documents?: (directory: string) => string;
	/** Further arguments of `weir up`, and of the predictor. */
	readonly up?: readonly string[];
	readonly predictor?: readonly string[];
}

export interface Answer {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	readonly text: string;
}

export interface Ask {
	/** Name of the caller's workload; null = no certificate. */
	readonly as: "app" | "unauthorised" | "operator" | null;
	readonly headers?: Readonly<Record<string, string>>;
	readonly path?: string;
	readonly method?: string;
	/** Another port than the Gateway's. */
	readonly port?: number;
	/** The SPIFFE id that the server must prove; by default the Envoy's. */
	readonly server?: string;
	readonly body?: string;
	readonly timeoutMs?: number;
}

export interface Scene {
	readonly up: RunningUp;
	readonly directory: string;
	readonly gatewayPort: number;
	readonly modelPort: number;
	readonly apiPort: number;
	readonly identities: Readonly<Record<"app" | "unauthorised" | "operator", Workload>>;
	/** A request with a caller's identity; by default an inference through the Gateway. */
	ask(ask: Ask): Promise<Answer>;
}

export const ENVOY = id("weir/envoy/weir-gateway");
export const PREDICTOR = id("weir/predictor");
export const CONTROL = id("weir/control");

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as AddressInfo;
	await new Promise((resolve) => server.close(resolve));
	return port;
}

export async function startScene(t: Test, options: SceneOptions = {}): Promise<Scene> {
	const directory = await temporaryDirectory(t);
	const modelPort = await freePort();
	const file = await fileOf(
		directory,
		"weir.yaml",
		`${options.documents?.(directory) ?? ""}
apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec:
  port: 0
  tls: {identity: mesh}
${options.gateway ?? ""}
---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: model}
spec:
  hosts: [${HOST}]
  defaultVariant: v1
  identities: ["${PREDICTOR}"]
  variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: ${modelPort}}]}]
${options.service ?? ""}
`,
	);
	const model = startModel(t, modelPort, `${directory}/data/run/identity/predictor.sock`, options.predictor ?? []);
	const up = await weirUp(file, `${directory}/data`, [
		...["--workload", "app=/app", "--workload", "unauthorised=/unauthorised"],
		...(options.up ?? []),
	]);
	t.teardown(async () => void (await up.stop()));
	await model;
	const socketOf = (name: string): string => `${directory}/data/run/identity/${name}.sock`;
	const [app, unauthorised, operator] = await Promise.all([
		ownIdentity(socketOf("app")),
		ownIdentity(socketOf("unauthorised")),
		ownIdentity(socketOf("operator")),
	]);
	t.teardown(() => {
		for (const one of [app, unauthorised, operator]) one.close();
	});
	const identities = { app, unauthorised, operator };
	const gatewayPort = Number(new URL(up.ready.gateway).port);
	return {
		up,
		directory,
		gatewayPort,
		modelPort,
		apiPort: Number(new URL(up.ready.https).port),
		identities,
		ask: (ask) => send(identities, gatewayPort, ask),
	};
}

/** `weir predictor` with the authority's identity, resolved when it listens. */
async function startModel(t: Test, port: number, socket: string, more: readonly string[]): Promise<void> {
	const identity = ["--identity", socket, "--clients", "spiffe://weir.local/weir/envoy/*"];
	const child = spawn(
		process.execPath,
		[MAIN, "predictor", "--model", `employment=${PLAIN}`, "--port", String(port), ...identity, ...more],
		{ stdio: ["ignore", "pipe", "pipe"] },
	);
	t.teardown(async () => {
		if (child.exitCode !== null || child.signalCode !== null) return;
		const exited = once(child, "exit");
		child.kill("SIGKILL");
		await exited;
	});
	let log = "";
	child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
		log += chunk;
	});
	await new Promise<void>((resolve, reject) => {
		let out = "";
		child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
			out += chunk;
			if (/^READY /m.test(out)) resolve();
		});
		child.once("exit", (code) => reject(new Error(`weir predictor ended with ${code}: ${log}`)));
	});
}

function send(identities: Scene["identities"], gatewayPort: number, ask: Ask): Promise<Answer> {
	const { as, headers = {}, path = INFER, method = "POST", port = gatewayPort, server = ENVOY } = ask;
	const body = ask.body ?? (method === "POST" ? BODY : undefined);
	const tls =
		as === null
			? { rejectUnauthorized: false, checkServerIdentity: () => undefined }
			: clientTls(identities[as], (found) => found === server);
	return new Promise((resolve, reject) => {
		const all = { host: HOST, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers };
		const sent = request(
			{ ...tls, host: "127.0.0.1", port, path, method, headers: all, agent: false, timeout: ask.timeoutMs ?? 20_000 },
			(response) => {
				let text = "";
				response.setEncoding("utf8").on("data", (chunk: string) => {
					text += chunk;
				});
				response.once("error", reject);
				response.once("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
			},
		);
		sent.once("timeout", () => sent.destroy(new Error("timeout")));
		sent.once("error", reject);
		sent.end(body);
	});
}

/** Plain HTTP to a port that should not understand it. @returns the status, or the error's code */
export function plainly(port: number, path = "/"): Promise<number | string> {
	return new Promise((resolve) => {
		plainRequest({ host: "127.0.0.1", port, path, headers: { host: HOST }, agent: false }, (response) => {
			response.resume();
			resolve(response.statusCode ?? 0);
		})
			.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
			.end();
	});
}
