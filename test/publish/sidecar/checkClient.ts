/** A client of the sidecar's ext_authz with a connection of its own: the primary chooses its worker. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import type { AttributeContext_HttpRequestSchema } from "../../../src/gen/envoy/service/auth/v3/attribute_context_pb.js";
import {
	CheckRequestSchema,
	type CheckResponse,
	CheckResponseSchema,
} from "../../../src/gen/envoy/service/auth/v3/external_auth_pb.js";
import { CHECK } from "../../../src/publish/sidecar/methods.js";

export interface CheckClient {
	/** @param principal SPIFFE id of the caller; none by default */
	check(http: MessageInitShape<typeof AttributeContext_HttpRequestSchema>, principal?: string): Promise<CheckResponse>;
	close(): void;
}

export function checkClient(socketPath: string): CheckClient {
	const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
		"grpc.use_local_subchannel_pool": 1,
	});
	const same = (message: Buffer): Buffer => message;
	return {
		async check(http, principal = "") {
			const request = create(CheckRequestSchema, { attributes: { source: { principal }, request: { http } } });
			const asked = Buffer.from(toBinary(CheckRequestSchema, request));
			const bytes = await new Promise<Buffer>((resolve, reject) => {
				client.makeUnaryRequest(CHECK, same, same, asked, (error, answer) =>
					answer === undefined ? reject(error) : resolve(answer),
				);
			});
			return fromBinary(CheckResponseSchema, bytes);
		},
		close: () => client.close(),
	};
}
