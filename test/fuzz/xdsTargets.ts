/** Input of control from Envoys and sidecars on their ADS streams. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
	type DiscoveryRequest,
	DiscoveryRequestSchema,
} from "../../src/gen/envoy/service/discovery/v3/discovery_pb.js";
import { TYPE_URLS } from "../../src/publish/xds/resource.js";
import { readRequest, typeOf } from "../../src/publish/xds/service.js";
import { ClientStream } from "../../src/publish/xds/stream.js";
import { closedServices } from "../publish/xds/adsClient.js";
import { A, snapshot } from "../publish/xds/script.js";
import { refusing, type Target } from "./target.js";

const target = snapshot({ a: A });
const message = (request: Parameters<typeof create<typeof DiscoveryRequestSchema>>[1]): Buffer =>
	Buffer.from(toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, request)));

const tables = { node: { id: "weir-sidecar/1" }, typeUrl: TYPE_URLS.tables, resourceNames: ["plan"] };
const answered = { ...tables, responseNonce: "1", versionInfo: target.versions.tables };

/** As connection.ts does; gRPC has already refused invalid messages. */
function discoveryRequest(input: Buffer): void {
	let request: DiscoveryRequest | null = null;
	refusing([Error], () => {
		request = fromBinary(DiscoveryRequestSchema, input);
	});
	const type = request === null ? null : typeOf(request);
	if (request === null || type === null) return;
	const stream = new ClientStream(1_000);
	stream.take({ type, version: "", nonce: "", names: ["plan", "a/v1", "weir/edge"], error: null });
	stream.next(target, 0);
	stream.take(readRequest(request, type));
	stream.next(target, 0);
	stream.status(target);
}

export const XDS_TARGETS: readonly Target[] = [
	{
		name: "discovery-request",
		seeds: [
			message(tables),
			message({ ...answered, errorDetail: { code: 3, message: "Service a: no" } }),
			message({
				...answered,
				errorDetail: { code: 3, details: [closedServices({ services: [{ name: "a", why: "no" }] })] },
			}),
			message({ node: { id: "edge" }, typeUrl: TYPE_URLS.listeners, resourceNames: ["*", "edge"] }),
		],
		weight: 1,
		run: discoveryRequest,
	},
];
