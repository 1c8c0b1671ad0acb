/**
 * Transparency for an existing service: the same client calls it directly, through Envoy with no experiment, with one
 * natively, and with one in full callout by ext_authz and by ext_proc; the answers are compared. The headers that
 * differ are named exactly, in one place.
 */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, type OutgoingHttpHeaders, request } from "node:http";
import type { Socket } from "node:net";
import t from "tap";
import { type CompileOptions, compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { experiment, gateway, PATIENT, resourceSet, service, variant } from "../fixtures/resources.js";
import { startSidecar } from "../publish/sidecar/rig.js";
import { startEchoService } from "./echoService.js";
import { bootstrapOf, type RunningEnvoy, startEnvoy } from "./harness.js";

/** What the client sees more of through Envoy, nothing else. */
const ADDED_TO_RESPONSE = ["x-request-id"];
/** What the service sees more of through Envoy without a unit or an experiment, nothing else. */
const ADDED_TO_REQUEST = [
	"cdn-loop",
	"x-envoy-external-address",
	"x-forwarded-for",
	"x-forwarded-proto",
	"x-request-id",
];
/** Per connection by RFC 9110 section 7.6.1, or of the moment. */
const HOP_BY_HOP = ["connection", "keep-alive", "transfer-encoding", "date"];

const echo = await startEchoService();
t.teardown(() => echo.close());
const variants = [variant("v1", echo.port), variant("v2", echo.port)];
const resources = resourceSet({
	gateways: [gateway({ exposeArm: false })],
	services: [service("off", variants), service("on", variants, { callout: PATIENT })],
	experiments: [experiment("e", "on", [1, 1], { stepsPpm: [1_000_000] })],
});

async function through(form: Pick<CompileOptions, "mode" | "protocol">): Promise<RunningEnvoy> {
	const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, ...form });
	const sidecar = plan.asksSidecar ? await startSidecar(t, plan) : null;
	return startEnvoy(t, bootstrapOf(plan, undefined, sidecar?.socketPath ?? null));
}

const native = await through({});
const byAuthz = await through({ mode: "callout", protocol: "ext_authz" });
const byProc = await through({ mode: "callout", protocol: "ext_proc" });

interface Way {
	readonly name: string;
	/** null = no Envoy. */
	readonly envoy: RunningEnvoy | null;
	readonly port: number;
	readonly host: string;
	/** Headers that the service sees more of, beyond ADDED_TO_REQUEST. */
	readonly alsoAdded: readonly string[];
}

const direct: Way = { name: "direct", envoy: null, port: echo.port, host: "direct.test", alsoAdded: [] };
const way = (name: string, envoy: RunningEnvoy, host: string, ...alsoAdded: readonly string[]): Way => ({
	name,
	envoy,
	port: envoy.port(),
	host,
	alsoAdded,
});
const ways: readonly Way[] = [
	way("no experiment", native, "off.test"),
	way("an experiment", native, "on.test", "x-weir-arm"),
	way("an experiment by ext_authz", byAuthz, "on.test", "x-weir-arm"),
	way("an experiment by ext_proc", byProc, "on.test", "x-weir-arm"),
];

interface Call {
	readonly method?: string;
	readonly path: string;
	readonly headers?: OutgoingHttpHeaders;
	readonly body?: string | Buffer;
	readonly trailers?: Record<string, string>;
	/** Envoy sends `content-length: 0` if the client of a bodyless request sent none (RFC 9110 section 8.6). */
	readonly lengthAdded?: true;
}

interface Answer {
	readonly status: number;
	readonly reason: string;
	readonly headers: readonly (readonly [string, string])[];
	readonly trailers: NodeJS.Dict<string>;
	readonly body: Buffer;
	readonly continued: boolean;
}

async function call(way: Way, { method = "GET", path, headers = {}, body, trailers }: Call): Promise<Answer> {
	const outgoing = request({
		port: way.port,
		host: "127.0.0.1",
		method,
		path,
		agent: false,
		headers: { host: way.host, "x-user-id": "alice", ...headers },
	});
	let continued = false;
	if (headers.expect === undefined) end();
	else {
		// The body is sent only when the service asks for it; flushHeaders sends the expectation first.
		outgoing.flushHeaders();
		outgoing.on("continue", () => {
			continued = true;
			end();
		});
	}
	const [response] = (await once(outgoing, "response")) as [IncomingMessage];
	const chunks: Buffer[] = [];
	for await (const chunk of response) chunks.push(chunk as Buffer);
	const pairs: [string, string][] = [];
	for (let index = 0; index < response.rawHeaders.length; index += 2) {
		pairs.push([(response.rawHeaders[index] ?? "").toLowerCase(), response.rawHeaders[index + 1] ?? ""]);
	}
	return {
		status: response.statusCode ?? 0,
		reason: response.statusMessage ?? "",
		headers: pairs,
		trailers: response.trailers,
		body: Buffer.concat(chunks),
		continued,
	};

	function end(): void {
		if (trailers !== undefined) outgoing.addTrailers(trailers);
		outgoing.end(body);
	}
}

