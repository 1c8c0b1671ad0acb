/**
 * Keepers of Envoys of other machines at xDS: whom control takes as one, what can be asked of them, and that whoever answers
 * otherwise is none.
 */
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import {
	type ChannelCredentials,
	type ClientDuplexStream,
	credentials,
	makeClientConstructor,
	type ServiceError,
} from "@grpc/grpc-js";
import t, { type Test } from "tap";
import type { EnvoyReach, ProbeAnswer } from "../../src/access/bypass/reach.js";
import {
	type Attended,
	PageName,
	ProbeGuard,
	ProbeTls,
	type Question,
	QuestionSchema,
} from "../../src/gen/weir/probe/v1/attendance_pb.js";
import { ATTENDANCE_QUESTIONS_MAX, ATTENDANCE_RETRY_MS, PROBE_ANSWER_BYTES_MAX } from "../../src/limits.js";
import { localAdmin } from "../../src/probe/envoyPage.js";
import { ownListenersOnly } from "../../src/probe/ownListeners.js";
import { probe } from "../../src/probe/probe.js";
import { Answering } from "../../src/xds/attendance/answering.js";
import { Attendant } from "../../src/xds/attendance/attendant.js";
import { AttendanceServiceDefinition, readSaid, type Said, writeSaid } from "../../src/xds/attendance/service.js";
import { temporaryDirectory } from "../cli/command.js";
import { id, identityOf } from "./identityOf.js";
import { start } from "./tlsScene.js";

t.setTimeout(120_000);

const Client = makeClientConstructor(AttendanceServiceDefinition, "Attendance");

/** Says what a test says. */
function keeper(t: Test, target: string, channel: ChannelCredentials) {
	const client = new Client(target, channel, { "grpc.ssl_target_name_override": "control" });
	t.teardown(() => client.close());
	const call = client.attend?.() as ClientDuplexStream<Attended, Question>;
	const ended = new Promise<ServiceError>((resolve) => call.on("error", resolve));
	const asked: Question[] = [];
	call.on("data", (question: Question) => asked.push(question));
	const say = (said: Said): void => void call.write(writeSaid(said));
	return {
		ended,
		asked,
		say,
		hello: (node: string, keeper = "1") => say({ kind: "hello", node, keeper }),
		question: async (): Promise<number> => {
			if (asked.length === 0) await once(call, "data");
			return asked.shift()?.number ?? 0;
		},
	};
}

const EDGE = id("weir/envoy/edge");
const READY = { page: "ready" } as const;

t.test(
	"a sidecar, another Envoy's node, one without a Gateway, and who is no part are refused, and counted",
	async (t) => {
		const { target, channel, refused, ids, server } = await start(t, {
			gatewaysOf: (one) => (one === EDGE ? ["edge"] : []),
		});
		const sidecar = keeper(t, target, await channel("weir/sidecar"));
		sidecar.hello("sidecar");
		t.match(await sidecar.ended, { code: 7, details: /keepers of Envoys/ });
		const other = keeper(t, target, await channel("weir/envoy/edge"));
		other.hello("west");
		t.match(await other.ended, { code: 7, details: /node\.id/ });
		const nameless = keeper(t, target, await channel("weir/envoy/edge"));
		nameless.say({ kind: "page-end", question: 1, status: 200, unread: null });
		t.match(await nameless.ended, { code: 7, details: /node\.id/ }, "nor one that does not say whose it is");
		const west = keeper(t, target, await channel("weir/envoy/west"));
		west.hello("west");
		t.match(await west.ended, { code: 7, details: /no Gateway/ });
		t.same(refused, ["type", "another-node", "another-node", "no-gateway"]);
		t.same(ids, [id("weir/sidecar"), EDGE, EDGE, id("weir/envoy/west")]);
		const outsider = keeper(t, target, await channel("shop"));
		outsider.hello("edge");
		t.match(await outsider.ended, { code: 14 });
		t.same([refused.at(-1), ids.at(-1)], ["not-a-client", id("shop")]);
		t.notOk(server.attendances.attends(EDGE));
	},
);

t.test("on the UNIX socket there is none: that machine's Envoy is asked by its own", async (t) => {
	const { server, refused } = await start(t);
	const socketPath = join(await temporaryDirectory(t), "ads.sock");
	await server.listen({ socketPath });
	const local = keeper(t, `unix:${socketPath}`, credentials.createInsecure());
	local.hello("edge");
	t.match(await local.ended, { code: 7 });
	t.same(refused, ["type"]);
});

