/**
 * What an Envoy refuses, and an Envoy that xDS does not reach, keep the built-in probe from nothing that is served: through
 * control's own roles and a real Envoy.
 */
import { once } from "node:events";
import { symlinkSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { startApiRole } from "../../src/cli/roles/api.js";
import type { ProbeReport } from "../../src/cli/roles/probe.js";
import { startXdsRole } from "../../src/cli/roles/xds.js";
import { collectorsOf, places } from "../../src/cli/stack/places.js";
import { dynamicBootstrap } from "../../src/compiler/bootstrap.js";
import { ApiClient } from "../../src/state/apiClient.js";
import { startEnvoy } from "../envoy/harness.js";
import { startVariants } from "../envoy/variantServer.js";
import { freePort } from "../identity/mesh.js";
import { temporaryDirectory } from "./command.js";
import { protectedService } from "./protectedService.js";
import { roleContext } from "./roleContext.js";

t.setTimeout(120_000);

const gateway = (name: string, port: number): string => `apiVersion: weir.dev/v1alpha1
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

/** Another program, which answers whatever comes. */
async function stranger(t: Test) {
	const asked: string[] = [];
	const server = createHttpServer((request, response) => {
		asked.push(request.url ?? "");
		response.end("ok");
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => server.close());
	return { port: (server.address() as AddressInfo).port, asked };
}

async function scene(t: Test) {
	const directory = await temporaryDirectory(t);
	const at = places(join(directory, "data"));
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
	return { client, apply, wire, lines, probed, port, upstream: upstream?.port ?? 0 };
}

const told = ({ answers, unprobed }: ProbeReport): string =>
	[
		...answers
			.filter(({ guard }) => guard === "rules")
			.map((one) => `${one.gateway} ${one.service} ${one.alarm ?? one.reason}`),
		...unprobed.map(({ gateway, why }) => `${gateway} not probed: ${why}`),
	].join("\n");

const alarmsOf = async (client: ApiClient): Promise<readonly string[]> =>
	((await client.status()).alarms ?? []).map(({ gateway, alarm, why }) => `${gateway} ${alarm ?? why}`);

const REFUSED = "not probed: its listener is refused (weir proxy-status)";

t.test("a Gateway whose listener is refused is named, and all others are probed", async (t) => {
	const { client, apply, probed, upstream } = await scene(t);
	t.equal(await probed(() => true), "edge guarded forbidden");
	const other = await stranger(t);
	await apply(gateway("third", other.port));
	t.equal(await probed(({ unprobed }) => unprobed.length > 0), `edge guarded forbidden\nthird ${REFUSED}`);
	t.same(await alarmsOf(client), ["third its listener is refused (weir proxy-status)"]);

	// What is declared while it stands is probed too.
	await apply(protectedService("later", upstream, "anyone"));
	t.equal(
		await probed(({ answers }) => answers.length > 2),
		`edge guarded forbidden\nedge later forbidden\nthird ${REFUSED}`,
	);

	// One that served, and is refused where it is to go, is probed where it still is.
	await apply(gateway("edge", other.port));
	t.equal(
		await probed(({ unprobed }) => unprobed.length === 1),
		`edge guarded forbidden\nedge later forbidden\nthird ${REFUSED}`,
	);
	await apply(gateway("edge", await freePort()), gateway("third", await freePort()));
	t.equal(
		await probed(({ unprobed }) => unprobed.length === 0),
		"edge guarded forbidden\nedge later forbidden\nthird guarded forbidden\nthird later forbidden",
	);
	t.same(await alarmsOf(client), []);
	t.same(other.asked, [], "nobody else was asked");
});

t.test("an Envoy that xDS does not reach is probed for as long as it serves", async (t) => {
	const { client, wire, apply, probed, upstream } = await scene(t);
	t.equal(await probed(() => true), "edge guarded forbidden");
	wire.drop();
	while ((await client.proxies()).proxies.length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
	await apply(protectedService("later", upstream, "anyone"));
	await new Promise((resolve) => setTimeout(resolve, 3_200));
	t.equal(await probed(() => true), "edge guarded forbidden", "what it was given");
	t.same(await alarmsOf(client), []);
});
