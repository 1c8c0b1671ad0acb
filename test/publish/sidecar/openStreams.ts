/** A Service with ext_proc for requests and responses, in front of an upstream that answers on command. */
import { once } from "node:events";
import { Agent, createServer, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Test } from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { bootstrapOf, type RunningEnvoy, startEnvoy } from "../../envoy/harness.js";
import { CALLOUT, experiment, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { type SidecarProcess, startSidecarProcess } from "./sidecarProcess.js";

export interface OpenStreams {
	readonly sidecar: SidecarProcess;
	readonly envoy: RunningEnvoy;
	/** One request to the Service. */
	ask(): Promise<{ readonly status: number; readonly arm: string | undefined }>;
	/** Resolves when so many requests wait at the upstream. */
	held(count: number): Promise<void>;
	/** The upstream answers all of them, and later requests at once. */
	release(): void;
}

export async function openStreams(t: Test, version?: string): Promise<OpenStreams> {
	const waiting: ServerResponse[] = [];
	let open = false;
	let look: () => void = () => {};
	const upstream = createServer((_, response) => {
		if (open) response.end("served");
		else waiting.push(response);
		look();
	});
	await once(upstream.listen(0, "127.0.0.1", 4_096), "listening");
	const { port } = upstream.address() as AddressInfo;
	const agent = new Agent({ keepAlive: true });
	t.teardown(() => {
		agent.destroy();
		upstream.close();
		upstream.closeAllConnections();
	});
	const resources = resourceSet({
		gateways: [gateway({ exposeArm: true })],
		// The limit allows for a busy machine.
		services: [
			service("slow", [variant("v1", port), variant("v2", port)], { callout: { ...CALLOUT, timeoutMs: 10_000 } }),
		],
		experiments: [experiment("e", "slow", [1, 1])],
	});
	const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, mode: "callout", protocol: "ext_proc" });
	const sidecar = await startSidecarProcess(t, plan);
	const envoy = await startEnvoy(
		t,
		bootstrapOf(plan, NO_COLLECTORS, sidecar.socketPath),
		version === undefined ? {} : { version },
	);
	return {
		sidecar,
		envoy,
		ask: () =>
			new Promise((resolve, reject) => {
				const headers = { host: "slow.test", "x-user-id": "u1" };
				const call = request({ host: "127.0.0.1", port: envoy.port(), agent, headers }, (response) => {
					response.resume();
					const arm = response.headers["x-weir-arm"];
					response.once("end", () => resolve({ status: response.statusCode ?? 0, arm: arm?.toString() }));
				});
				call.once("error", reject).end();
			}),
		held: (count) =>
			new Promise((resolve) => {
				look = () => void (waiting.length >= count && resolve());
				look();
			}),
		release: () => {
			open = true;
			for (const response of waiting.splice(0)) response.end("served");
		},
	};
}
