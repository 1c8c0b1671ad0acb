/**
 * The stream-reset trap: Envoy ends every ext_proc stream with RST_STREAM unless configured otherwise, and Node's HTTP/2
 * takes 1,000 at once and 33 a second on one connection, then sends GOAWAY. Node 20 cannot be configured; what we
 * ship avoids the resets (the bootstrap guard) or the thousand (max_requests_per_connection).
 */
import t from "tap";
import { bytesOf, FLAG, FRAME, reset } from "../../../trust/tls/http2Frames.js";
import { type RawConnection, rawConnection, requestHeaders } from "./rawConnection.js";
import { framed, STREAM, startEcho, until } from "./rig.js";

t.setTimeout(120_000);
const ALL = 20_000;
const AT_ONCE = 50;
const NODE = Number(process.versions.node.split(".")[0]);

/** Opens streams one batch after another, each with one message, and ends them. @returns how many were answered */
async function exchange(connection: RawConnection, end: "reset" | "half-close"): Promise<number> {
	let answered = 0;
	for (let first = 0; first < ALL; first += AT_ONCE) {
		connection.frames.length = 0;
		const ids = Array.from({ length: AT_ONCE }, (_, i) => 2 * (first + i) + 1);
		connection.socket.write(
			Buffer.concat(ids.flatMap((id) => [requestHeaders(id, STREAM), bytesOf(FRAME.DATA, 0, id, framed("a"))])),
		);
		const replies = () => connection.frames.filter(({ type }) => type === FRAME.DATA).length;
		const goaway = () => connection.closed || connection.frames.some(({ type }) => type === FRAME.GOAWAY);
		await until(() => replies() === AT_ONCE || goaway());
		answered += replies();
		if (goaway()) return answered;
		const ends = ids.map((id) => (end === "reset" ? reset(id) : bytesOf(FRAME.DATA, FLAG.END_STREAM, id)));
		connection.socket.write(Buffer.concat(ends));
		if (end === "half-close") {
			const over = () =>
				connection.frames.filter(({ type, flags }) => type === FRAME.HEADERS && (flags & FLAG.END_STREAM) !== 0).length;
			await until(() => over() === AT_ONCE || goaway());
			if (goaway()) return answered;
		}
	}
	return answered;
}

t.test(`${ALL} streams over one connection, each half-closed, cause no GOAWAY`, async (t) => {
	const { socketPath, streams, server } = await startEcho(t);
	const connection = await rawConnection(t, socketPath);
	t.equal(await exchange(connection, "half-close"), ALL);
	t.notOk(connection.closed);
	await until(() => server.streams() === 0);
	t.same({ ...streams }, { opened: ALL, messages: ALL, ended: ALL });
});

t.test(`${ALL} streams over one connection, each ended by RST_STREAM, cause GOAWAY before Node 22`, async (t) => {
	const { socketPath, streams, server } = await startEcho(t);
	const connection = await rawConnection(t, socketPath);
	const answered = await exchange(connection, "reset");
	t.comment(`Node ${process.versions.node}: ${answered} answered`);
	if (NODE < 22) {
		t.ok(answered >= 1_000 && answered < ALL, `the trap: GOAWAY after ${answered} streams`);
	} else {
		t.equal(answered, ALL, "the server's own bound holds");
	}
	connection.socket.destroy();
	await until(() => server.streams() === 0);
	t.equal(streams.opened, streams.ended, "each stream gets its end event, whatever the connection does");
});
