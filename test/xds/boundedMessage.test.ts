/** Fields are counted before a message is made, wherever they stand in it. */
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import t from "tap";
import { DiscoveryRequestSchema } from "../../src/gen/envoy/service/discovery/v3/discovery_pb.js";
import { LoadStatsRequestSchema } from "../../src/gen/envoy/service/load_stats/v3/lrs_pb.js";
import { readBounded } from "../../src/xds/boundedMessage.js";

/** How many fields the message has by the count: with one fewer it is refused. */
function fieldsOf<Desc extends DescMessage>(schema: Desc, message: MessageInitShape<Desc>): number {
	const bytes = toBinary(schema, create(schema, message));
	for (let max = 0; ; max++) {
		try {
			readBounded(schema, bytes, max);
			return max;
		} catch {}
	}
}

t.test("names, what a node tells of itself, and loads are counted, each part too", (t) => {
	t.equal(fieldsOf(DiscoveryRequestSchema, { resourceNames: ["", "", "a"] }), 3);
	const metadata = { a: [1, 2], b: { c: null } };
	// node, id, metadata; two entries, their keys and values; list, two values, two numbers; struct, entry, key, value, null.
	t.equal(fieldsOf(DiscoveryRequestSchema, { node: { id: "edge", metadata } }), 3 + 6 + 5 + 5);
	const locality = { region: "r" };
	t.equal(
		fieldsOf(LoadStatsRequestSchema, {
			clusterStats: [{ clusterName: "a", upstreamLocalityStats: [{ locality, totalErrorRequests: 1n }] }],
		}),
		6,
	);
	t.end();
});

t.test("what is unknown is left out, and what is no message, or too deep, is refused", (t) => {
	const unknown = new Uint8Array([0x7a, 0x01, 0x01]);
	t.same(readBounded(DiscoveryRequestSchema, unknown, 1), create(DiscoveryRequestSchema));
	t.throws(() => readBounded(DiscoveryRequestSchema, unknown, 0));
	t.throws(() => readBounded(DiscoveryRequestSchema, new Uint8Array([0x0a, 0xff]), 10));
	let deep: unknown = 1;
	for (let depth = 0; depth < 100; depth++) deep = [deep];
	const node = { id: "edge", metadata: { deep } } as MessageInitShape<typeof DiscoveryRequestSchema>["node"];
	const bytes = toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, { node }));
	t.throws(() => readBounded(DiscoveryRequestSchema, bytes, 10_000), /in more than/);
	t.end();
});
