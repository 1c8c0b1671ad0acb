/** `weir up` prints READY only for Gateways that listen, and reports a port that another program has. */
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import t from "tap";
import { GatewayPorts, requireFreePorts, untilListening } from "../../../src/cli/stack/gatewayPorts.js";
import { gateway } from "../../fixtures/resources.js";
import { startBackend } from "../backend.js";
import { fileOf, temporaryDirectory, weir, weirUp } from "../command.js";
import { gatewayText, serviceText } from "../documents.js";

t.setTimeout(120_000);

const declared = (gateways: Readonly<Record<string, string>>, backend: number): string =>
	[
		...Object.entries(gateways).map(([name, spec]) => gatewayText(spec, name)),
		serviceText("own", [backend], "access: open"),
	].join("---\n");

/** An address of no machine (RFC 5737). */
const ELSEWHERE = "address: 192.0.2.1, port: 8080";

t.test("a Gateway that Envoy refuses is reported, another one serves, and its port is not shared", async (t) => {
	const directory = await temporaryDirectory(t);
	const backend = await startBackend(t);
	const alone = await fileOf(directory, "alone.yaml", declared({ edge: ELSEWHERE }, backend));
	const words = /Gateway edge: nothing listens: .*cannot bind '192.0.2.1:8080': Cannot assign requested address/;
	await t.rejects(weirUp(alone, `${directory}/alone`), { message: words });

	const gateways = { edge: ELSEWHERE, other: "port: 0", more: "port: 0" };
	const both = await fileOf(directory, "both.yaml", declared(gateways, backend));
	const up = await weirUp(both, `${directory}/both`);
	t.teardown(() => up.stop());
	t.match(up.log(), words);
	const { port: other } = new URL(up.ready.gateway);
	t.same(Object.keys(up.ready.gateways), ["more", "other"], "all that listen, by name");
	t.equal(up.ready.gateways.more, up.ready.gateway, "gateway is the first by name");
	const [answer] = (await once(get({ host: "127.0.0.1", port: other, headers: { host: "own.test" } }), "response")) as [
		IncomingMessage,
	];
	answer.resume();
	t.equal(answer.statusCode, 200);
	const second = await fileOf(directory, "second.yaml", declared({ edge: `port: ${other}` }, backend));
	await t.rejects(weirUp(second, `${directory}/second`), {
		message: `Gateway edge: another program listens on port ${other} of 127.0.0.1`,
	});
	t.equal(await up.stop(), 0);
});

t.test("a taken API port ends weir up at once, with control's message", async (t) => {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => server.close());
	const { port } = server.address() as AddressInfo;
	const directory = await temporaryDirectory(t);
	const file = await fileOf(directory, "edge.yaml", declared({ edge: "port: 0" }, port));
	// It resolves when all have closed standard error: no child is left.
	const { code, stderr } = await weir(["up", "-f", file, "--data", `${directory}/data`, "--api-port", `${port}`]);
	t.equal(code, 1);
	t.match(stderr, /the API cannot listen: .*EADDRINUSE/);
	// Not "was not ready within 30 s".
	t.match(stderr, "control ended at start (exit 1)");
});

t.test("a port that is freed in time is no error", async (t) => {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	const gateways = [gateway(), gateway({ port }, "fixed")];
	await t.rejects(requireFreePorts(gateways, 0), {
		code: "unavailable",
		message: new RegExp(`^Gateway fixed: .* ${port} `),
	});
	const waits = requireFreePorts(gateways);
	server.close();
	await waits;
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
