/** CheckRequest bytes are read lazily with the result of protobuf-es, or fail closed. */
import {
	clone,
	create,
	createFileRegistry,
	type DescFile,
	type DescMessage,
	fromBinary,
	type MessageInitShape,
	toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import t from "tap";
import { isWorkloadId } from "../../../src/declare/resources/spiffe.js";
import { type CheckRequest, CheckRequestSchema } from "../../../src/gen/envoy/service/auth/v3/external_auth_pb.js";
import { CheckRequestReader } from "../../../src/publish/sidecar/checkRequest.js";
import { Malformed } from "../../../src/publish/sidecar/protoReader.js";
import { mulberry32 } from "../../envoy/units.js";

type Attributes = NonNullable<MessageInitShape<typeof CheckRequestSchema>["attributes"]>;

const bytesOf = (attributes: Attributes): Buffer =>
	Buffer.from(toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes })));
const raw = (key: string, value: string) => ({ key, rawValue: Buffer.from(value, "latin1") });

/** The fields that the sidecar reads, in messages with more fields. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
	AttributeContext: ["source", "request", "context_extensions"],
	Peer: ["principal"],
	Request: ["http"],
	HttpRequest: ["method", "headers", "header_map", "path", "host", "scheme"],
};

/** CheckRequest with these fields only, so that protobuf-es ignores the others too. */
function neededSchema(): DescMessage {
	const files = new Map<string, DescFile>();
	const collect = (file: DescFile): void => {
		for (const dependency of file.dependencies) collect(dependency);
		files.set(file.name, file);
	};
	collect(CheckRequestSchema.file);
	const file = [...files.values()].map(({ proto }) => {
		const own = clone(FileDescriptorProtoSchema, proto);
		const messages = own.messageType.flatMap((message) => [message, ...message.nestedType]);
		for (const message of own.package === "envoy.service.auth.v3" ? messages : []) {
			const needed = NEEDED[message.name];
			if (needed !== undefined) message.field = message.field.filter(({ name }) => needed.includes(name));
		}
		return own;
	});
	const found = createFileRegistry(create(FileDescriptorSetSchema, { file })).getMessage(CheckRequestSchema.typeName);
	if (found === undefined) throw new Error("no CheckRequest");
	return found;
}

const NEEDED_SCHEMA = neededSchema();

/** The fields read of a message, as plain values. */
interface Seen {
	readonly plan: string | null;
	readonly service: string | null;
	readonly assigned: unknown;
	readonly exposeArm: boolean;
	readonly host: string;
	readonly method: string;
	readonly path: string;
	readonly principal: string | null;
	readonly secure: boolean;
	readonly values: readonly (readonly string[])[];
	readonly joined: readonly (string | null)[];
}

const NAMES = ["x-user-id", "cookie", "x-weir-arm", "x-forwarded-proto", "x", ""];
const reader = new CheckRequestReader();

function ours(message: Buffer): Seen | null {
	try {
		const asked = reader.read(message);
		const { plan, service, assigned, exposeArm, host, method, path, principal, secure } = asked;
		return {
			...{ plan, service, assigned, exposeArm, host, method, path, principal, secure },
			values: NAMES.map((name) => asked.headerValues(name)),
			joined: NAMES.map((name) => asked.header(name)),
		};
	} catch (error) {
		if (error instanceof Malformed) return null;
		throw error;
	}
}

