/** Pages of Envoy's admin that are long, slow, or none. */
import { createServer, type RequestListener } from "node:http";
import { join } from "node:path";
import t, { type Test } from "tap";
import { isNobodyThere } from "../../src/access/bypass/reach.js";
import { PROBE_COUNTERS_LINES_MAX } from "../../src/limits.js";
import { readCounters, readListeners, readNode } from "../../src/probe/envoyCounters.js";
import { localAdmin, readLines } from "../../src/probe/envoyPage.js";
import { temporaryDirectory } from "../cli/command.js";

async function admin(t: Test, answer: RequestListener): Promise<string> {
	const socket = join(await temporaryDirectory(t), "admin.sock");
	const server = createServer(answer).listen(socket);
	t.teardown(() => {
		server.close();
		server.closeAllConnections();
	});
	return socket;
}

t.test("only those that moved are asked for, and a long page is read as it comes", async (t) => {
	const asked: string[] = [];
	const lines = Array.from(
		{ length: 60_000 },
		(_, at) => `vhost.prod/service-${at}.route.prod/edge.upstream_rq_total: ${at}`,
	);
	const text = lines.join("\n");
	t.ok(text.length > 3_000_000);
	const socket = await admin(t, ({ url = "" }, response) => {
		asked.push(url);
		// Cut within lines.
		for (let at = 0; at < text.length; at += 10_007) response.write(text.slice(at, at + 10_007));
		response.end();
	});
	const counters = await readCounters(localAdmin(socket), "^a+$");
	t.same(asked, ["/stats?usedonly&filter=%5Ea%2B%24"]);
	t.equal(counters.size, 60_000);
	t.equal(counters.get("vhost.prod/service-59999.route.prod/edge.upstream_rq_total"), 59_999);
});

t.test("each way in which a page cannot be read has its words", async (t) => {
	const most = { bytes: 1024 * 1024, ms: 200 };
	const why = async (answer: RequestListener) =>
		readLines(
			localAdmin(await admin(t, answer), () => most),
			{ page: "counters", filter: "" },
			() => {},
		).then(
			() => null,
			({ code, message }) => `${code}: ${message}`,
		);
	const unreadable = (cause: string) => `unavailable: Envoy's admin cannot be read: ${cause}`;
	t.equal(await why((_, response) => response.end("a: 1\n")), null);
	t.equal(await why((_, response) => response.end("a: 1\n".repeat(250_000))), unreadable("it says more than 1 MiB"));
	t.equal(await why(() => {}), unreadable("it takes too long"));
	t.equal(
		await why((_, response) => {
			const drips = setInterval(() => response.write("a: 1\n"), 20);
			response.on("close", () => clearInterval(drips));
		}),
		unreadable("it takes too long"),
		"drop by drop",
	);
	t.equal(await why((_, response) => response.writeHead(500).end("a: 1\n")), unreadable("it answers with an error"));
	t.equal(
		await why((_, response) => {
			response.writeHead(200, { "content-length": 100 }).write("a: 1\n");
			setTimeout(() => response.destroy(), 20);
		}),
		unreadable("it cannot be reached, or broke off"),
	);
	t.equal(
		await why((_, response) => {
			// Without an end, in small parts.
			for (let part = 0; part < 100; part++) response.write("a".repeat(100));
			response.end();
		}),
		unreadable("it says what no Envoy does"),
	);
	t.equal(
		await why((_, response) => response.end(`${"a".repeat(5_000)}: 1\n`)),
		unreadable("it says what no Envoy does"),
	);
	await t.rejects(readCounters(localAdmin(await admin(t, (_, response) => response.end('{"stats": []}'))), "a"), {
		message: "Envoy's admin cannot be read: it says what no Envoy does",
	});
	const nobody = await readCounters(localAdmin("/nowhere/admin.sock"), "a").catch((error) => error);
	t.ok(isNobodyThere(nobody));
});

t.test("of many names none are kept that are of no use, and of those that are no more than a bound", async (t) => {
	const socket = await admin(t, (_, response) => response.end("a1: 1\nb1: 2\na2: 3\nb2: 4\nb3: 5\n"));
	const keeps = (name: string) => name.startsWith("a");
	const kept = await readCounters(localAdmin(socket), "", { keeps, most: 2 });
	t.same(
		[...kept],
		[
			["a1", 1],
			["a2", 3],
		],
	);
	await t.rejects(readCounters(localAdmin(socket), "", { keeps: () => true, most: 4 }), {
		kind: "large",
		message: "Envoy's admin cannot be read: it says more counters than what is declared can have",
	});
});

t.test("lines are bounded, for whoever says one counter again and again", async (t) => {
	const text = "a: 1\n".repeat(PROBE_COUNTERS_LINES_MAX + 1);
	const socket = await admin(t, (_, response) => response.end(text));
	await t.rejects(readCounters(localAdmin(socket), ""), { kind: "large", message: /it says more than \d+ lines/ });
});

t.test("a counter has no more digits than 64 bits", async (t) => {
	const read = async (value: string) => {
		const socket = await admin(t, (_, response) => response.end(`a: ${value}\n`));
		return (await readCounters(localAdmin(socket), "")).get("a");
	};
	t.equal(await read("18446744073709551615"), 2 ** 64);
	await t.rejects(read("9".repeat(400)), { message: "Envoy's admin cannot be read: it says what no Envoy does" });
});

t.test("listeners, or a node, in words that are not Envoy's are unreadable, and not none", async (t) => {
	const admits = async (page: string) => localAdmin(await admin(t, (_, response) => response.end(page)));
	t.same(await readListeners(await admits("{}")), new Map(), "Envoy writes none so");
	const at = { socket_address: { address: "127.0.0.1", port_value: 80 } };
	const two = { listener_statuses: [{ name: "a", local_address: at }, { name: "b" }] };
	t.same(
		await readListeners(await admits(JSON.stringify(two))),
		new Map([
			["a", { address: "127.0.0.1", port: 80 }],
			["b", null],
		]),
	);
	const nested = (depth: number) => `{"listener_statuses": [], "a": ${"[".repeat(depth)}${"]".repeat(depth)}}`;
	const unlike = { message: "Envoy's admin cannot be read: it says what no Envoy does" };
	const none = [
		"[]",
		"null",
		"1",
		"[[[[",
		'{"listener_statuses": [null]}',
		'{"listener_statuses": [{}]}',
		nested(300_000),
	];
	for (const page of [...none, '{"listener_statuses": {}}'])
		await t.rejects(readListeners(await admits(page)), unlike, page.slice(0, 40));
	for (const page of ["[]", "null", "[[[[", nested(300_000)])
		await t.rejects(readNode(await admits(page)), unlike, page.slice(0, 40));
	t.equal(await readNode(await admits("{}")), "");
});
