/** Attacks by HTTP/2 frames and floods that HTTP/1.1 cannot express, in every execution. */
import { once } from "node:events";
import { type ClientHttp2Session, connect, constants, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTls, type TLSSocket } from "node:tls";
import t, { type Test } from "tap";
import { spiffe } from "../compile/access/mutualTls.js";
import { bytesOf, FRAME, headerBlock, PREFACE, reset } from "../trust/tls/http2Frames.js";
import { type AttackScene, attackScene, FORMS } from "./scene.js";
import { exchange, get } from "./wire.js";

async function session(scene: AttackScene): Promise<ClientHttp2Session> {
	const own = await scene.tls.ca.issue({ spiffeId: spiffe("alice") });
	const opened = connect(`https://127.0.0.1:${scene.envoy.port()}`, {
		ca: scene.tls.ca.certificate,
		cert: own.certificate,
		key: own.privateKey,
		servername: "gateway.test",
		ALPNProtocols: ["h2"],
	});
	opened.on("error", () => {});
	await once(opened, "connect");
	return opened;
}

/** Status, or null where the stream or the connection was reset. */
function status(opened: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: Buffer): Promise<number | null> {
	return new Promise((resolve) => {
		let found: number | null = null;
		try {
			const stream = opened.request(headers, { endStream: body === undefined });
			stream.on("response", (response) => {
				found = response[":status"] ?? null;
			});
			stream.on("error", () => {});
			stream.on("close", () => resolve(found));
			// A refusal may come before the body is sent.
			stream.on("end", () => resolve(found));
			stream.resume();
			if (body !== undefined) stream.end(body);
		} catch {
			resolve(null);
		}
	});
}

const head = (path: string, more: OutgoingHttpHeaders = {}): OutgoingHttpHeaders => ({
	":method": "GET",
	":scheme": "https",
	":authority": "wide.test",
	":path": path,
	...more,
});

async function rawSession(scene: AttackScene): Promise<TLSSocket> {
	const own = await scene.tls.ca.issue({ spiffeId: spiffe("alice") });
	const socket = connectTls({
		port: scene.envoy.port(),
		host: "127.0.0.1",
		servername: "gateway.test",
		ca: scene.tls.ca.certificate,
		cert: own.certificate,
		key: own.privateKey,
		ALPNProtocols: ["h2"],
	});
	await once(socket, "secureConnect");
	socket.on("error", () => {});
	socket.write(Buffer.concat([PREFACE, bytesOf(FRAME.SETTINGS, 0, 0, Buffer.alloc(0))]));
	return socket;
}

/** Sends frames and waits until the peer has answered that stream or closed. @returns whether the answer was 200 */
function served(socket: TLSSocket, bytes: Buffer, stream = 1): Promise<boolean> {
	return new Promise((resolve) => {
		let buffer = Buffer.alloc(0);
		let found = false;
		socket.on("data", (chunk: Buffer) => {
			buffer = Buffer.concat([buffer, chunk]);
			while (buffer.length >= 9 && buffer.length >= 9 + buffer.readUIntBE(0, 3)) {
				const [type = 0, flags = 0] = [buffer[3], buffer[4]];
				const of = buffer.readUInt32BE(5);
				// Entry 8 of the static table is `:status: 200` (RFC 7541 appendix A).
				if (of === stream && type === FRAME.HEADERS && buffer[9] === 0x88) found = true;
				buffer = buffer.subarray(9 + buffer.readUIntBE(0, 3));
				if (type === FRAME.GOAWAY || (of === stream && (type === FRAME.RST_STREAM || (flags & 1) !== 0)))
					socket.destroy();
			}
		});
		socket.on("close", () => resolve(found));
		socket.write(bytes);
	});
}

const fields = (...more: readonly (readonly [string, string])[]): Buffer =>
	headerBlock([[":method", "GET"], [":scheme", "https"], [":authority", "wide.test"], [":path", "/raw"], ...more]);