t.test("one attends for each id: who comes again takes its own place, another one does not", async (t) => {
	const changes: string[] = [];
	const { target, channel, refused, server } = await start(t, { onAttendance: (one) => changes.push(one) });
	const first = keeper(t, target, await channel("weir/envoy/edge"));
	const there = server.attendances.awaited(EDGE, 60_000);
	first.hello("edge");
	await there;
	const read = server.attendances.page(EDGE, READY, () => {}).catch(({ kind }) => kind);
	await first.question();
	const other = keeper(t, target, await channel("weir/envoy/edge"));
	other.hello("edge", "2");
	t.match(await other.ended, { code: 8, details: /another Envoy of this id/ });
	t.same(refused, ["too-many"]);
	const again = keeper(t, target, await channel("weir/envoy/edge"));
	again.hello("edge");
	t.match(await first.ended, { code: 10 });
	t.equal(await read, "unattended", "what was under way is known to be lost");
	t.ok(server.attendances.attends(EDGE));
	t.same(changes, [EDGE, EDGE]);
});

t.test("who answers what was not asked, or with more than a page, is no keeper", async (t) => {
	const { target, channel, server } = await start(t);
	const come = async () => {
		const one = keeper(t, target, await channel("weir/envoy/edge"));
		one.hello("edge");
		await server.attendances.awaited(EDGE, 60_000);
		return one;
	};
	const unasked = await come();
	unasked.say({ kind: "part", question: 7, part: "a" });
	t.match(await unasked.ended, { code: 3 });
	const large = await come();
	let taken = 0;
	const read = server.attendances
		.page(EDGE, READY, (part) => {
			taken += part.length;
		})
		.catch(({ kind }) => kind);
	const question = await large.question();
	for (let sent = 0; sent <= PROBE_ANSWER_BYTES_MAX; sent += 1024 * 1024)
		large.say({ kind: "part", question, part: "x".repeat(1024 * 1024) });
	t.match(await large.ended, { code: 3 });
	t.equal(await read, "unattended");
	t.ok(taken <= PROBE_ANSWER_BYTES_MAX);
	const crossed = await come();
	const answer = server.attendances.probe(EDGE, { way: WAY, host: "a.test", guard: "rules" });
	crossed.say({ kind: "part", question: await crossed.question(), part: "a" });
	t.match(await crossed.ended, { code: 3 });
	t.equal(await answer, null, "of the listener nothing is known");
});

t.test("one that says nothing is given up, and does not keep others waiting for ever", async (t) => {
	const { target, channel, server } = await start(t);
	const silent = keeper(t, target, await channel("weir/envoy/edge"));
	silent.hello("edge");
	await server.attendances.awaited(EDGE, 60_000);
	const asked = Array.from({ length: ATTENDANCE_QUESTIONS_MAX + 10 }, () =>
		server.attendances.probe(EDGE, { way: WAY, host: "a.test", guard: "rules" }),
	);
	t.same(
		await Promise.all(asked),
		asked.map(() => null),
	);
	t.equal(silent.asked.length, ATTENDANCE_QUESTIONS_MAX, "no more at once");
	t.match(await silent.ended, { code: 4 });
	t.notOk(server.attendances.attends(EDGE));
});

t.test("streams that have said nothing are no more than one for each id", async (t) => {
	const { target, channel } = await start(t);
	const first = keeper(t, target, await channel("weir/envoy/edge"));
	keeper(t, target, await channel("weir/envoy/edge"));
	t.match(await first.ended, { code: 8, details: "another one came" });
});

const WAY = { address: "127.0.0.1", port: 9, tls: "none" } as const;

/** A reach whose calls are told. */
function told(answer: () => Promise<ProbeAnswer | null> = async () => ({ status: 403, body: "no" })) {
	const calls: unknown[] = [];
	const reach: EnvoyReach = {
		admin: {
			page: async (page) => {
				calls.push(page);
				return 200;
			},
		},
		meshless: null,
		through: (way) => (host, guard) => {
			calls.push({ way, host, guard });
			return answer();
		},
	};
	return { calls, reach };
}

/** What a keeper answers to each. */
async function answers(
	reach: EnvoyReach,
	...questions: readonly Parameters<typeof create<typeof QuestionSchema>>[1][]
) {
	const said: Said[] = [];
	let done = (): void => {};
	const all = new Promise<void>((resolve) => {
		done = resolve;
	});
	const call = {
		write: (message: Attended): boolean => {
			const one = readSaid(message);
			if (one !== null) said.push(one);
			if (said.length === questions.length) done();
			return true;
		},
		on: () => call,
	};
	const answering = new Answering(call as never, reach);
	for (const question of questions) answering.take(create(QuestionSchema, question));
	await all;
	return said;
}

