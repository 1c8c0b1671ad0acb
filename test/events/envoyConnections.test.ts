/** When a connection of an Envoy to the access log ends: between which times its entries may be missing, and when none is. */
import { EventEmitter } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import t from "tap";
import { EnvoyConnections, type EnvoyStream } from "../../src/events/accessLog/envoyConnections.js";
import { ENVOY_NOTICES_MS, ENVOY_SILENT_MS, MISSING_MARGIN_MS } from "../../src/limits.js";

const EDGE = { kind: "spiffe", id: "spiffe://weir.test/weir/envoy/edge" } as const;

/** An HTTP/2 connection that answers PINGs when told. */
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

function scene(remote = true) {
	const told: [number, number, string | null][] = [];
	const at = { nowMs: 100_000, passedMs: 0 };
	const connections = new EnvoyConnections({
		remote,
		clock: () => at.nowMs,
		passedMs: () => at.passedMs,
		lost: (fromMs, untilMs, { gateway }) => told.push([fromMs, untilMs, gateway]),
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

const M = MISSING_MARGIN_MS;

t.test("each connection by itself, whatever other workers of the same Envoy have", async (t) => {
	const { told, at, connections, opened } = scene();
	const [a, b] = [opened(), opened()];
	at.nowMs = 110_000;
	connections.look();
	a.session.pong();
	b.session.pong();
	// One breaks and is back at once.
	at.nowMs = 111_000;
	a.session.destroy();
	opened();
	t.same(told.splice(0), [[110_000 - M, 111_000 + M, "edge"]]);
	at.nowMs = 200_000;
	connections.look();
	b.session.pong();
	at.nowMs = 201_500;
	b.session.destroy();
	t.same(told, [[200_000 - M, 201_500 + M, "edge"]], "not when the other one was back");
});

t.test("a sign of life is when it was asked for, not when the answer came", async (t) => {
	const { told, at, connections, opened } = scene(false);
	const { session } = opened();
	at.nowMs = 105_000;
	connections.look();
	at.nowMs = 109_000;
	connections.look();
	t.equal(session.pings, 1, "one at a time");
	session.pong();
	at.nowMs = 110_000;
	session.destroy();
	t.same(told, [[105_000 - M, 110_000 + M, "edge"]]);
});

t.test("one that broke before its first message, or before its first answer", async (t) => {
	const { told, at, connections, opened } = scene();
	const { session, stream } = opened();
	stream.gateway = null;
	connections.look();
	at.nowMs = 103_000;
	session.destroy();
	t.same(told, [[100_000 - M, 103_000 + M, null]]);
});

t.test("who answers nothing is cut, and may not hear of it; on this machine it is only busy", async (t) => {
	for (const remote of [true, false]) {
		const { told, at, connections, opened } = scene(remote);
		const { session } = opened();
		connections.look();
		at.passedMs = ENVOY_SILENT_MS - 1;
		at.nowMs += ENVOY_SILENT_MS - 1;
		connections.look();
		await turn();
		t.notOk(session.destroyed);
		at.passedMs = ENVOY_SILENT_MS;
		at.nowMs++;
		connections.look();
		// As after a stall of this process, whose answer is read now.
		session.pong();
		await turn();
		t.notOk(session.destroyed, "it has answered");
		connections.look();
		const askedMs = at.nowMs;
		at.passedMs += ENVOY_SILENT_MS;
		at.nowMs += ENVOY_SILENT_MS;
		connections.look();
		await turn();
		t.equal(session.destroyed, remote);
		t.same(told, remote ? [[100_000 - M, at.nowMs + ENVOY_NOTICES_MS + M, "edge"]] : []);
		t.equal(askedMs, 110_000);
	}
});

t.test("ended from this side in order: first no new stream, then the end", async (t) => {
	const { told, at, connections, opened } = scene();
	const took = opened();
	connections.end(took.session.socket);
	t.same(took.session.done, ["goaway", "respond", "end"]);
	took.raw.emit("close");
	at.nowMs += 10_000;
	took.session.destroy();
	t.same(told, [], "its Envoy has taken it");
	const atOnce = opened();
	connections.end(atOnce.session.socket);
	at.nowMs += M;
	atOnce.session.destroy();
	t.same(told, [], "or has ended its connection");
	for (const [after, cut] of [
		[M + 1, false],
		[1, true],
	] as const) {
		const late = opened();
		const openedMs = at.nowMs;
		connections.end(late.session.socket);
		at.nowMs += after;
		if (cut) connections.cut(late.session.socket);
		late.session.destroy();
		const untilMs = at.nowMs + (cut ? ENVOY_NOTICES_MS : 0) + M;
		t.same(told.splice(0), [[openedMs - M, untilMs, "edge"]], cut ? "it was cut" : "it did not hear of it");
	}
});

t.test(
	"nothing is missing of a stream that its Envoy ended, that was refused, or that was reset long before",
	async (t) => {
		const { told, at, opened } = scene();
		const [over, refused] = [opened(), opened()];
		over.stream.over();
		refused.stream.refused();
		over.session.destroy();
		refused.session.destroy();
		t.same(told, []);
		const reset = opened();
		Object.assign(reset.raw, { closed: true });
		reset.stream.over();
		reset.raw.emit("close");
		at.nowMs += 10;
		reset.session.destroy();
		t.same(told, [[100_000 - M, 100_010 + M, "edge"]], "an Envoy that ends resets its streams first");
	},
);

t.test("a drained Envoy has told all where its connection lives, until something comes from it again", async (t) => {
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
	// Nobody knows what of that connection has come.
	await drained;
	dead.session.destroy();
	speaks.stream.heard();
	for (const { session } of [quiet, other, twin, speaks]) session.destroy();
	t.same(
		told.map(([, , gateway]) => gateway),
		["dead", "inner", "twin", "busy"],
		"that Envoy's alone, not another one's of the same id",
	);
});

t.test("up to when nothing is lost that is not known: as a network tells of ends late", async (t) => {
	const { told, at, connections, opened } = scene();
	t.equal(connections.aliveSinceMs, null);
	const [one, two] = [opened(), opened()];
	at.nowMs = 150_000;
	connections.look();
	two.session.pong();
	t.equal(connections.aliveSinceMs, 100_000 - M, "of the one that was heard of least");
	// As this side goes away, those that live are asked once more.
	at.nowMs = 160_000;
	const closed = connections.close();
	two.session.pong();
	await closed;
	one.session.destroy();
	two.session.destroy();
	t.equal(connections.aliveSinceMs, 100_000 - M);
	t.same(told, [], "what breaks by that is told of at the next start");
	const local = scene(false);
	local.opened();
	t.equal(local.connections.aliveSinceMs, null, "on this machine all ends are noticed");
});