/** The oracle: protobuf-es, then plain JavaScript. null = it refuses the bytes, or they have no HTTP request. */
function theirs(message: Buffer): Seen | "text" | null {
	let decoded: CheckRequest;
	try {
		decoded = fromBinary(NEEDED_SCHEMA, message) as CheckRequest;
	} catch (error) {
		// Text that is not UTF-8: the sidecar keeps the bytes.
		return /utf-?8|encoded data was not valid/i.test(String(error)) ? "text" : null;
	}
	const { source, request, contextExtensions = {} } = decoded.attributes ?? {};
	const http = request?.http;
	if (http === undefined) return null;
	const bytes = (text: string): string => Buffer.from(text, "utf8").toString("latin1");
	const list = http.headerMap?.headers ?? [];
	const entries =
		list.length > 0
			? list.map(({ key, value, rawValue }) => {
					const own = rawValue.length > 0 ? Buffer.from(rawValue).toString("latin1") : bytes(value);
					return [bytes(key), own] as const;
				})
			: Object.entries(http.headers).map(([key, value]) => [bytes(key), bytes(value)] as const);
	const fold = (key: string): string =>
		list.length > 0 ? key.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : key;
	const values = (name: string) => entries.filter(([key]) => fold(key) === name).map(([, value]) => value);
	const context = (key: string): string | null => (contextExtensions[key] ? bytes(contextExtensions[key]) : null);
	const variant = context("weir-variant");
	const joined = (name: string): string | null => (values(name).length === 0 ? null : values(name).join(","));
	return {
		plan: context("weir-plan"),
		service: context("weir-service"),
		assigned: variant === null ? null : { experiment: context("weir-experiment"), arm: context("weir-arm"), variant },
		exposeArm: context("weir-expose") === "1",
		host: bytes(http.host),
		method: bytes(http.method),
		path: bytes(http.path),
		principal: isWorkloadId(source?.principal ?? "") ? (source?.principal ?? "") : null,
		secure: (joined("x-forwarded-proto") ?? bytes(http.scheme)).toLowerCase() === "https",
		values: NAMES.map(values),
		joined: NAMES.map(joined),
	};
}

const EXAMPLE: Attributes = {
	source: { principal: "spiffe://weir.test/alice" },
	request: {
		time: { seconds: 1_790_000_000n },
		http: {
			method: "POST",
			path: "/v2/models?x=1",
			host: "shop.test:80",
			scheme: "http",
			size: -1n,
			headerMap: {
				headers: [
					raw("x-user-id", "u1"),
					raw("cookie", "a=b"),
					raw("cookie", "wid=\xe9"),
					raw("x-forwarded-proto", "https"),
				],
			},
		},
	},
	contextExtensions: { "weir-plan": "00ff", "weir-service": "shop", "weir-expose": "1", other: "x" },
};

t.test("all that the plan needs is read, with repeated headers separate and bytes unchanged", async (t) => {
	t.same(ours(bytesOf(EXAMPLE)), {
		plan: "00ff",
		service: "shop",
		assigned: null,
		exposeArm: true,
		host: "shop.test:80",
		method: "POST",
		path: "/v2/models?x=1",
		principal: "spiffe://weir.test/alice",
		secure: true,
		values: [["u1"], ["a=b", "wid=\xe9"], [], ["https"], [], []],
		joined: ["u1", "a=b,wid=\xe9", null, "https", null, null],
	});
	const native = { "weir-variant": "v2", "weir-experiment": "e", "weir-arm": "a" };
	const http = { headers: { "x-user-id": "u1, u2", "x-weir-arm": "forged" }, scheme: "https" };
	const asked = ours(bytesOf({ request: { http }, contextExtensions: native }));
	t.match(asked, { assigned: { experiment: "e", arm: "a", variant: "v2" }, principal: null, secure: true });
	t.same(asked?.joined, ["u1, u2", null, "forged", null, null, null], "the map form");
	t.same(ours(bytesOf({ request: { http }, contextExtensions: { "weir-variant": "v1" } }))?.assigned, {
		experiment: null,
		arm: null,
		variant: "v1",
	});
	t.equal(reader.read(bytesOf({ request: { http: {} } })).header("x-user-id"), null, "nothing of the last message");
});

t.test("headers that only Weir may set are reported in upper or lower case", async (t) => {
	const headers = [
		raw("x-weir-arm", "1"),
		raw("X-Weir-Param-T", "2"),
		raw("x-weird", "3"),
		raw("x-weir-", ""),
		raw("weir", ""),
	];
	const asked = reader.read(
		bytesOf({ request: { http: { headerMap: { headers: [...headers, ...headers.slice(0, 1)] } } } }),
	);
	t.same(asked.weirHeaders, ["x-weir-arm", "x-weir-param-t", "x-weir-", "x-weir-arm"]);
	t.same(reader.read(bytesOf(EXAMPLE)).weirHeaders, []);
});