/** Frames that must not become a request for the upstream. */
const RAW: readonly (readonly [id: string, what: string, bytes: Buffer])[] = [
	[
		"T-h2-crlf",
		"line ends in a value",
		headerBlock([
			[":method", "GET"],
			[":scheme", "https"],
			[":authority", "wide.test"],
			[":path", "/raw"],
			["x-any", "a\r\nx-smuggled: 1"],
		]),
	],
	[
		"T-h2-crlf",
		"line ends in a path",
		headerBlock([
			[":method", "GET"],
			[":scheme", "https"],
			[":authority", "wide.test"],
			[":path", "/raw HTTP/1.1\r\nx-smuggled: 1"],
		]),
	],
	["T-h2-crlf", "a line end in a name", fields(["x-any\r\nx-smuggled", "1"])],
	["T-h2-nul", "NUL in a value", fields(["x-any", "a\0b"])],
	["T-h2-name", "capitals in a name", fields(["X-Any", "a"])],
	["T-h2-name", "a colon in a name", fields(["x:any", "a"])],
	["T-h2-te", "Transfer-Encoding", fields(["transfer-encoding", "chunked"])],
	["T-h2-connection", "Connection", fields(["connection", "keep-alive, x-any"])],
	["T-h2-pseudo", "two paths", fields([":path", "/admin"])],
	["T-h2-pseudo", "two methods", fields([":method", "DELETE"])],
	["T-h2-pseudo", "two authorities", fields([":authority", "guarded.test"])],
	["T-h2-pseudo", "an unknown pseudo-header", fields([":any", "a"])],
	["T-h2-pseudo", "a pseudo-header behind others", fields(["x-any", "a"], [":path", "/admin"])],
	[
		"CVE-2024-45809",
		"no path",
		headerBlock([
			[":method", "GET"],
			[":scheme", "https"],
			[":authority", "wide.test"],
		]),
	],
	[
		"CVE-2025-64527",
		"an empty path",
		headerBlock([
			[":method", "GET"],
			[":scheme", "https"],
			[":authority", "wide.test"],
			[":path", ""],
		]),
	],
	[
		"CVE-2026-73547",
		"CONNECT without a path",
		headerBlock([
			[":method", "CONNECT"],
			[":authority", "wide.test"],
		]),
	],
	[
		"CVE-2026-73547",
		"extended CONNECT",
		headerBlock([
			[":method", "CONNECT"],
			[":protocol", "websocket"],
			[":scheme", "https"],
			[":authority", "wide.test"],
			[":path", "/"],
		]),
	],
	[
		"T-h2-scheme",
		"an invalid scheme",
		headerBlock([
			[":method", "GET"],
			[":scheme", "a://b/"],
			[":authority", "wide.test"],
			[":path", "/raw"],
		]),
	],
	[
		"T-h2-authority",
		"a user in the authority",
		headerBlock([
			[":method", "GET"],
			[":scheme", "https"],
			[":authority", "u@x.wide.test"],
			[":path", "/raw"],
		]),
	],
	[
		"T-h2-authority",
		"a list as authority",
		headerBlock([
			[":method", "GET"],
			[":scheme", "https"],
			[":authority", "a.wide.test,b.wide.test"],
			[":path", "/raw"],
		]),
	],
	[
		"T-h2-authority",
		"no authority",
		headerBlock([
			[":method", "GET"],
			[":scheme", "https"],
			[":path", "/raw"],
		]),
	],
	[
		"T-h2-path",
		"a raw byte in the path",
		headerBlock([
			[":method", "GET"],
			[":scheme", "https"],
			[":authority", "wide.test"],
			[":path", "/raw\xff"],
		]),
	],
	[
		"T-h2-path",
		"a raw byte in the path that Envoy escapes to invalid UTF-8",
		headerBlock([
			[":method", "GET"],
			[":scheme", "https"],
			[":authority", "wide.test"],
			[":path", "/raw\x80"],
		]),
	],
	[
		"T-h2-path",
		"a blank in the path",
		headerBlock([
			[":method", "GET"],
			[":scheme", "https"],
			[":authority", "wide.test"],
			[":path", "/raw b"],
		]),
	],
	[
		"T-h2-path",
		"a path without a slash",
		headerBlock([
			[":method", "GET"],
			[":scheme", "https"],
			[":authority", "wide.test"],
			[":path", "raw"],
		]),
	],
	[
		"T-h2-method",
		"a method with a blank",
		headerBlock([
			[":method", "GET /admin"],
			[":scheme", "https"],
			[":authority", "wide.test"],
			[":path", "/raw"],
		]),
	],
	[
		"T-h2-method",
		"a method in lower case",
		headerBlock([
			[":method", "delete"],
			[":scheme", "https"],
			[":authority", "wide.test"],
			[":path", "/raw"],
		]),
	],
	["T-h2-length", "a Content-Length without a body", fields(["content-length", "5"])],
	[
		"T-two-authorization",
		"two Authorization headers",
		fields(["authorization", "Bearer a"], ["authorization", "Bearer b"]),
	],
	["CVE-2026-73552", "obs-text in Authorization", fields(["authorization", "Bearer \xff"])],
	["T-two-dpop", "two DPoP headers", fields(["dpop", "a.b.c"], ["dpop", "d.e.f"])],
	["T-method-override", "a method override", fields(["x-http-method-override", "DELETE"])],
	["T-underscore", "a name with an underscore", fields(["x_any", "a"])],
];

t.setTimeout(180_000);

