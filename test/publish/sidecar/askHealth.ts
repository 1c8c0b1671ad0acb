import { Client, credentials } from "@grpc/grpc-js";

/** grpc.health.v1.HealthCheckResponse.status of the sidecar: 1 SERVING, 2 NOT_SERVING. */
export function askHealth(socketPath: string): Promise<number | undefined> {
	const client = new Client(`unix:${socketPath}`, credentials.createInsecure());
	return new Promise<Buffer>((resolve, reject) => {
		client.makeUnaryRequest(
			"/grpc.health.v1.Health/Check",
			(bytes: Buffer) => bytes,
			(bytes: Buffer) => bytes,
			Buffer.alloc(0),
			(error, answer) => (answer === undefined ? reject(error) : resolve(answer)),
		);
	})
		.then((answer) => answer[1])
		.finally(() => client.close());
}