const endToEnd = (headers: Answer["headers"]): readonly string[] =>
	headers
		.filter(([name]) => !HOP_BY_HOP.includes(name))
		.map(([name, value]) => `${name}: ${value}`)
		.sort();

function added(plain: readonly string[], through: readonly string[]): readonly string[] {
	return through.filter((line) => !plain.includes(line)).map((line) => line.slice(0, line.indexOf(":")));
}

function lost(plain: readonly string[], through: readonly string[]): readonly string[] {
	return plain.filter((line) => !through.includes(line));
}

const calls: Readonly<Record<string, Call>> = {
	"a plain GET": { path: "/a/b?c=d&e=%20f" },
	"escapes in the path": { path: "/a%2Fb/%7Euser/%C3%A9?q=%2F" },
	"a double slash": { path: "/a//b" },
	"a POST with a body": { method: "POST", path: "/x", body: "hello", headers: { "content-type": "text/plain" } },
	"a chunked POST with trailers": {
		method: "POST",
		path: "/trailers",
		body: "hello",
		headers: { trailer: "x-sum", "transfer-encoding": "chunked", te: "trailers" },
		trailers: { "x-sum": "7" },
	},
	HEAD: { method: "HEAD", path: "/etag" },
	"GET with an ETag": { path: "/etag" },
	"304 by If-None-Match": { path: "/etag", headers: { "if-none-match": '"weir-1"' } },
	"a body on DELETE": { method: "DELETE", path: "/x", body: "reason", headers: { "content-length": 6 } },
	"a body on GET": { method: "GET", path: "/x", body: "query", headers: { "content-length": 5 } },
	PATCH: { method: "PATCH", path: "/x", body: "p" },
	OPTIONS: { method: "OPTIONS", path: "/x", lengthAdded: true },
	PROPFIND: { method: "PROPFIND", path: "/dav", body: "<x/>", headers: { "content-length": 4 } },
	"an error status with cookies and a server header": { path: "/status" },
	"a large response": { path: "/large" },
	"Expect: 100-continue accepted": {
		method: "POST",
		path: "/x",
		body: "late",
		headers: { expect: "100-continue", "content-length": 4 },
	},
	"Expect: 100-continue rejected": {
		method: "POST",
		path: "/reject",
		headers: { expect: "100-continue", "content-length": 4 },
	},
	"headers that proxies like to touch": {
		path: "/x",
		headers: {
			"accept-encoding": "gzip, br",
			authorization: "Bearer x",
			cookie: "a=1; b=2",
			"user-agent": "existing-client/1",
			via: "1.1 before",
			forwarded: "for=1.2.3.4",
			traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			range: "bytes=0-3",
			"x-empty": "",
			x_underscore: "kept",
		},
	},
};

for (const [name, given] of Object.entries(calls)) {
	t.test(`${name} is the same through Envoy`, async (t) => {
		const plain = await call(direct, given);
		for (const way of ways) {
			const through = await call(way, given);
			t.equal(through.status, plain.status, `${way.name}: status`);
			t.equal(through.continued, plain.continued, `${way.name}: 100 Continue`);
			t.same(through.trailers, plain.trailers, `${way.name}: trailers`);
			const [before, after] = [endToEnd(plain.headers), endToEnd(through.headers)];
			const [own, seen] = [echoed(plain), echoed(through)];
			if (own === null || seen === null) {
				t.ok(through.body.equals(plain.body), `${way.name}: body`);
				t.same(lost(before, after), [], `${way.name}: no response header is lost`);
			} else {
				t.same({ ...seen, headers: [] }, { ...own, headers: [] }, `${way.name}: what the service got`);
				const [sent, got] = [endToEnd(own.headers), endToEnd(seen.headers)];
				const hosts = [`host: ${direct.host}`];
				t.same(lost(sent, got), hosts, `${way.name}: no request header is lost`);
				t.same(
					[...added(sent, got)].sort(),
					["host", ...ADDED_TO_REQUEST, ...way.alsoAdded, ...(given.lengthAdded ? ["content-length"] : [])].sort(),
					`${way.name}: request headers added`,
				);
			}
			const headersOf =
				own === null ? added(before, after) : added(before, after).filter((key) => key !== "content-length");
			t.same(headersOf, ADDED_TO_RESPONSE, `${way.name}: response headers added`);
		}
	});
}

interface Echoed {
	readonly method: string;
	readonly url: string;
	readonly headers: readonly (readonly [string, string])[];
	readonly body: string;
}

function echoed(answer: Answer): Echoed | null {
	const json = answer.headers.some(([name, value]) => name === "content-type" && value === "application/json");
	return json && answer.body.length > 0 ? JSON.parse(answer.body.toString()) : null;
}

