/** gRPC is the same directly and through Envoy: bidirectional streams, metadata, trailers and errors. */
import {
	Client,
	credentials,
	Metadata,
	type MethodDefinition,
	Server,
	ServerCredentials,
	type ServerDuplexStream,
	type StatusObject,
	status,
} from "@grpc/grpc-js";
import t from "tap";
import { type CompileOptions, compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { accessPolicy, experiment, PATIENT, resourceSet, service, variant } from "../fixtures/resources.js";
import { startSidecar } from "../publish/sidecar/rig.js";
import { bootstrapOf, type RunningEnvoy, startEnvoy } from "./harness.js";

const identity = (bytes: Buffer): Buffer => bytes;
const chat: MethodDefinition<Buffer, Buffer> = {
	path: "/existing.Chat/Talk",
	requestStream: true,
	responseStream: true,
	requestSerialize: identity,
	requestDeserialize: identity,
	responseSerialize: identity,
	responseDeserialize: identity,
};

const server = new Server();
server.addService(
	{ talk: chat },
	{
		talk(stream: ServerDuplexStream<Buffer, Buffer>) {
			const initial = new Metadata();
			initial.set("x-greeting", "hello");
			stream.sendMetadata(initial);
			let count = 0;
			stream.on("data", (message: Buffer) => {
				count++;
				if (message.toString() === "fail") {
					const trailers = new Metadata();
					trailers.set("x-count", String(count));
					trailers.set("detail-bin", Buffer.from([0, 255, 1]));
					stream.emit("error", { code: status.FAILED_PRECONDITION, details: "as asked: naïve", metadata: trailers });
					return;
				}
				stream.write(Buffer.from(`${count}:${message.length}`));
			});
			stream.on("end", () => {
				const trailers = new Metadata();
				trailers.set("x-count", String(count));
				trailers.set("x-authority", stream.getHost());
				stream.end(trailers);
			});
		},
	},
);
const port = await new Promise<number>((resolve, reject) => {
	server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
		error === null ? resolve(bound) : reject(error),
	);
});
t.teardown(() => server.forceShutdown());

const variants = [variant("v1", port), variant("v2", port)];
const resources = (guarded: boolean) =>
	resourceSet({
		services: [
			service("off", variants, { protocol: "grpc" }),
			service("on", variants, { protocol: "grpc", callout: PATIENT }),
			// So that the Gateway has all filters of a protected one, and their limits.
			...(guarded ? [service("guarded", variants, { access: null })] : []),
		],
		...(guarded ? { accessPolicies: [accessPolicy("some", "allow", ["guarded"], { principals: ["*"] })] } : {}),
		experiments: [experiment("e", "on", [1, 1], { stepsPpm: [1_000_000] })],
	});

async function through(form: Pick<CompileOptions, "mode" | "protocol">, guarded = false): Promise<RunningEnvoy> {
	const plan = compile(resources(guarded), EMPTY_STATUS, { collectors: NO_COLLECTORS, ...form });
	const sidecar = plan.asksSidecar ? await startSidecar(t, plan) : null;
	return startEnvoy(t, bootstrapOf(plan, undefined, sidecar?.socketPath ?? null));
}

const envoy = await through({});
const beside = await through({}, true);
const byAuthz = await through({ mode: "callout", protocol: "ext_authz" });
const byProc = await through({ mode: "callout", protocol: "ext_proc" });
const ways = {
	direct: { port, host: "direct.test" },
	off: { port: envoy.port(), host: "off.test" },
	on: { port: envoy.port(), host: "on.test" },
	"beside a protected Service": { port: beside.port(), host: "off.test" },
	"by ext_authz": { port: byAuthz.port(), host: "on.test" },
	"by ext_proc": { port: byProc.port(), host: "on.test" },
};

for (const [name, way] of Object.entries(ways)) {
	t.test(
		`${name}: a bidirectional stream is answered message by message, with its metadata and trailers`,
		async (t) => {
			const client = new Client(`127.0.0.1:${way.port}`, credentials.createInsecure(), {
				"grpc.default_authority": way.host,
			});
			t.teardown(() => client.close());
			const talk = () => {
				const metadata = new Metadata();
				metadata.set("x-user-id", "alice");
				return client.makeBidiStreamRequest(chat.path, identity, identity, metadata);
			};
			const stream = talk();
			const initial = new Promise<Metadata>((resolve) => stream.once("metadata", resolve));
			const final = new Promise<StatusObject>((resolve) => stream.once("status", resolve));
			for (const [index, size] of [1, 10, 1_000_000].entries()) {
				const answer = new Promise<Buffer>((resolve) => stream.once("data", resolve));
				stream.write(Buffer.alloc(size));
				// Each answer comes before the next message is sent: nothing in between waits for the end.
				t.equal((await answer).toString(), `${index + 1}:${size}`);
			}
			const ended = new Promise<void>((resolve) => stream.once("end", resolve));
			stream.resume();
			stream.end();
			await ended;
			t.same((await initial).get("x-greeting"), ["hello"]);
			const done = await final;
			t.equal(done.code, status.OK);
			t.same(done.metadata.get("x-count"), ["3"], "trailers");
			t.same(done.metadata.get("x-authority"), [way.host], "the authority is the client's");

			const failing = talk();
			failing.on("error", () => {});
			const failed = new Promise<StatusObject>((resolve) => failing.once("status", resolve));
			failing.resume();
			failing.write(Buffer.from("fail"));
			const result = await failed;
			t.equal(result.code, status.FAILED_PRECONDITION);
			t.equal(result.details, "as asked: naïve");
			t.same(result.metadata.get("detail-bin"), [Buffer.from([0, 255, 1])], "binary trailers");
			failing.cancel();
		},
	);
}
