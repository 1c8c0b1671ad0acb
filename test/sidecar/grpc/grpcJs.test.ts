import * as grpc from "@grpc/grpc-js";
import t, { type Test } from "tap";
import { ASK, ECHO, STREAM, startEcho, until } from "./rig.js";

const identity = (bytes: Buffer): Buffer => bytes;

function client(t: Test, socketPath: string): grpc.Client {
	const made = new grpc.Client(`unix:${socketPath}`, grpc.credentials.createInsecure());
	t.teardown(() => made.close());
	return made;
}

interface Outcome {
	readonly code: number;
	readonly details: string;
	readonly message: string;
}

function invoke(
	client: grpc.Client,
	message: Buffer,
	{ path = ECHO, options = {} }: { readonly path?: string; readonly options?: grpc.CallOptions } = {},
): Promise<Outcome> {
	return new Promise((resolve) => {
		client.makeUnaryRequest(path, identity, identity, message, options, (error, response) => {
			resolve({ code: error?.code ?? 0, details: error?.details ?? "", message: response?.toString() ?? "" });
		});
	});
}

t.test("unary calls of grpc-js", async (t) => {
	const { socketPath } = await startEcho(t);
	const calling = client(t, socketPath);
	t.match(await invoke(calling, Buffer.from("hello")), { code: 0, message: "hello" });
	const many = await Promise.all(Array.from({ length: 1_000 }, (_, i) => invoke(calling, Buffer.from(`m${i}`))));
	t.same(
		many.map(({ message }) => message),
		many.map((_, i) => `m${i}`),
	);
	t.match(await invoke(calling, ASK.fail), { code: grpc.status.INVALID_ARGUMENT, details: "100 % nicht möglich\n" });
	t.match(await invoke(calling, ASK.throw), { code: grpc.status.INTERNAL, details: "internal error" });
	t.match(await invoke(calling, Buffer.from("a"), { path: "/a.B/C" }), { code: grpc.status.UNIMPLEMENTED });
	t.match(await invoke(calling, Buffer.alloc(1024 * 1024 + 1)), { code: grpc.status.RESOURCE_EXHAUSTED });
	t.match(await invoke(calling, Buffer.alloc(1024 * 1024, 0x61)), { code: 0 });
	t.match(await invoke(calling, Buffer.from("a"), { options: { deadline: Date.now() + 10_000 } }), { code: 0 });
	t.match(await invoke(calling, Buffer.from("a"), { options: { deadline: Date.now() - 1 } }), {
		code: grpc.status.DEADLINE_EXCEEDED,
	});
});

t.test("a compressing client is told that nothing compressed is taken", async (t) => {
	const { socketPath } = await startEcho(t);
	const calling = new grpc.Client(`unix:${socketPath}`, grpc.credentials.createInsecure(), {
		"grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip,
	});
	t.teardown(() => calling.close());
	t.match(await invoke(calling, Buffer.alloc(1_000)), { code: grpc.status.UNIMPLEMENTED });
});

t.test("bidirectional calls of grpc-js", async (t) => {
	const { socketPath, server, streams } = await startEcho(t);
	const calling = client(t, socketPath);
	const call = calling.makeBidiStreamRequest(STREAM, identity, identity);
	const seen: string[] = [];
	call.on("data", (message: Buffer) => seen.push(message.toString()));
	const status = new Promise<grpc.StatusObject>((resolve) => call.on("status", resolve));
	for (const word of ["one", "two"]) {
		call.write(Buffer.from(word));
		await until(() => seen.at(-1) === word);
	}
	call.end();
	t.match(await status, { code: 0 });
	const cancelled = calling.makeBidiStreamRequest(STREAM, identity, identity);
	cancelled.on("error", () => {});
	cancelled.on("data", () => cancelled.cancel());
	cancelled.write(Buffer.from("a"));
	await until(() => streams.ended === 2 && server.streams() === 0);
	t.equal(streams.messages, 3);
});