t.test("a keeper answers a closed set of questions: whatever else is asked is not done", async (t) => {
	const { calls, reach } = told();
	const page = (value: object) => ({ number: 1, asked: { case: "page", value } }) as const;
	const sent = { address: "127.0.0.1", port: 80, host: "a.test", guard: ProbeGuard.RULES, tls: ProbeTls.NONE };
	const probed = (value: object) => ({ number: 1, asked: { case: "probe", value: { ...sent, ...value } } }) as const;
	const no = [
		{ number: 1 },
		page({}),
		page({ name: 5 }),
		page({ name: 99, filter: "/quitquitquit" }),
		page({ name: PageName.COUNTERS, filter: "a".repeat(100_000) }),
		probed({ address: "metadata.internal" }),
		probed({ address: "" }),
		probed({ port: 0 }),
		probed({ port: 70_000 }),
		probed({ host: "a.test\r\nx-forged: 1" }),
		probed({ host: "" }),
		probed({ guard: 0 }),
		probed({ guard: 9 }),
		probed({ tls: 0 }),
		probed({ tls: 9 }),
	];
	for (const one of await answers(reach, ...no))
		t.match(one, one.kind === "answer" ? { answer: null } : { kind: "page-end", unread: "refused" });
	t.same(calls, []);
	await answers(reach, page({ name: PageName.READY, filter: "/quitquitquit" }), probed({}));
	t.same(calls, [{ page: "ready" }, { way: { ...WAY, port: 80 }, host: "a.test", guard: "rules" }]);
});

t.test("no more at once than control asks, and none without an end", async (t) => {
	const { calls, reach } = told(() => new Promise(() => {}));
	const value = { address: "127.0.0.1", port: 80, host: "a.test", guard: ProbeGuard.RULES, tls: ProbeTls.NONE };
	const questions = Array.from(
		{ length: ATTENDANCE_QUESTIONS_MAX + 5 },
		(_, at) => ({ number: at + 1, asked: { case: "probe", value } }) as const,
	);
	const said = await answers(reach, ...questions);
	t.equal(calls.length, ATTENDANCE_QUESTIONS_MAX);
	t.match(said.slice(0, 5), Array(5).fill({ answer: null }));
	t.match(said.at(-1), { answer: { status: null, why: "no answer in time" } });
});

/** A page of many parts that waits for a control which reads none, and how it ended. */
function stalled() {
	let part: (text: string) => void | Promise<void> = () => {};
	const reach: EnvoyReach = {
		...told().reach,
		admin: {
			page: (_, take) => {
				part = take;
				return new Promise(() => {});
			},
		},
	};
	const call = { write: () => false, on: () => call };
	const answering = new Answering(call as never, reach);
	answering.take(create(QuestionSchema, { number: 1, asked: { case: "page", value: { name: PageName.READY } } }));
	return { answering, part: (text: string) => part(text) };
}

t.test("a page that waits for a control which is gone is let go, and read no further", async (t) => {
	const { answering, part } = stalled();
	const waiting = part("a");
	answering.end();
	await waiting;
	t.throws(() => part("b"), { message: "control is gone" });
});

/** An Envoy's admin, what it was asked, and a keeper of it that attends. */
async function attended(t: Test, answer: RequestListener) {
	const socket = join(await temporaryDirectory(t), "admin.sock");
	const asked: string[] = [];
	const admin = createServer((request, response) => {
		asked.push(`${request.method} ${request.url}`);
		answer(request, response);
	}).listen(socket);
	const { target, channel, server, ca } = await start(t);
	const attendant = new Attendant({
		...{ target, credentials: await channel("weir/envoy/edge"), node: "edge", keeper: "1" },
		reach: ownListenersOnly({
			admin: localAdmin(socket),
			meshless: null,
			through:
				({ address, port }) =>
				(host, guard) =>
					probe({ address, port, tls: null }, host, guard),
		}),
	});
	t.teardown(() => {
		attendant.close();
		admin.close();
		admin.closeAllConnections();
	});
	await server.attendances.awaited(EDGE, 60_000);
	return { asked, server, ca };
}

t.test("pages of the admin come whole, and only by GET", async (t) => {
	const text = Array.from({ length: 400_000 }, (_, at) => `vhost.prod/sérvice-${at}.upstream_rq_total: ${at}\n`).join(
		"",
	);
	const { asked, server } = await attended(t, ({ url = "" }, response) => {
		if (url.startsWith("/stats")) response.end(text);
		else response.writeHead(url === "/ready" ? 503 : 200).end(url);
	});
	const read = async (page: Parameters<typeof server.attendances.page>[1]) => {
		const parts: string[] = [];
		const status = await server.attendances.page(EDGE, page, (part) => void parts.push(part));
		return [status, parts.join("")];
	};
	t.same(await read({ page: "ready" }), [503, "/ready"]);
	t.same(await read({ page: "server-info" }), [200, "/server_info"]);
	t.same(await read({ page: "listeners" }), [200, "/listeners?format=json"]);
	const [status, long] = await read({ page: "counters", filter: "^a|b$" });
	t.equal(status, 200);
	t.ok(long === text, "also one of many megabytes");
	t.same(asked, [
		"GET /ready",
		"GET /server_info",
		"GET /listeners?format=json",
		"GET /stats?usedonly&filter=%5Ea%7Cb%24",
	]);
});

