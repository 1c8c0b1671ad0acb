/** `weir up` prints READY only for Gateways that listen, and reports a port that another program has. */
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import t, { type Test } from "tap";
import { GatewayPorts, untilListening } from "../../../src/cli/stack/gatewayPorts.js";
import { gateway } from "../../fixtures/resources.js";
import { startBackend } from "../backend.js";
import { fileOf, temporaryDirectory, weirUp } from "../command.js";
import { gatewayText, serviceText } from "../documents.js";

t.setTimeout(120_000);

async function taken(t: Test): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => server.close());
	return (server.address() as AddressInfo).port;
}

const declared = (gateways: Readonly<Record<string, number>>, backend: number): string =>
	[
		...Object.entries(gateways).map(([name, port]) => gatewayText(`port: ${port}`, name)),
		serviceText("own", [backend], "access: open"),
	].join("---\n");

t.test("a Gateway whose port is taken is reported, and another one serves", async (t) => {
	const directory = await temporaryDirectory(t);
	const [port, backend] = await Promise.all([taken(t), startBackend(t)]);
	const alone = await fileOf(directory, "alone.yaml", declared({ edge: port }, backend));
	const words = new RegExp(`Gateway edge: nothing listens: .*cannot bind '127.0.0.1:${port}': Address already in use`);
	await t.rejects(weirUp(alone, `${directory}/alone`), { message: words });

	const both = await fileOf(directory, "both.yaml", declared({ edge: port, other: 0, more: 0 }, backend));
	const up = await weirUp(both, `${directory}/both`);
	t.teardown(() => up.stop());
	t.match(up.log(), words);
	const { port: other } = new URL(up.ready.gateway);
	t.not(other, String(port));
	t.same(Object.keys(up.ready.gateways), ["more", "other"], "all that listen, by name");
	t.equal(up.ready.gateways.more, up.ready.gateway, "gateway is the first by name");
	const [answer] = (await once(get({ host: "127.0.0.1", port: other, headers: { host: "own.test" } }), "response")) as [
		IncomingMessage,
	];
	answer.resume();
	t.equal(answer.statusCode, 200);
	t.equal(await up.stop(), 0);
});

t.test("up waits for a late listener, and no longer than its patience", async (t) => {
	const asked = (has: string[][], word: string | null) => ({
		listening: async () => new Set(has.length > 1 ? has.shift() : has[0]),
		refusal: async () => word,
		patienceMs: 60_000,
		everyMs: 1,
	});
	t.equal(await untilListening(["a", "b"], asked([[], ["a"], ["a", "b"]], null)), null);
	t.same(await untilListening(["a", "b"], asked([["b"]], "no")), { names: ["a"], why: "no" });
	t.same(await untilListening(["a"], { ...asked([[]], null), patienceMs: 5 }), { names: ["a"], why: null });
	t.equal(await untilListening([], asked([[]], "no")), null);
});

t.test("port 0 gets a port outside of the ephemeral range, and a restarted control keeps it", async (t) => {
	const file = `${await temporaryDirectory(t)}/ports.json`;
	const gateways = [gateway(), gateway({ port: 8080 }, "fixed")];
	const ports = await new GatewayPorts(file).of(gateways);
	const port = ports.get("edge") ?? 0;
	t.same([...ports.keys()], ["edge"]);
	t.ok(port >= 20_000 && port < 32_000);
	t.same(await new GatewayPorts(file).of(gateways), ports);
});
