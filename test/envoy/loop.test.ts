/**
 * Endpoints that lead back to the Gateway: a request loops at most once, also with retries. A chain of two Weirs and a
 * pipeline that calls another Service through the same Gateway with the same headers are no loops.
 */
import { once } from "node:events";
import { createServer, request } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import t, { type Test } from "tap";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { loopMark } from "../../src/compile/envoy/loopDetection.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import type { ResourceSet } from "../../src/declare/resources/resource.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { bootstrapOf, type RunningEnvoy, startEnvoy } from "./harness.js";
import { alone, rawGet } from "./pipeline.js";

/** An address that leads to what is known later: no check of a declaration can see where. */
async function relay(t: Test) {
	const led = { to: 0, requests: 0 };
	const server = createTcpServer((socket) => {
		const onwards = connect(led.to, "127.0.0.1");
		socket.on("data", (bytes) => {
			led.requests += bytes.toString("latin1").match(/ HTTP\/1\.1\r\n/g)?.length ?? 0;
		});
		socket.pipe(onwards).pipe(socket);
		for (const end of [socket, onwards]) end.on("error", () => {});
		t.teardown(() => void [socket, onwards].map((end) => end.destroy()));
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => void server.close());
	return Object.assign(led, { port: (server.address() as AddressInfo).port });
}

interface Upstream {
	/** Everything is passed on to this host behind this port. */
	readonly onwards?: { readonly port: number; readonly host: string };
	/** Requests that are answered with 503 first. */
	readonly failures?: number;
}

/** A server that answers with the CDN-Loop header that it was sent. */
async function upstream(t: Test, { onwards, failures = 0 }: Upstream = {}): Promise<number> {
	let left = failures;
	const server = createServer((incoming, response) => {
		if (left-- > 0) return void response.writeHead(503).end();
		if (onwards === undefined) return void response.end(String(incoming.headers["cdn-loop"]));
		const headers = { ...incoming.headers, host: onwards.host };
		request({ port: onwards.port, host: "127.0.0.1", headers, agent: false }, (answer) => {
			response.writeHead(answer.statusCode ?? 0);
			answer.pipe(response);
		}).end();
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => void server.close());
	return (server.address() as AddressInfo).port;
}

const started = (t: Test, resources: ResourceSet, installation?: string): Promise<RunningEnvoy> =>
	startEnvoy(
		t,
		bootstrapOf(
			compile(resources, EMPTY_STATUS, {
				collectors: NO_COLLECTORS,
				...(installation === undefined ? {} : { installation }),
			}),
		),
	);

const get = (envoy: RunningEnvoy, host: string) => alone(envoy.port(), rawGet(host, []));
const TWICE_MORE = { attempts: 2, on: ["5xx"], perTryTimeoutMs: 0 };
const MARK = /^weir-[0-9a-f]{16}$/;

t.test("each Service behind each Gateway of each installation has its own loop mark", async (t) => {
	const names = ["a", "b"];
	const marks = names.flatMap((one) => names.flatMap((two) => names.map((three) => loopMark(one, two, three))));
	t.equal(new Set(marks).size, 8);
	for (const mark of marks) t.match(mark, MARK);
});

t.test("a looping request is answered with 508 after one round, for open and protected Services", async (t) => {
	const back = await relay(t);
	const envoy = await started(
		t,
		resourceSet({
			gateways: [gateway()],
			services: [
				service("open", [variant("v1", back.port)]),
				service("guarded", [variant("v1", back.port)], { access: null }),
				service("stubborn", [variant("v1", back.port)], { retries: TWICE_MORE }),
			],
			accessPolicies: [accessPolicy("all", "allow", ["guarded"], { principals: ["anyone"] })],
		}),
	);
	back.to = envoy.port();
	for (const [host, rounds] of [
		["open.test", 1],
		["guarded.test", 1],
		["stubborn.test", 3],
	] as const) {
		back.requests = 0;
		const { status, body } = await get(envoy, host);
		t.match({ status, body }, { status: 508, body: "access denied: loop-detected\n" }, host);
		t.equal(back.requests, rounds, host);
	}
});

t.test("a chain and a pipeline pass; each Service adds one mark, also after a retry", async (t) => {
	const last = await upstream(t);
	const to = (port: number) =>
		resourceSet({ gateways: [gateway()], services: [service("model", [variant("v1", port)])] });
	const second = await started(t, to(last), "second");
	const first = await started(t, to(second.port()), "first");
	const { status, body } = await get(first, "model.test");
	const marks = body.split(/, ?/);
	t.match({ status, marks }, { status: 200, marks: [MARK, MARK] });
	t.not(marks[0], marks[1]);

	const back = await relay(t);
	const pipeline = await upstream(t, { onwards: { port: back.port, host: "model.test" }, failures: 1 });
	const one = await started(
		t,
		resourceSet({
			gateways: [gateway()],
			services: [
				service("model", [variant("v1", last)]),
				service("pipeline", [variant("v1", pipeline)], { retries: TWICE_MORE }),
			],
		}),
	);
	back.to = one.port();
	const through = await get(one, "pipeline.test");
	t.equal(through.status, 200);
	t.match(through.body.split(/, ?/), [MARK, MARK]);
});
