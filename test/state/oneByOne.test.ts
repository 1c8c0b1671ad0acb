/** Requests that are read from a connection whose last answer was written are not handled. */
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import t from "tap";
import { oneByOne } from "../../src/state/api/oneByOne.js";

t.test("after the last answer", (t) => {
	let destroyed = false;
	const socket = {
		writable: true,
		destroy: () => {
			destroyed = true;
		},
	};
	const handled: unknown[] = [];
	const take = oneByOne({
		handle: (_, response) => void handled.push(response),
		onEnded: () => {},
		onFull: () => t.fail("not too many"),
	});
	const come = (): EventEmitter => {
		const response = new EventEmitter();
		take({ socket } as unknown as IncomingMessage, response as unknown as ServerResponse);
		return response;
	};
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
	t.ok(destroyed, "and no more is read");
	t.end();
});
