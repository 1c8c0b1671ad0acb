/** The time range in which entries may be missing after an Envoy's access-log connection ended. */
import { EventEmitter } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import t from "tap";
import { ENVOY_SILENT_MS } from "../../../../../src/limits/index.js";
import {
	EnvoyConnections,
	type EnvoyStream,
} from "../../../../../src/observe/events/receive/accessLog/envoyConnections.js";

const EDGE = { kind: "spiffe", id: "spiffe://weir.test/weir/envoy/edge" } as const;

/** An HTTP/2 connection that answers PINGs on command. */
class Session extends EventEmitter {
	destroyed = false;
	readonly done: string[] = [];
	readonly #asked: ((error: Error | null) => void)[] = [];
	readonly socket: Socket;

	constructor(remotePort: number) {
		super();
		this.socket = { remoteAddress: "10.0.0.1", remotePort, localAddress: "10.0.0.2", localPort: 1 } as Socket;
	}

	ping(answered: (error: Error | null) => void): void {
		this.#asked.push(answered);
	}

	get pings(): number {
		return this.#asked.length;
	}

	pong(): void {
		for (const answered of this.#asked.splice(0)) answered(null);
	}

	goaway(): void {
		this.done.push("goaway");
	}

	destroy(): void {
		this.destroyed = true;
		this.emit("close");
	}

	/** One more stream of it. */
	stream(): ServerHttp2Stream & { readonly closed: boolean } {
		const done = this.done;
		return Object.assign(new EventEmitter(), {
			session: this,
			closed: false,
			headersSent: false,
			destroyed: false,
			respond: () => done.push("respond"),
			end: () => done.push("end"),
			sendTrailers: () => done.push("trailers"),
		}) as never;
	}
}

function scene() {
	const told: [number, string | null][] = [];
	const at = { nowMs: 100_000, passedMs: 0 };
	const connections = new EnvoyConnections({
		clock: () => at.nowMs,
		passedMs: () => at.passedMs,
		broke: (fromMs, { gateway }) => told.push([fromMs, gateway]),
	});
	let port = 0;
	const opened = (gateway = "edge") => {
		const session = new Session(++port);
		const raw = session.stream();
		const stream: EnvoyStream = connections.opened(raw, EDGE);
		Object.assign(stream, { nodeId: "edge", instance: "a", gateway });
		return { session, raw, stream };
	};
	return { told, at, connections, opened };
}

t.test("each connection by itself, whatever other workers of the same Envoy have", async (t) => {
	const { told, at, connections, opened } = scene();
	const [a, b] = [opened(), opened()];
	at.nowMs = 110_000;
	connections.pingAll();
	a.session.pong();
	b.session.pong();
	// One breaks and is back at once.
	at.nowMs = 111_000;
	a.session.destroy();
	opened();
	t.same(told.splice(0), [[110_000, "edge"]]);
	at.nowMs = 200_000;
	connections.pingAll();
	b.session.pong();
	at.nowMs = 201_500;
	b.session.destroy();
	t.same(told, [[200_000, "edge"]]);
});

t.test("a sign of life is when it was asked for, not when the answer came", async (t) => {
	const { told, at, connections, opened } = scene();
	const { session } = opened();
	at.nowMs = 105_000;
	connections.pingAll();
	at.nowMs = 109_000;
	connections.pingAll();
	t.equal(session.pings, 1, "one at a time");
	session.pong();
	at.nowMs = 110_000;
	session.destroy();
	t.same(told, [[105_000, "edge"]]);
});

t.test("one that broke before its first message, or before its first answer", async (t) => {
	const { told, at, connections, opened } = scene();
	const { session, stream } = opened();
	stream.gateway = null;
	connections.pingAll();
	at.nowMs = 103_000;
	session.destroy();
	t.same(told, [[100_000, null]]);
});

t.test("one that answers nothing is cut", async (t) => {
	const { told, at, connections, opened } = scene();
	const { session } = opened();
	const look = async (passedMs: number): Promise<void> => {
		at.nowMs += passedMs - at.passedMs;
		at.passedMs = passedMs;
		connections.pingAll();
	};
	await look(0);
	await look(ENVOY_SILENT_MS - 1);
	await turn();
	t.notOk(session.destroyed);
	await look(ENVOY_SILENT_MS);
	// As after a stall of this process, whose answer is read now.
	session.pong();
	await turn();
	t.notOk(session.destroyed, "it has answered");
	await look(ENVOY_SILENT_MS);
	await look(2 * ENVOY_SILENT_MS);
	await turn();
	t.ok(session.destroyed);
	t.same(told, [[100_000, "edge"]]);
});

t.test("ended from this side in order: first no new stream, then the end", async (t) => {
	const { told, at, connections, opened } = scene();
	const old = opened();
	connections.end(old.session.socket);
	t.same(old.session.done, ["goaway", "respond", "end"]);
	old.raw.emit("close");
	at.nowMs += 10_000;
	old.session.destroy();
	t.same(told, []);
	const still = opened();
	connections.end(still.session.socket);
	still.stream.heard();
	still.session.destroy();
	t.same(told, [[110_000, "edge"]], "its Envoy went on, and its connection broke");
});

t.test(
	"nothing is missing of a stream that its Envoy ended, that was refused, or that was reset long before",
	async (t) => {
		const { told, at, opened } = scene();
		const [over, refused] = [opened(), opened()];
		over.stream.ended();
		refused.stream.whole = true;
		over.session.destroy();
		refused.session.destroy();
		t.same(told, []);
		const reset = opened();
		Object.assign(reset.raw, { closed: true });
		reset.stream.ended();
		reset.raw.emit("close");
		at.nowMs += 10;
		reset.session.destroy();
		t.same(told, [[100_000, "edge"]], "an Envoy that ends resets its streams first");
	},
);

t.test("a drained Envoy with a live connection is complete, until new entries arrive", async (t) => {
	const { told, connections, opened } = scene();
	const [quiet, other, twin, speaks, dead] = [
		opened("edge"),
		opened("inner"),
		opened("twin"),
		opened("busy"),
		opened("dead"),
	];
	other.stream.nodeId = "other";
	twin.stream.instance = "b";
	const drained = connections.drained(EDGE, "edge", "a");
	await connections.drained({ kind: "owner" }, "other", "a");
	for (const { session } of [quiet, twin, speaks]) session.pong();
	// The entries that arrived on that connection are unknown.
	await drained;
	dead.session.destroy();
	speaks.stream.heard();
	for (const { session } of [quiet, other, twin, speaks]) session.destroy();
	t.same(
		told.map(([, gateway]) => gateway),
		["dead", "inner", "twin", "busy"],
		"that Envoy's alone, not another one's of the same id",
	);
});

t.test("what breaks as this side goes away is no gap of an Envoy", async (t) => {
	const { told, connections, opened } = scene();
	const { session } = opened();
	const closed = connections.close();
	session.pong();
	await closed;
	session.destroy();
	t.same(told, []);
});