t.test("x-weir- headers of a client are removed, also with underscores: CGI reads them as hyphens", async (t) => {
	const forged = {
		"x-weir-variant": "v2",
		"X-Weir-Claim-sub": "mallory",
		x_weir_arm: "e/forged",
		X_Weir_Arm: "e/forged",
		"x_weir-param-model": "forged",
		"X_WEIR-CLAIM-SUB": "mallory",
		"x-weir_claim_sub": "mallory",
		X_Weir_Claim_sub: ["mallory", "forged"],
	};
	const others = { "x-weird": "kept", x_weird: "kept", "x-weir": "kept", "my-x-weir-arm": "kept", x__weir_arm: "kept" };
	for (const way of ways) {
		const seen = echoed(await call(way, { path: "/x", headers: { ...forged, ...others } }))?.headers ?? [];
		// As CGI names them (RFC 3875 4.1.18).
		const weirs = seen.filter(([name]) => name.toUpperCase().replaceAll("-", "_").startsWith("X_WEIR_"));
		t.same(
			weirs.map(([name]) => name),
			way.alsoAdded,
			`${way.name}: Weir's own alone`,
		);
		t.notMatch(JSON.stringify(seen), /forged|mallory/, way.name);
		const names = seen.map(([name]) => name);
		t.same(
			Object.keys(others).filter((name) => !names.includes(name)),
			[],
			`${way.name}: names that only look like it are kept`,
		);
	}
});

t.test("a WebSocket upgrade passes, and bytes flow both ways", async (t) => {
	for (const way of [direct, ...ways]) {
		const outgoing = request({
			port: way.port,
			host: "127.0.0.1",
			path: "/socket",
			headers: {
				host: way.host,
				"x-user-id": "alice",
				connection: "Upgrade",
				upgrade: "websocket",
				"sec-websocket-version": "13",
				"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
			},
		});
		outgoing.end();
		const [response, socket] = (await once(outgoing, "upgrade")) as [IncomingMessage, Socket];
		t.equal(response.statusCode, 101, way.name);
		t.equal(response.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
		for (const message of [randomBytes(10), randomBytes(100_000)]) {
			socket.write(message);
			const chunks: Buffer[] = [];
			let size = 0;
			while (size < message.length) {
				const [chunk] = (await once(socket, "data")) as [Buffer];
				chunks.push(chunk);
				size += chunk.length;
			}
			t.ok(Buffer.concat(chunks).equals(message), `${message.length} bytes came back`);
		}
		socket.destroy();
	}
});

t.test("server-sent events arrive one by one while the request is still open", async (t) => {
	for (const way of [direct, ...ways]) {
		const outgoing = request({
			port: way.port,
			host: "127.0.0.1",
			method: "POST",
			path: "/sse",
			agent: false,
			headers: { host: way.host, "x-user-id": "alice", "transfer-encoding": "chunked" },
		});
		outgoing.flushHeaders();
		outgoing.write("1");
		const [response] = (await once(outgoing, "response")) as [IncomingMessage];
		t.equal(response.headers["content-type"], "text/event-stream");
		let text = "";
		for (let count = 1; count <= 3; count++) {
			while (!text.includes(`data: event ${count}\n\n`)) {
				const [chunk] = (await once(response, "data")) as [Buffer];
				text += chunk.toString();
			}
			t.notMatch(
				text,
				new RegExp(`event ${count + 1}`),
				`${way.name}: event ${count} came before ${count + 1} was made`,
			);
			if (count < 3) outgoing.write("1");
		}
		outgoing.end();
		response.resume();
		await once(response, "end");
	}
});

t.test("a streamed upload of 100 MB arrives whole, and Envoy does not buffer it", async (t) => {
	const block = randomBytes(1_048_576);
	for (const way of ways) {
		const envoy = way.envoy ?? native;
		const before = await envoy.stat("server.memory_allocated");
		const outgoing = request({
			port: way.port,
			host: "127.0.0.1",
			method: "PUT",
			path: "/upload",
			agent: false,
			headers: { host: way.host, "x-user-id": "alice", "transfer-encoding": "chunked" },
		});
		const answered = once(outgoing, "response") as Promise<[IncomingMessage]>;
		const hash = createHash("sha256");
		let peak = 0;
		for (let megabyte = 0; megabyte < 100; megabyte++) {
			block.writeUInt32LE(megabyte);
			hash.update(block);
			if (!outgoing.write(Buffer.from(block))) await once(outgoing, "drain");
			if (megabyte % 10 === 5) {
				const { allocated } = JSON.parse(await envoy.admin("/memory"));
				peak = Math.max(peak, Number(allocated) - before);
			}
		}
		outgoing.end();
		const [response] = await answered;
		let text = "";
		for await (const chunk of response.setEncoding("utf8")) text += chunk;
		t.equal(text, `104857600 ${hash.digest("hex")}`, way.name);
		t.ok(peak < 16 * 1_048_576, `${way.name}: Envoy grew by ${(peak / 1_048_576).toFixed(1)} MiB at most`);
	}
	t.ok(
		echo.peakRssGrowth() < 80 * 1_048_576,
		`the service grew by ${(echo.peakRssGrowth() / 1_048_576).toFixed(1)} MiB`,
	);
});
