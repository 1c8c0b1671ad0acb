/**
 * Child process of the native and callout benchmarks: an access log service and trace collector that discards everything, so
 * that only Envoy's cost is measured. Its argument is the UNIX socket.
 */
import { createServer } from "node:http2";

/** gRPC frame of an empty message: the answer of both services. */
const EMPTY_MESSAGE = Buffer.alloc(5);

const server = createServer();
server.on("stream", (stream) => {
	stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
	stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
	stream.on("end", () => stream.end(EMPTY_MESSAGE));
	stream.on("error", () => {});
	stream.resume();
});
server.listen(process.argv[2], () => process.send?.("ready"));
process.on("disconnect", () => process.exit(0));
