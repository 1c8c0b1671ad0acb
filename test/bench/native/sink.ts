/**
 * Child process of the native benchmark: an access log service that reads and forgets, so that the cost measured
 * at Envoy is Envoy's. Its argument is the UNIX socket.
 */
import { createServer } from "node:http2";

const server = createServer();
server.on("stream", (stream) => {
	stream.respond({ ":status": 200, "content-type": "application/grpc" });
	stream.resume();
	stream.on("error", () => {});
});
server.listen(process.argv[2], () => process.send?.("ready"));
process.on("disconnect", () => process.exit(0));
