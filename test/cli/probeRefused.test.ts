/**
 * What an Envoy refuses, and an Envoy that xDS does not reach, keep the built-in probe from nothing that is served: through
 * control's own roles and a real Envoy.
 */
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import t, { type Test } from "tap";
import { freePort } from "../identity/mesh.js";
import { alarmsOf, gateway, scene } from "./probeScene.js";
import { protectedService } from "./protectedService.js";

t.setTimeout(120_000);

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

const REFUSED = "not probed: its listener is refused (weir proxy-status)";

t.test("a Gateway whose listener is refused is named, and all others are probed", async (t) => {
	const { client, apply, probed, upstream } = await scene(t);
	// Envoy may take its first listener a moment after it is ready.
	t.equal(await probed(({ answers }) => answers.length > 0), "edge guarded forbidden");
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
	t.equal(await probed(({ answers }) => answers.length > 0), "edge guarded forbidden");
	wire.drop();
	while ((await client.proxies()).proxies.length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
	await apply(protectedService("later", upstream, "anyone"));
	await new Promise((resolve) => setTimeout(resolve, 3_200));
	t.equal(await probed(() => true), "edge guarded forbidden", "what it was given");
	t.same(await alarmsOf(client), []);
});
