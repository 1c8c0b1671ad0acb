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

t.test("a field in another form than the schema's is refused: the decoder would read it as the schema says", (t) => {
	const names = new Uint8Array(200).fill(0).map((_, at) => (at % 2 === 0 ? 0x1a : 0));
	const bytesOf = (...parts: readonly (readonly number[] | Uint8Array)[]) =>
		new Uint8Array(parts.flatMap((part) => [...part]));
	// node as a varint, which the decoder takes for its length; what it descends into is in one name, for the count.
	t.throws(() => readBounded(DiscoveryRequestSchema, bytesOf([0x10, 0x02, 0x1a, 0x00]), 100), /another type/);
	// error_detail whose code is told as bytes: the decoder takes the length for the code, and the content for fields.
	const detail = bytesOf([0x0a, 0xc8, 0x01], names);
	const evil = bytesOf([0x32, 0xcb, 0x01], detail);
	t.throws(() => readBounded(DiscoveryRequestSchema, evil, 100), /another type/);
	// node, its metadata, an entry of it.
	const entry = (...parts: readonly number[]) =>
		bytesOf([0x12, parts.length + 4, 0x1a, parts.length + 2, 0x0a, parts.length], parts);
	const read = (...parts: readonly number[]) => readBounded(DiscoveryRequestSchema, entry(...parts), 100);
	t.same(read(0x0a, 0x01, 0x61, 0x12, 0x02, 0x08, 0x00).node?.metadata, { a: null });
	t.throws(() => read(0x08, 0x01), /another type/, "a key as a number");
	t.throws(() => read(0x10, 0x02, 0x08, 0x00), /another type/, "a value as a number");
	// The decoder skips no unknown field there: what is in it is read as more of the entry.
	t.throws(() => read(0x1a, 0x04, 0x12, 0x02, 0x08, 0x00), /another type/);
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
