/** Listeners under silent connections and expired certificates: real TLS, real servers, short lifetimes. */
import { EventEmitter, once } from "node:events";
import type { ServerResponse } from "node:http";
import { Agent, createServer as createHttps, get } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { connect as connectTls, createServer, type Server, type TLSSocket } from "node:tls";
import t, { type Test } from "tap";
import { REQUESTLESS_CONNECTION_MS } from "../../../src/operate/api/tlsListener.js";
import {
	CONNECTION_QUIET_MS,
	CONNECTIONS_CHECK_MS,
	type ConnectionLimits,
	type LargestClient,
	limitConnections,
	listenHttp2,
	UNAUTHENTICATED_CONNECTION_MS,
	UNAUTHENTICATED_CONNECTIONS_MAX,
} from "../../../src/trust/tls/connectionLimits.js";
import { TLS_OPTIONS } from "../../../src/trust/tls/tls.js";
import { createDevelopmentCa, type IssuedCertificate } from "../identity/developmentCa.js";

t.setTimeout(60_000);

const ca = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 7_200_000 });
const issue = (name: string, lifetimeMs = 3_600_000): Promise<IssuedCertificate> =>
	ca.issue({ spiffeId: `spiffe://weir.test/${name}`, lifetimeMs, nowMs: Date.now() });
const shown = ({ certificate, privateKey }: IssuedCertificate) => ({
	cert: certificate,
	key: privateKey,
	ca: ca.certificate,
	...TLS_OPTIONS,
});
const own = await issue("listener");
const OPTIONS = { ...shown(own), requestCert: true, rejectUnauthorized: true };
const peer = shown(await issue("peer"));
/** Options of a TLS client without a certificate. */
const { cert: _cert, key: _key, ...anonymous } = peer;

