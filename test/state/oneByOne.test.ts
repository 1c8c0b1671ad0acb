/** Requests of a connection that are read and not handled: behind its last answer, and beyond those that may wait. */
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import t from "tap";
import { API_REQUESTS_AHEAD_MAX, API_REQUESTS_DROPPED_MAX } from "../../src/limits.js";
import { oneByOne } from "../../src/state/api/oneByOne.js";

/** A connection as Node hands on what it reads of it. */
function scene() {
	const told = { destroyed: false, full: 0 };
	const socket = {
		writable: true,
		destroy: () => {
			told.destroyed = true;
		},
	};
	const handled: unknown[] = [];
	const take = oneByOne({
		handle: (_, response) => void handled.push(response),
		onEnded: () => {},
		onFull: () => {
			told.full++;
		},
	});
	const come = (): EventEmitter => {
		const response = Object.assign(new EventEmitter(), { setHeader: () => {} });
		take({ socket } as unknown as IncomingMessage, response as unknown as ServerResponse);
		return response;
	};
	return { socket, told, handled, come };
}

t.test("after the last answer", (t) => {
	const { socket, told, handled, come } = scene();
	const first = come();
	first.emit("close");
	const second = come();
	t.same(handled, [first, second], "an answer that keeps the connection");
	come();
	socket.writable = false;
	second.emit("close");
	come();
	come();
	t.equal(handled.length, 2);
	t.same(told, { destroyed: true, full: 0 }, "and no more is read");
	t.end();
});

t.test("a flood while the first is under way is cut, and told of once", (t) => {
	const { told, handled, come } = scene();
	for (let count = 0; count < 1 + API_REQUESTS_AHEAD_MAX + API_REQUESTS_DROPPED_MAX; count++) come();
	t.same(told, { destroyed: false, full: 1 }, "those that may wait are answered yet");
	come();
	t.same(told, { destroyed: true, full: 1 });
	t.equal(handled.length, 1);
	t.end();
});