for (const form of Object.keys(FORMS)) {
	t.test(form, { timeout: 120_000 }, async (t) => {
		const scene = await attackScene(t, form);
		const alive = async (t: Test): Promise<void> => {
			t.same((await exchange(await scene.as("alice"), get("wide.test", "/"))).statuses, [200], "others are served");
			t.equal((await scene.envoy.admin("/ready")).trim(), "LIVE");
		};
		// All at once: Envoy takes a second to close a connection that it has refused.
		const results = await Promise.all(
			RAW.map(async ([, , bytes]) => served(await rawSession(scene), bytesOf(FRAME.HEADERS, 0x5, 1, bytes))),
		);
		for (const [index, [id, what]] of RAW.entries()) {
			t.test(`${id}: ${what}`, async (t) => {
				t.equal(results[index], false, "it is not served");
			});
		}
		t.same(scene.upstream.take(), [], "and nothing of all that reached the upstream");
		t.test("a valid request of hand-made frames reaches the upstream", async (t) => {
			t.equal(await served(await rawSession(scene), bytesOf(FRAME.HEADERS, 0x5, 1, fields(["x-any", "a"]))), true);
			t.equal(scene.upstream.take().length, 1);
		});
		t.test("T-two-hosts: Host beside :authority is not what the upstream gets", async (t) => {
			await served(await rawSession(scene), bytesOf(FRAME.HEADERS, 0x5, 1, fields(["host", "guarded.test"])));
			const hosts = scene.upstream
				.take()
				.map(({ headers }) => headers.filter(([name]) => name === "host").map(([, value]) => value));
			t.ok(hosts.length <= 1);
			for (const found of hosts) t.same(found, ["wide.test"]);
		});
		t.test("T-h2-paths: path spellings over HTTP/2 reach no protected path", async (t) => {
			const opened = await session(scene);
			for (const path of [
				"/a;b",
				"/a%2fb",
				"/a%00",
				"/a%3bb",
				"/%c0%af",
				"/a%252fb",
				"/.well-known/weir-probe",
				"/a#b",
			]) {
				const found = await status(opened, head(path));
				t.not(found, 200, `${path}: ${found}`);
			}
			t.equal(await status(opened, head("/v2//a/../b")), 200);
			t.equal(scene.upstream.take().at(-1)?.url, "/v2/b");
			opened.destroy();
		});
		t.test("CVE-2023-44487: 3,000 streams opened and reset at once", async (t) => {
			const socket = await rawSession(scene);
			const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
			socket.resume();
			const request = fields();
			const flood = Array.from({ length: 3_000 }, (_, index) => [
				bytesOf(FRAME.HEADERS, 0x5, 2 * index + 1, request),
				reset(2 * index + 1, constants.NGHTTP2_CANCEL),
			]).flat();
			socket.write(Buffer.concat(flood));
			await alive(t);
			socket.destroy();
			await closed;
			scene.upstream.take();
		});
		t.test("T-h2-streams: a client has at most 100 of 300 streams open", async (t) => {
			const opened = await session(scene);
			t.equal(opened.remoteSettings.maxConcurrentStreams, 100);
			t.ok((opened.remoteSettings.initialWindowSize ?? Number.POSITIVE_INFINITY) <= 65_536);
			opened.destroy();
			await alive(t);
		});
		t.test("CVE-2026-47774: 10,000 times an indexed 4 KB header is refused, without memory growth", async (t) => {
			const before = await scene.envoy.stat("server.memory_allocated");
			const socket = await rawSession(scene);
			const name = Buffer.from("x-bomb");
			const value = Buffer.alloc(3_900, 0x61);
			// Literal with incremental indexing; the length in HPACK's prefix form.
			const length = (size: number): Buffer => {
				const rest = size - 127;
				return Buffer.from([127, 0x80 | (rest & 0x7f), rest >> 7]);
			};
			const table = Buffer.concat([Buffer.from([0x40, name.length]), name, length(value.length), value]);
			// 62 is the newest entry of the dynamic table.
			const bomb = Buffer.concat([fields(), table, Buffer.alloc(10_000, 0x80 | 62)]);
			scene.upstream.take();
			t.equal(await served(socket, bytesOf(FRAME.HEADERS, 0x5, 1, bomb)), false);
			t.same(scene.upstream.take(), [], "nothing reached the upstream");
			const grown = (await scene.envoy.stat("server.memory_allocated")) - before;
			t.ok(grown < 16 * 1_048_576, `Envoy grew by ${grown} bytes; unpacked it were 39 MB`);
			await alive(t);
			scene.upstream.take();
		});
		t.test("T-h2-continuation: endless request headers are refused", async (t) => {
			const socket = await rawSession(scene);
			const more = headerBlock(Array.from({ length: 40 }, (_, index) => [`x-h${index}`, "a".repeat(100)] as const));
			const flood = [
				bytesOf(FRAME.HEADERS, 0x1, 1, fields()),
				...Array.from({ length: 200 }, () => bytesOf(FRAME.CONTINUATION, 0, 1, more)),
			];
			t.equal(await served(socket, Buffer.concat(flood)), false);
			t.same(scene.upstream.take(), []);
			await alive(t);
			scene.upstream.take();
		});
		t.test("CVE-2025-30157: a local reply during a request body", async (t) => {
			const opened = await session(scene);
			const found = await status(opened, { ...head("/a;b"), ":method": "POST" }, Buffer.alloc(200_000, 0x61));
			t.not(found, 200);
			opened.destroy();
			await alive(t);
			scene.upstream.take();
		});
	});
}