t.test("an Envoy that is gone is told apart from one that breaks off", async (t) => {
	const { server } = await attended(t, (_, response) => {
		response.writeHead(200, { "content-length": 100 }).write("a");
		setTimeout(() => response.destroy(), 20);
	});
	await t.rejects(
		server.attendances.page(EDGE, READY, () => {}),
		{ message: /cannot be reached, or broke off/ },
	);
	await t.rejects(
		server.attendances.page(id("weir/envoy/west"), READY, () => {}),
		{ message: "its weir envoy does not answer control" },
	);
});

t.test("a probe goes through the Envoy's own listeners alone", async (t) => {
	const requests: string[] = [];
	const gateway = createServer(({ method, url, headers }, response) => {
		requests.push(`${method} ${url} ${headers.host}`);
		response.writeHead(403).end("access denied: forbidden\n");
	}).listen(0, "127.0.0.1");
	await once(gateway, "listening");
	let connections = 0;
	const other = createTcpServer((socket) => {
		connections++;
		socket.destroy();
	}).listen(0, "127.0.0.1");
	await once(other, "listening");
	t.teardown(() => {
		gateway.close();
		other.close();
	});
	const portOf = (one: { address(): unknown }): number => (one.address() as { port: number }).port;
	const { server } = await attended(t, (_, response) => {
		const bound = { socket_address: { address: "0.0.0.0", port_value: portOf(gateway) } };
		response.end(JSON.stringify({ listener_statuses: [{ name: "edge", local_address: bound }] }));
	});
	const ask = (port: number, address = "127.0.0.1") =>
		server.attendances.probe(EDGE, { way: { address, port, tls: "none" }, host: "a.test", guard: "rules" });
	t.same(await ask(portOf(gateway)), { status: 403, body: "access denied: forbidden\n" });
	t.same(requests, ["OPTIONS /.well-known/weir-probe a.test"]);
	t.equal(await ask(portOf(other)), null, "a port that no listener of its has");
	t.equal(await ask(portOf(gateway), "127.0.0.2"), null);
	t.equal(connections, 0);
});

t.test("more questions than are under way at once are all answered, one after the other", async (t) => {
	const { server } = await attended(t, (_, response) => response.end("LIVE\n"));
	const questions = Array.from({ length: 2 * ATTENDANCE_QUESTIONS_MAX + 50 }, () =>
		server.attendances.page(EDGE, READY, () => {}),
	);
	t.same(new Set(await Promise.all(questions)), new Set([200]));
});

t.test("a keeper that was asked something tries again as soon as ever when it is cut", async (t) => {
	const waits: (number | undefined)[] = [];
	const { setTimeout: real } = globalThis;
	t.intercept(globalThis, "setTimeout", {
		value: Object.assign((done: () => void, ms?: number) => {
			waits.push(ms);
			return real(done, ms);
		}, real),
	});
	const { server } = await attended(t, (_, response) => response.end("LIVE\n"));
	for (let cut = 0; cut < 3; cut++) {
		await server.attendances.awaited(EDGE, 60_000);
		t.equal(await server.attendances.page(EDGE, READY, () => {}), 200);
		waits.length = 0;
		server.attendances.close();
		while (server.attendances.attends(EDGE)) await turn();
		while (!waits.some((ms) => ms !== undefined && ms % ATTENDANCE_RETRY_MS === 0 && ms <= 1_000)) await turn();
		t.ok(waits.includes(ATTENDANCE_RETRY_MS));
	}
});

t.test("control that is another one is not answered", async (t) => {
	const { target, ca, server } = await start(t);
	const identity = await identityOf(ca, EDGE);
	const { grpcChannelCredentials } = await import("../../src/identity/grpcTls.js");
	const { calls, reach } = told();
	const attendant = new Attendant({
		...{ target, node: "edge", keeper: "1", reach },
		credentials: grpcChannelCredentials(identity, (one) => one === id("weir/other")),
	});
	t.teardown(() => attendant.close());
	await server.attendances.awaited(EDGE, 2_000);
	t.notOk(server.attendances.attends(EDGE));
	t.same(calls, []);
});