async function listening(t: Test, server: Server): Promise<number> {
	const open = new Set<Socket>();
	server.on("connection", (socket: Socket) => open.add(socket));
	t.teardown(() => {
		server.close();
		for (const socket of open) socket.destroy();
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	return (server.address() as AddressInfo).port;
}

/** A server that sends `hello` on accepted connections. */
async function listen(t: Test, bounds: ConnectionLimits, options: object = {}): Promise<number> {
	const server = createServer({ ...OPTIONS, ...options });
	limitConnections(server, bounds);
	server.on("secureConnection", (socket) => {
		socket.on("error", () => {});
		if (!socket.destroyed) socket.write("hello");
	});
	server.on("tlsClientError", () => {});
	return listening(t, server);
}

function silent(t: Test, port: number, localAddress = "127.0.0.1"): Promise<Socket> {
	return new Promise((resolve, reject) => {
		const socket = connect({ port, host: "127.0.0.1", localAddress }, () => resolve(socket));
		socket.on("error", reject);
		socket.once("connect", () => socket.off("error", reject).on("error", () => {}));
		t.teardown(() => socket.destroy());
	});
}

/** The server's first bytes, or the error; the connection stays open until the test ends. */
function greeted(t: Test, port: number, options: object = peer): Promise<{ received: string; socket: TLSSocket }> {
	return new Promise((resolve) => {
		const socket = connectTls({ port, host: "127.0.0.1", checkServerIdentity: () => undefined, ...options });
		t.teardown(() => socket.destroy());
		socket.once("data", (data) => resolve({ received: String(data), socket }));
		socket.on("error", (error: NodeJS.ErrnoException) => resolve({ received: String(error.code), socket }));
		socket.once("close", () => resolve({ received: "closed", socket }));
	});
}

/** Moves the clock by which connections are unauthenticated or without a request. @returns moves it */
function monotonicClock(t: Test): (aheadMs: number) => void {
	const now = performance.now.bind(performance);
	let ahead = 0;
	t.intercept(performance, "now", { value: () => now() + ahead });
	return (aheadMs) => {
		ahead += aheadMs;
	};
}

const QUICK_SWEEP_MS = 50;

/** Servers that are made from now on sweep their connections more often. */
function sweepQuickly(t: Test): void {
	const every = globalThis.setInterval;
	t.intercept(globalThis, "setInterval", {
		value: (look: () => void, ms: number) => every(look, ms === CONNECTIONS_CHECK_MS ? QUICK_SWEEP_MS : ms),
	});
}

t.test("silent connections do not block clients, and are closed after seconds", async (t) => {
	const port = await listen(t, { connections: 4 });
	const ahead = monotonicClock(t);
	const kept = await greeted(t, port);
	t.equal(kept.received, "hello");
	let gone = 0;
	const many = UNAUTHENTICATED_CONNECTIONS_MAX + 200;
	const ended: Promise<unknown>[] = [];
	for (let index = 0; index < many; index++) {
		const socket = await silent(t, port);
		socket.resume();
		socket.once("close", () => gone++);
		ended.push(once(socket, "close"));
	}
	t.equal((await greeted(t, port)).received, "hello", "a client with a certificate is accepted");
	ahead(UNAUTHENTICATED_CONNECTION_MS);
	await Promise.all(ended);
	t.equal(gone, many, "the listener closes all of them");
	t.equal(kept.socket.destroyed, false, "an accepted connection stays open");
	t.equal((await greeted(t, port)).received, "hello");
});

t.test("beyond their bound the oldest silent connection of the busiest address is closed", async (t) => {
	const port = await listen(t, { connections: 4 });
	const quiet = await silent(t, port, "127.0.0.2");
	const first = await silent(t, port);
	const firstGone = once(first.resume(), "close");
	let quietGone = false;
	quiet.resume().once("close", () => {
		quietGone = true;
	});
	for (let index = 0; index < UNAUTHENTICATED_CONNECTIONS_MAX - 1; index++) await silent(t, port);
	await firstGone;
	t.notOk(quietGone, "another address's older one stays");
});

t.test("authenticated peers have a bound of their own", async (t) => {
	const port = await listen(t, { connections: 2 });
	const [one, two] = [await greeted(t, port), await greeted(t, port)];
	t.same([one.received, two.received], ["hello", "hello"]);
	t.not((await greeted(t, port)).received, "hello", "the third");
	one.socket.end();
	await once(one.socket, "close");
	let received = "";
	for (let tries = 0; tries < 100 && received !== "hello"; tries++) received = (await greeted(t, port)).received;
	t.equal(received, "hello", "once one has left");
});

/** An HTTP server whose requests to `/wait` are in progress until the test ends. */
async function listenHttp(t: Test, connections: number, bounds: Partial<ConnectionLimits> = {}) {
	const crowds: LargestClient[] = [];
	const server = createHttps(OPTIONS, ({ url }, response) => {
		if (url === "/wait") response.write("hello");
		else response.end("hello");
	});
	server.keepAliveTimeout = 60_000;
	limitConnections(server, {
		connections,
		onFull: (crowd) => void crowds.push(crowd),
		...bounds,
	});
	const port = await listening(t, server);
	/** One connection of the peer, after a request for the path; null = no request. */
	const opened = async (own: object, path: string | null): Promise<TLSSocket> => {
		const socket = connectTls({ port, host: "127.0.0.1", checkServerIdentity: () => undefined, ...own });
		socket.on("error", () => {});
		t.teardown(() => socket.destroy());
		const first = path === null ? "secureConnect" : "data";
		if (path !== null) socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
		await Promise.race([once(socket, first), once(socket, "close")]);
		socket.resume();
		return socket;
	};
	const gone = async (socket: TLSSocket): Promise<void> => {
		if (!socket.destroyed) await once(socket, "close");
	};
	const stays = (...all: readonly TLSSocket[]) => all.map(({ destroyed }) => !destroyed);
	return { crowds, opened, gone, stays };
}

t.test("on a full server the client with the most connections loses one: first its oldest idle one", async (t) => {
	const { crowds, opened, gone, stays } = await listenHttp(t, 4);
	const other = shown(await issue("other"));
	const busy = await opened(peer, "/wait");
	const idle = await opened(peer, "/");
	const [third, fourth] = [await opened(peer, "/wait"), await opened(peer, null)];
	const admin = await opened(other, "/wait");
	await gone(idle);
	t.same(stays(busy, third, fourth, admin), [true, true, true, true]);
	const fifth = await opened(peer, "/wait");
	await gone(fourth);
	t.same(stays(busy, third, fifth, admin), [true, true, true, true], "also for more of its own");
	await gone(await opened(peer, "/wait"));
	t.same(stays(busy, third, fifth, admin), [true, true, true, true], "requests in progress are not cut for new ones");
	const second = await opened(other, "/wait");
	await gone(busy);
	t.same(stays(third, fifth, admin, second), [true, true, true, true]);
	await gone(await opened(other, "/wait"));
	t.same(stays(third, fifth, admin, second), [true, true, true, true], "no client loses a connection to an equal one");
	const [id, otherId] = ["spiffe://weir.test/peer", "spiffe://weir.test/other"];
	t.same(crowds, [
		{ id, held: 4, most: 4 },
		{ id, held: 4, most: 4 },
		{ id, held: 4, most: 4 },
		{ id, held: 3, most: 4 },
		{ id: otherId, held: 3, most: 4 },
	]);
});

t.test("a connection of an unknown protocol is never idle, but can still be closed on a full server", async (t) => {
	const port = await listen(t, { connections: 2 });
	const [first, second] = [await greeted(t, port), await greeted(t, port)];
	const ended = once(first.socket.resume(), "close");
	const other = await greeted(t, port, shown(await issue("other")));
	t.equal(other.received, "hello");
	await ended;
	t.same([second.socket.destroyed, other.socket.destroyed], [false, false]);
});

t.test("a connection without a request is closed after a time", async (t) => {
	sweepQuickly(t);
	const ahead = monotonicClock(t);
	const patient = await listenHttp(t, 4);
	const kept = await patient.opened(peer, null);
	const { opened, gone, stays } = await listenHttp(t, 4, { unaskedMs: REQUESTLESS_CONNECTION_MS });
	const [silent, asked, waiting] = [await opened(peer, null), await opened(peer, "/"), await opened(peer, "/wait")];
	const startedMs = performance.now();
	ahead(REQUESTLESS_CONNECTION_MS);
	await gone(silent);
	// The listener that opened before has swept as well.
	t.same(
		stays(asked, waiting, kept),
		[true, true, true],
		"only on that listener: Envoy keeps spare connections to others",
	);
	t.ok(performance.now() - startedMs < 2 * REQUESTLESS_CONNECTION_MS, "by the listener, not by HTTP's own bound");
});

t.test("if requests authenticate, a TLS connection alone counts as unauthenticated", async (t) => {
	sweepQuickly(t);
	const ahead = monotonicClock(t);
	const server = createHttps({ ...OPTIONS, rejectUnauthorized: false });
	const connections = limitConnections(server, { connections: 4, authenticatedBy: "request" });
	server.on("request", (request, response) => {
		if (request.url === "/prove") connections.prove(request.socket, "eve");
		response.end("hello");
	});
	server.keepAliveTimeout = 60_000;
	const port = await listening(t, server);
	const ask = async (path: string, options: object): Promise<TLSSocket> => {
		const agent = new Agent({ keepAlive: true, checkServerIdentity: () => undefined, ...options });
		t.teardown(() => agent.destroy());
		const request = get({ port, host: "127.0.0.1", path, agent });
		const [response] = (await once(request, "response")) as [{ resume(): void }];
		response.resume();
		return request.socket as TLSSocket;
	};
	const idle = connectTls({ port, host: "127.0.0.1", checkServerIdentity: () => undefined, ...anonymous });
	idle.on("error", () => {});
	const [proved, known] = [await ask("/prove", anonymous), await ask("/", peer)];
	const refused = await ask("/", anonymous);
	t.same([idle.destroyed, refused.destroyed], [false, false]);
	ahead(UNAUTHENTICATED_CONNECTION_MS);
	await Promise.all([once(idle.resume(), "close"), once(refused, "close")]);
	t.same([proved.destroyed, known.destroyed], [false, false], "by request, and by certificate");
});

/** A server with the test's connections, clock and sweeps, for exact timing. */
function staged(t: Test, bounds: ConnectionLimits) {
	let nowMs = 0;
	let look = (): void => {};
	t.intercept(performance, "now", { value: () => nowMs });
	t.intercept(globalThis, "setInterval", {
		value: (looks: () => void) => {
			look = looks;
			return { unref() {} };
		},
	});
	const server = new EventEmitter();
	limitConnections(server as Server, bounds);
	const socket = (authorized: boolean) => {
		const address = { remoteAddress: "127.0.0.1", remotePort: 1, localAddress: "127.0.0.1", localPort: 2 };
		const made = Object.assign(new EventEmitter(), address, {
			authorized,
			destroyed: false,
			destroy: () => {
				made.destroyed = true;
			},
			getPeerX509Certificate: () => undefined,
		});
		return made;
	};
	return {
		opened: (raw = socket(false)) => {
			server.emit("connection", raw);
			return raw;
		},
		secured: (authorized: boolean) => {
			const secure = socket(authorized);
			server.emit("secureConnection", secure);
			return secure;
		},
		lookAt: async (atMs: number): Promise<void> => {
			nowMs = atMs;
			look();
			// It comes after the bytes that were read.
			await setImmediate();
		},
		at: (atMs: number): void => {
			nowMs = atMs;
		},
	};
}

t.test("a connection that closes late does not affect the next with its address and port", async (t) => {
	const { opened, secured } = staged(t, { connections: 4 });
	const former = opened();
	opened();
	former.emit("close");
	t.equal(secured(true).destroyed, false);
});

t.test("if requests authenticate, their time limit begins after the handshake", async (t) => {
	const { opened, secured, at, lookAt } = staged(t, { connections: 4, authenticatedBy: "request" });
	const raw = opened();
	at(UNAUTHENTICATED_CONNECTION_MS - 1);
	secured(false);
	await lookAt(2 * UNAUTHENTICATED_CONNECTION_MS - 2);
	t.equal(raw.destroyed, false);
	await lookAt(2 * UNAUTHENTICATED_CONNECTION_MS);
	t.equal(raw.destroyed, true);
});

t.test("a connection is old before its certificate expires, and over when it has expired", async (t) => {
	let nowMs = Date.now();
	const server = createHttps(OPTIONS);
	const connections = limitConnections(server, { connections: 4, nowMs: () => nowMs });
	let last: Socket | undefined;
	const seen = (socket: Socket) => [connections.leftMs(socket) > 0, connections.isOld(socket)];
	server.on("request", ({ socket }, response) => {
		last = socket;
		response.end(JSON.stringify(seen(socket)));
	});
	const port = await listening(t, server);
	server.keepAliveTimeout = 60_000;
	const opened = async (lifetimeMs: number) => {
		const agent = new Agent({
			keepAlive: true,
			checkServerIdentity: () => undefined,
			...shown(await issue("brief", lifetimeMs)),
		});
		t.teardown(() => agent.destroy());
		const startedMs = Date.now();
		const at = async (aheadMs: number): Promise<unknown> => {
			nowMs = startedMs + aheadMs;
			const request = get({ port, host: "127.0.0.1", agent });
			const [response] = (await once(request, "response")) as [AsyncIterable<Buffer>];
			let text = "";
			for await (const part of response) text += String(part);
			return JSON.parse(text);
		};
		await at(0);
		return at;
	};
	const hour = await opened(3_600_000);
	t.same(await hour(3_600_000 - 70_000), [true, false]);
	t.same(await hour(3_600_000 - 50_000), [true, true], "the last minute of an hour");
	nowMs += 51_000;
	t.same(last && seen(last), [false, true]);
	const brief = await opened(20_000);
	t.same(await brief(10_000), [true, false]);
	t.same(await brief(17_000), [true, true], "the last quarter of a short life");
});

/** With a real Envoy the next request got 503: it reuses connections for up to an hour. */
t.test("an idle connection is closed before its certificate expires; one in use is not cut", async (t) => {
	sweepQuickly(t);
	let nowMs = Date.now();
	const server = createHttps(OPTIONS);
	limitConnections(server, { connections: 4, nowMs: () => nowMs });
	const waiting: ServerResponse[] = [];
	server.on("request", ({ url }, response) => (url === "/slow" ? void waiting.push(response) : response.end()));
	const port = await listening(t, server);
	server.keepAliveTimeout = 3_600_000;
	const agent = new Agent({ keepAlive: true, checkServerIdentity: () => undefined, ...peer });
	t.teardown(() => agent.destroy());
	const slow = get({ port, host: "127.0.0.1", agent, path: "/slow" });
	const asked = get({ port, host: "127.0.0.1", agent, path: "/" });
	const [answer] = await once(asked, "response");
	const idle = asked.socket;
	if (idle === null) throw new Error("no socket");
	answer.resume();
	await once(answer, "end");
	while (waiting.length === 0) await once(server, "request");
	nowMs += 3_600_000 - 1_000;
	await once(idle, "close");
	nowMs += 60_000;
	waiting[0]?.end("late");
	const [late] = await once(slow, "response");
	t.equal(late.statusCode, 200);
	late.resume();
});

t.test("a busy connection is not cut between two requests, even if a sweep sees none in progress", async (t) => {
	sweepQuickly(t);
	let nowMs = Date.now();
	const server = createHttps(OPTIONS, (_request, response) => response.end("here"));
	limitConnections(server, { connections: 4, nowMs: () => nowMs });
	const port = await listening(t, server);
	server.keepAliveTimeout = 3_600_000;
	const socket = connectTls({ port, host: "127.0.0.1", checkServerIdentity: () => undefined, ...peer });
	t.teardown(() => socket.destroy());
	const closed = once(socket, "close");
	const ask = async (): Promise<string> => {
		socket.write("GET / HTTP/1.1\r\nhost: x.test\r\n\r\n");
		const [answer] = await Promise.race([once(socket, "data"), closed.then(() => ["closed"])]);
		return String(answer).slice(0, 15);
	};
	const answers = new Set([await ask()]);
	nowMs += 3_600_000 - 1_000;
	const from = performance.now();
	// The connection is idle nearly all of the time: each request takes a millisecond.
	while (performance.now() - from < 10.5 * QUICK_SWEEP_MS) {
		await new Promise((resolve) => setTimeout(resolve, CONNECTION_QUIET_MS / 5));
		answers.add(await ask());
	}
	t.same([...answers], ["HTTP/1.1 200 OK"]);
	await closed;
});

t.test("a request that came during a standstill is answered, though its connection was due to close", async (t) => {
	sweepQuickly(t);
	let nowMs = Date.now();
	const server = createHttps(OPTIONS, (_request, response) => response.end("here"));
	limitConnections(server, { connections: 4, nowMs: () => nowMs });
	const port = await listening(t, server);
	const socket = connectTls({ port, host: "127.0.0.1", checkServerIdentity: () => undefined, ...peer });
	t.teardown(() => socket.destroy());
	socket.on("error", () => {});
	const request = "GET / HTTP/1.1\r\nhost: x.test\r\n\r\n";
	socket.write(request);
	await once(socket, "data");
	socket.write(request);
	nowMs += 3_600_000 - 1_000;
	const from = performance.now();
	while (performance.now() - from < 2 * CONNECTION_QUIET_MS);
	const [answer] = await Promise.race([once(socket, "data"), once(socket, "close")]);
	t.match(String(answer), /^HTTP\/1\.1 200 /);
});

t.test(
	"a gRPC listener passes on only authenticated HTTP/2 peers, and closes them when their certificate ends",
	async (t) => {
		sweepQuickly(t);
		let taken = 0;
		let nowMs = Date.now();
		const at = {
			...{ host: "127.0.0.1", port: 0, connections: 4, nowMs: () => nowMs },
			tls: { options: OPTIONS, follow: () => () => {} },
		};
		const { port, close } = await listenHttp2(at, (socket) => {
			taken++;
			socket.write("hello");
		});
		t.teardown(close);
		const h2 = { ALPNProtocols: ["h2"] };
		const long = await greeted(t, port, { ...peer, ...h2 });
		t.equal(long.received, "hello");
		t.not((await greeted(t, port, { ...anonymous, ...h2 })).received, "hello", "no certificate");
		t.not((await greeted(t, port)).received, "hello", "another protocol");
		t.equal(taken, 1);
		const brief = await issue("brief", 60_000);
		const short = await greeted(t, port, { ...shown(brief), ...h2 });
		t.equal(short.received, "hello");
		nowMs += 60_000;
		await once(short.socket.resume(), "close");
		t.equal(long.socket.destroyed, false);
		await t.rejects(
			listenHttp2({ ...at, port }, () => {}),
			{ code: "EADDRINUSE" },
		);
	},
);
