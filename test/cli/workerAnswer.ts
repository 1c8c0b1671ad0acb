/** A call by ext_authz, and the plan by which a sidecar answers it. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Client } from "@grpc/grpc-js";
import { CheckRequestSchema, CheckResponseSchema } from "../../src/gen/envoy/service/auth/v3/external_auth_pb.js";
import { CHECK } from "../../src/sidecar/methods.js";

/** Of the Service at `small.test`; rejects where there is no answer. */
export async function planOf(client: Client): Promise<unknown> {
	const http = { method: "GET", path: "/", host: "small.test" };
	const request = create(CheckRequestSchema, { attributes: { request: { http } } });
	const same = (message: Buffer): Buffer => message;
	const bytes = await new Promise<Buffer>((resolve, reject) => {
		const asked = Buffer.from(toBinary(CheckRequestSchema, request));
		client.makeUnaryRequest(CHECK, same, same, asked, (error, answer) =>
			answer === undefined ? reject(error) : resolve(answer),
		);
	});
	return fromBinary(CheckResponseSchema, bytes).dynamicMetadata?.plan;
}
