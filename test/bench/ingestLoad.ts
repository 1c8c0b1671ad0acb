/**
 * The load of the ingest benchmark, a separate process: `node ingestLoad.js SOCKET REQUESTS UNITS` sends two entries per
 * request in messages of about 16 KB, as Envoy does, and prints their number. REQUESTS 0 sends until the process is stopped.
 */
import { randomUUID } from "node:crypto";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { AccessLogStream } from "../observe/events/accessLogStream.js";
import { encodeEntry } from "../observe/events/rig.js";

const [socket = "", requests = "0", units = "1000"] = process.argv.slice(2);
const REQUESTS_PER_MESSAGE = 16;

/** Other fields of Envoy that Weir skips: addresses, timings, sizes, user agent; about 300 bytes. */
const IGNORED = new BinaryWriter()
	.tag(1, 2)
	.fork()
	.tag(2, 2)
	.fork()
	.tag(1, 2)
	.fork()
	.tag(2, 2)
	.string("127.0.0.1")
	.tag(3, 0)
	.uint32(43_210)
	.join()
	.join()
	.tag(6, 2)
	.fork()
	.tag(2, 0)
	.int32(123_456)
	.join()
	.tag(10, 2)
	.fork()
	.tag(2, 0)
	.int32(4_123_456)
	.join()
	.tag(26, 2)
	.string(randomUUID())
	.tag(29, 0)
	.uint64(300)
	.tag(30, 0)
	.uint64(300)
	.join()
	.tag(3, 2)
	.fork()
	.tag(3, 2)
	.string("employment.example.org")
	.tag(6, 2)
	.string("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36")
	.tag(8, 2)
	.string("203.0.113.7")
	.join()
	.finish();

function message(): Buffer {
	const writer = new BinaryWriter().tag(2, 2).fork();
	const nowMs = Date.now();
	for (let index = 0; index < REQUESTS_PER_MESSAGE; index++) {
		const unit = `user-${Math.floor(Math.random() * Number(units))}`;
		const common = { unit, requestId: randomUUID(), startMs: nowMs, cluster: "shop/v1" } as const;
		encodeEntry(writer.tag(1, 2).fork().raw(IGNORED), { ...common, kind: "start" }).join();
		encodeEntry(writer.tag(1, 2).fork().raw(IGNORED), { ...common, kind: "end", durationMs: 5 }).join();
	}
	return Buffer.from(writer.join().finish());
}

const stream = new AccessLogStream(socket);
let sent = 0;
let stopped = false;
process.once("SIGTERM", () => {
	stopped = true;
});
while (!stopped && (requests === "0" || sent < Number(requests))) {
	await stream.write(message());
	sent += REQUESTS_PER_MESSAGE;
}
await stream.end();
console.log(sent * 2);