t.test("a truncated message, or one without a request, gets no answer", async (t) => {
	const whole = bytesOf(EXAMPLE);
	for (let length = 0; length < whole.length; length++) {
		const cut = whole.subarray(0, length);
		const [mine, other] = [ours(cut), theirs(cut)];
		if (mine !== null) t.same(mine, other, `${length} bytes`);
	}
	t.equal(ours(Buffer.alloc(0)), null);
	t.equal(ours(bytesOf({ source: { principal: "spiffe://weir.test/alice" } })), null);
	const field = (number: number, type: number, ...rest: number[]) => Buffer.from([(number << 3) | type, ...rest]);
	const http = bytesOf({ request: { http: { method: "GET" } } });
	const after = (...bytes: readonly Buffer[]) => ours(Buffer.concat([http, ...bytes]));
	t.equal(after()?.method, "GET");
	t.equal(after(field(9, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01))?.method, "GET", "64 bits");
	t.equal(after(field(9, 3), field(8, 3), field(8, 4), field(9, 4))?.method, "GET", "groups");
	t.equal(after(field(9, 1, 1, 2, 3, 4, 5, 6, 7, 8), field(9, 5, 1, 2, 3, 4))?.method, "GET", "fixed");
	t.equal(after(field(9, 2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00))?.method, "GET", "an overlong length of nothing");
	for (const [name, bytes] of Object.entries({
		"11 bytes of varint": field(9, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01),
		"a length of 2³²": field(9, 2, 0x80, 0x80, 0x80, 0x80, 0x10),
		"a length beyond the end": field(9, 2, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"field 0": field(0, 0, 0),
		"a tag of more than 32 bits": Buffer.from([0x88, 0x80, 0x80, 0x80, 0x10, 0x00]),
		"a group that does not end": field(9, 3),
		"a group that ends another": Buffer.concat([field(9, 3), field(8, 4)]),
		"an end without a group": field(9, 4),
		"wire type 6": field(9, 6),
		"attributes of another wire type": field(1, 0, 0),
		"groups without end": Buffer.alloc(200_000, field(9, 3)),
		"half a fixed64": field(9, 1, 0),
	})) {
		t.equal(after(bytes), null, name);
	}
	// A header with a length beyond the end of its map, although the message goes on.
	const overrun = Buffer.concat([Buffer.from([0x0a, 0x06, 0x22, 0x04, 0x12, 0x02, 0x12, 0x05]), Buffer.from("GETxx")]);
	t.equal(ours(overrun), null, "a value that overruns its message");
});

/** Wire bytes in any encoding that the format allows. */
function wireOf(random: () => number): Buffer {
	const below = (count: number): number => Math.floor(random() * count);
	const pick = <T>(of: readonly T[]): T => of[below(of.length)] as T;
	const varint = (value: number): Buffer => {
		const bytes: number[] = [];
		for (let rest = value; ; rest >>>= 7) {
			bytes.push(rest & 0x7f);
			if (rest <= 0x7f) break;
		}
		// Overlong: zeros at the end, up to ten bytes.
		if (below(12) === 0) while (bytes.length < 1 + below(10)) bytes.push(0);
		return Buffer.from(bytes.map((byte, index) => (index < bytes.length - 1 ? byte | 0x80 : byte)));
	};
	const tag = (number: number, type: number): Buffer => Buffer.from([(number << 3) | type]);
	const field = (number: number, content: Buffer): Buffer =>
		number > 15
			? Buffer.concat([
					Buffer.from([(((number << 3) | 2) & 0x7f) | 0x80, number >> 4]),
					varint(content.length),
					content,
				])
			: Buffer.concat([tag(number, 2), varint(content.length), content]);
	const text = (): Buffer =>
		Buffer.from(pick(["", "u1", "a=b; wid=1", "é", "spiffe://weir.test/a", "GET", "/v2;x", "x".repeat(below(300))]));
	const unknown = (): Buffer =>
		pick([
			() => Buffer.concat([tag(14, 0), varint(below(2 ** 31))]),
			() => Buffer.concat([tag(14, 1), Buffer.alloc(8, 1)]),
			() => Buffer.concat([tag(14, 5), Buffer.alloc(4, 1)]),
			() => Buffer.concat([tag(14, 3), unknown(), tag(14, 4)]),
			() => field(15, text()),
			() => Buffer.from([0x70, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
			() => field(200, text()),
		])();
	const message = (...parts: readonly (() => Buffer)[]): Buffer =>
		Buffer.concat(Array.from({ length: below(parts.length * 2) }, () => (below(8) === 0 ? unknown() : pick(parts)())));
	const header = (): Buffer => {
		const key = () => field(1, Buffer.from(pick(NAMES)));
		return message(
			key,
			key,
			() => field(2, text()),
			() => field(3, text()),
		);
	};
	// No unknown field in an entry of a map: protobuf-es does not skip it.
	const entry = (keys: readonly string[]) => (): Buffer => {
		const key = () => field(1, Buffer.from(pick(keys)));
		const parts = [key, key, () => field(2, text()), () => field(2, Buffer.from("1"))];
		return Buffer.concat(Array.from({ length: below(5) }, () => pick(parts)()));
	};
	const context = entry([
		"weir-plan",
		"weir-service",
		"weir-expose",
		"weir-variant",
		"weir-arm",
		"weir-experiment",
		"x",
	]);
	const useMap = below(3) === 0;
	const http = (): Buffer =>
		message(
			...[2, 4, 5, 6].map((number) => () => field(number, text())),
			...(useMap
				? [() => field(3, entry(NAMES)())]
				: [
						() =>
							field(
								13,
								message(() => field(1, header())),
							),
					]),
		);
	const attributes = (): Buffer =>
		message(
			() =>
				field(
					1,
					message(() => field(4, text())),
				),
			() =>
				field(
					4,
					message(() => field(2, http())),
				),
			() =>
				field(
					4,
					message(() => field(2, http())),
				),
			() => field(10, context()),
		);
	return message(
		() => field(1, attributes()),
		() => field(1, attributes()),
	);
}

t.test("10,000 valid messages in any encoding are read as protobuf-es reads them", async (t) => {
	const random = mulberry32(4);
	let asked = 0;
	for (let round = 0; round < 10_000; round++) {
		const message = wireOf(random);
		const [mine, other] = [ours(message), theirs(message)];
		if (other !== null) asked++;
		if (JSON.stringify(mine) === JSON.stringify(other)) continue;
		t.same(mine, other, message.toString("hex"));
		return;
	}
	t.ok(asked > 2_000, `${asked} of them ask about a request`);
});

t.test("20,000 invalid messages are read as protobuf-es reads them, or refused with a known error", async (t) => {
	const random = mulberry32(11);
	const below = (count: number): number => Math.floor(random() * count);
	let read = 0;
	let refused = 0;
	for (let round = 0; round < 20_000; round++) {
		const message = Buffer.from(below(4) === 0 ? bytesOf(EXAMPLE) : wireOf(random));
		for (let change = 1 + below(3); change > 0 && message.length > 0; change--) {
			message[below(message.length)] = below(3) === 0 ? 0xff : below(256);
		}
		const cut = below(4) === 0 ? message.subarray(0, below(message.length + 1)) : message;
		const mine = ours(cut);
		if (mine === null) {
			refused++;
			continue;
		}
		const other = theirs(cut);
		if (other === "text") continue;
		read++;
		if (JSON.stringify(mine) === JSON.stringify(other)) continue;
		t.same(mine, other, cut.toString("hex"));
		if (!t.passing()) return;
	}
	t.ok(read > 1_000 && refused > 5_000, `${read} read, ${refused} refused`);
});
