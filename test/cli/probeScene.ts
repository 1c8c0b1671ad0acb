/** Control's own roles and a real Envoy, whose xDS can be cut, with what the built-in probe found at its Gateway `edge`. */
import { once } from "node:events";
import { symlinkSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Test } from "tap";
import { startApiRole } from "../../src/cli/roles/api.js";
import type { ProbeReport } from "../../src/cli/roles/probeReport.js";
import { startXdsRole } from "../../src/cli/roles/xds.js";
import { collectorsOf, type Places, places } from "../../src/cli/stack/places.js";
import { dynamicBootstrap } from "../../src/compiler/bootstrap.js";
import { ApiClient } from "../../src/state/api/apiClient.js";
import { startEnvoy } from "../envoy/harness.js";
import { startVariants } from "../envoy/variantServer.js";
import { freePort } from "../identity/mesh.js";
import { temporaryDirectory } from "./command.js";
import { protectedService } from "./protectedService.js";
import { roleContext } from "./roleContext.js";

export const gateway = (name: string, port: number): string => `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: ${name}}
spec: {address: 127.0.0.1, port: ${port}}
`;

/** A UNIX socket in front of another one, which a test cuts. */
async function cuttable(t: Test, folder: string, to: string) {
	const open = new Set<Socket>();
	let cut = false;
	const path = join(folder, "cuttable.sock");
	const server = createServer((client) => {
		if (cut) return void client.destroy();
		const upstream = connect(to);
		for (const [one, other] of [
			[client, upstream],
			[upstream, client],
		] as const) {
			open.add(one);
			one.pipe(other);
			one
				.on("error", () => {})
				.on("close", () => {
					open.delete(one);
					other.destroy();
				});
		}
	}).listen(path);
	await once(server, "listening");
	const drop = (): void => {
		cut = true;
		for (const socket of open) socket.destroy();
	};
	t.teardown(() => {
		drop();
		server.close();
	});
	return { path, drop };
}

/** @param prepare what is there before any role starts */
export async function scene(t: Test, prepare?: (at: Places) => Promise<void>) {
	const directory = await temporaryDirectory(t);
	const at = places(join(directory, "data"));
	await prepare?.(at);
	const [upstream] = await startVariants(t, 1);
	const lines: string[] = [];
	const api = await startApiRole(roleContext(at, "api", lines));
	t.teardown(() => api.close());
	const client = new ApiClient(`unix:${at.apiSocket}`);
	const apply = async (...texts: readonly string[]): Promise<void> => {
		const answer = await client.apply([{ name: "a.yaml", text: texts.join("---\n") }], { dryRun: false });
		if (answer.outcome !== "applied") throw new Error(JSON.stringify(answer));
	};
	const port = await freePort();
	await apply(gateway("edge", port), protectedService("guarded", upstream?.port ?? 0, "anyone"));
	const xds = await startXdsRole(roleContext(at, "xds", lines));
	t.teardown(() => xds.close());
	const wire = await cuttable(t, directory, at.adsSocket);
	await startEnvoy(t, (adminSocket) => {
		symlinkSync(adminSocket, at.envoyAdminSocket);
		return dynamicBootstrap(wire.path, {
			collectors: collectorsOf(at, 0),
			nodeId: "weir-gateway",
			adminSocket,
			sidecarSocket: at.sidecarSocket,
		});
	});
	const probe = async (): Promise<ProbeReport | null> =>
		(await client.raw("POST", "/v1/probe", { contentType: "application/json", text: "{}" })).json as ProbeReport | null;
	/** The first one that is so: rounds are shared for 3 s. */
	const probed = async (condition: (report: ProbeReport) => boolean): Promise<string> => {
		const endsMs = performance.now() + 15_000;
		for (;;) {
			const report = await probe();
			if (report !== null && condition(report)) return told(report);
			if (performance.now() > endsMs) throw new Error(`${report === null ? "nothing" : told(report)} was probed`);
			await new Promise((resolve) => setTimeout(resolve, 100));
		}
	};
	return { at, client, apply, wire, lines, probed, port, upstream: upstream?.port ?? 0 };
}

const told = ({ answers, unprobed }: ProbeReport): string =>
	[
		...answers
			.filter(({ guard }) => guard === "rules")
			.map((one) => `${one.gateway} ${one.service} ${one.alarm ?? one.reason}`),
		...unprobed.map(({ gateway, why }) => `${gateway} not probed: ${why}`),
	].join("\n");

export const alarmsOf = async (client: ApiClient): Promise<readonly string[]> =>
	((await client.status()).alarms ?? []).map(({ gateway, alarm, why }) => `${gateway} ${alarm ?? why}`);
