/** grpc-js as an independent client; test/components/grpcGo does the same with grpc-go, more calls and memory. */
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

t.test("grpc-js makes unary calls", async (t) => {
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

t.test("a compressing client gets UNIMPLEMENTED", async (t) => {
	const { socketPath } = await startEcho(t);
	const calling = new grpc.Client(`unix:${socketPath}`, grpc.credentials.createInsecure(), {
		"grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip,
	});
	t.teardown(() => calling.close());
	t.match(await invoke(calling, Buffer.alloc(1_000)), { code: grpc.status.UNIMPLEMENTED });
});

t.test("grpc-js makes bidirectional calls", async (t) => {
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

t.test("grpc-js half-closes and cancels many streams at once", async (t) => {
	const { socketPath, server, streams } = await startEcho(t);
	const calling = client(t, socketPath);
	const once = (isGivenUp: boolean): Promise<number> =>
		new Promise((resolve) => {
			const call = calling.makeBidiStreamRequest(STREAM, identity, identity);
			call.on("error", () => {});
			call.on("data", () => (isGivenUp ? call.cancel() : undefined));
			call.on("status", ({ code }: grpc.StatusObject) => resolve(code));
			call.write(Buffer.from("a"));
			if (!isGivenUp) call.end();
		});
	const codes = await Promise.all(Array.from({ length: 400 }, (_, index) => once(index % 4 === 0)));
	t.equal(codes.filter((code) => code === grpc.status.OK).length, 300);
	t.equal(codes.filter((code) => code === grpc.status.CANCELLED).length, 100);
	await until(() => server.streams() === 0);
	t.same({ ...streams }, { opened: 400, messages: 400, ended: 400 });
});

t.test("grpc-js sends large metadata, and its deadline passes while a stream is open", async (t) => {
	const { socketPath, server } = await startEcho(t);
	const calling = client(t, socketPath);
	const metadata = new grpc.Metadata();
	metadata.set("x-large", "m".repeat(8_000));
	const code = await new Promise((resolve) => {
		calling.makeUnaryRequest(ECHO, identity, identity, Buffer.from("a"), metadata, (error) =>
			resolve(error?.code ?? 0),
		);
	});
	t.equal(code, 0);
	const open = calling.makeBidiStreamRequest(STREAM, identity, identity, { deadline: Date.now() + 50 });
	open.on("error", () => {});
	const ended = new Promise<grpc.StatusObject>((resolve) => open.on("status", resolve));
	open.resume();
	t.match(await ended, { code: grpc.status.DEADLINE_EXCEEDED });
	await until(() => server.streams() === 0);
});
