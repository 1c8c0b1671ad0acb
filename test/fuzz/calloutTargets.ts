/** Input of the sidecar from Envoy, and control's table. The caller is unknown: no input may be allowed. */

import type { IncomingHttpHeaders } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { canonicalFault } from "../../src/compile/access/requests/canonical.js";
import { contentHash } from "../../src/compile/assignment/hash.js";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { CONTEXT } from "../../src/compile/envoy/calloutContext.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { WeirError } from "../../src/error.js";
import { CheckRequestSchema, CheckResponseSchema } from "../../src/gen/envoy/service/auth/v3/external_auth_pb.js";
import {
	ProcessingRequestSchema,
	ProcessingResponseSchema,
} from "../../src/gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { CheckRequestReader, thumbprint } from "../../src/publish/sidecar/checkRequest.js";
import { type CompiledTable, compileTable } from "../../src/publish/sidecar/compiledTable.js";
import { routeContext } from "../../src/publish/sidecar/context.js";
import { cookieValue } from "../../src/publish/sidecar/cookie.js";
import { MessageReader, PartialBytes } from "../../src/publish/sidecar/grpc/framing.js";
import { GrpcFailure } from "../../src/publish/sidecar/grpc/service.js";
import { CHECK, PROCESS, sidecarMethods } from "../../src/publish/sidecar/methods.js";
import { Malformed } from "../../src/publish/sidecar/protoReader.js";
import { readTable, tableJson } from "../../src/publish/sidecar/tableReader.js";
import { Tables } from "../../src/publish/sidecar/tables.js";
import { accessPolicy, experiment, gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { NOBODY_ASKED } from "../publish/sidecar/question.js";
import { never, refusing, type Target, text } from "./target.js";

const FRIEND = "spiffe://weir.test/9f2c71d0a3";
const STRANGER = "spiffe://weir.test/mallory";

const variants = [variant("v1", 1), variant("v2", 2)];
const plan = compile(
	resourceSet({
		gateways: [gateway()],
		services: [service("guarded", variants, { access: null })],
		experiments: [experiment("e", "guarded", [1, 1], { stepsPpm: [1_000_000] })],
		accessPolicies: [
			accessPolicy("friend", "allow", ["guarded"], { principals: [FRIEND], pathPrefixes: ["/v2"], methods: ["GET"] }),
			accessPolicy("no-v2", "deny", ["guarded"], { variants: ["v2"] }),
		],
	}),
	EMPTY_STATUS,
	{ collectors: NO_COLLECTORS, mode: "callout" },
);
const tables = new Tables<CompiledTable>({ compile: compileTable });
tables.put(plan);
tables.confirm();
const methods = sidecarMethods({ tables, freshness: tables, mint: () => "minted", ...NOBODY_ASKED });

const context = { [CONTEXT.plan]: plan.version, [CONTEXT.service]: "guarded", [CONTEXT.gateway]: "edge" };
const raw = (key: string, value: string) => ({ key, rawValue: Buffer.from(value, "latin1") });
const HEADERS = [
	raw("x-user-id", "u1"),
	raw("authorization", "Bearer a.b.c"),
	raw("dpop", "a.b.c"),
	raw("cookie", "a=1; weir=u2"),
	raw("x-forwarded-proto", "https"),
	raw("x-weir-arm", "e/arm1"),
];

const checkRequest = Buffer.from(
	toBinary(
		CheckRequestSchema,
		create(CheckRequestSchema, {
			attributes: {
				source: { principal: STRANGER },
				request: {
					http: {
						method: "GET",
						path: "/v2/models",
						host: "guarded.test",
						scheme: "https",
						headerMap: { headers: HEADERS },
					},
				},
				contextExtensions: context,
			},
		}),
	),
);

const processingRequest = Buffer.from(
	toBinary(
		ProcessingRequestSchema,
		create(ProcessingRequestSchema, {
			request: {
				case: "requestHeaders",
				value: {
					headers: {
						headers: [
							raw(":method", "GET"),
							raw(":path", "/v2/models"),
							raw(":authority", "guarded.test"),
							raw(":scheme", "https"),
							...HEADERS,
						],
					},
				},
			},
			attributes: { "envoy.filters.http.ext_proc": { "connection.uri_san_peer_certificate": STRANGER } },
		}),
	),
);

const streamMetadata: IncomingHttpHeaders = context;

async function check(input: Buffer): Promise<void> {
	const method = methods.get(CHECK);
	if (method?.kind !== "unary") throw new Error("no such method");
	const reply = await method.handle(Buffer.from(input), {});
	if (reply instanceof GrpcFailure) return;
	const { status, httpResponse } = fromBinary(CheckResponseSchema, reply);
	if ((status?.code ?? 0) === 0 || httpResponse.case === "okResponse") never("a CheckRequest");
}

async function process(input: Buffer): Promise<void> {
	const method = methods.get(PROCESS);
	if (method?.kind !== "stream") throw new Error("no such method");
	const stream = method.open(streamMetadata);
	// A second message of the same stream must not get the answer of another one.
	for (const message of [input, processingRequest]) {
		const reply = await stream.message(Buffer.from(message));
		if (reply instanceof GrpcFailure) break;
		const { response, dynamicMetadata } = fromBinary(ProcessingResponseSchema, reply);
		const metadata = JSON.stringify(dynamicMetadata ?? {});
		if (response.case === "requestHeaders" && metadata.includes('"allow"')) never("a ProcessingRequest");
	}
	stream.ended();
}

function questions(input: Buffer): void {
	refusing([Malformed], () => {
		const reader = new CheckRequestReader();
		const question = reader.read(Buffer.from(input));
		canonicalFault(question);
		for (const name of ["authorization", "cookie", "x-user-id"]) question.headerValues(name);
		cookieValue(question.headerValues("cookie"), "weir");
		void question.weirHeaders;
		void question.secure;
	});
}

/** Path parts that a lenient server decodes, merges or drops. */
const AMBIGUOUS_PATH = /\/\/|\/\.\.?(?:\/|$)|[;\\\0]|[^!-~]/;

function canonical(input: Buffer): void {
	const [method = "", path = "", host = "", ...headers] = text(input).split("\n");
	const pairs = headers.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)] as const);
	const fault = canonicalFault({
		method,
		path,
		host,
		headerValues: (name) => pairs.filter(([key]) => key === name).map(([, value]) => value),
	});
	if (fault !== null) return;
	const plain = path.replace(/\?.*$/s, "");
	if (!plain.startsWith("/") || AMBIGUOUS_PATH.test(plain) || /%(?![0-9a-f]{2})|%2f|%5c|%3b|%00/i.test(plain))
		never(`the path ${JSON.stringify(plain)}`);
	if (/[\s,@/\\?#]/.test(host) || !/^[!-~]+$/.test(host)) never(`the host ${JSON.stringify(host)}`);
	if (!/^[A-Z][A-Z0-9-]*$/.test(method) || method === "TRACE") never(`the method ${JSON.stringify(method)}`);
	const values = (name: string): readonly string[] => pairs.filter(([key]) => key === name).map(([, value]) => value);
	if (values("dpop").length > 1) never("two proofs");
	if (values("authorization").filter((value) => /^(?:bearer|dpop|basic)\s/i.test(value)).length > 1)
		never("two credentials");
	if (pairs.some(([name]) => name === "x-http-method-override")) never("a method override");
}

/** Messages split at any place are read as the same messages, and no bytes remain. */
function frames(input: Buffer): void {
	const partial = new PartialBytes();
	const reader = new MessageReader(partial, undefined);
	const step = 1 + ((input[0] ?? 0) % 37);
	const whole = new MessageReader(new PartialBytes(), undefined);
	const read = (from: MessageReader, chunks: readonly Buffer[]): string[] => {
		const found: string[] = [];
		for (const chunk of chunks) {
			from.add(chunk);
			for (let message = from.next(); message !== null; message = from.next()) {
				if (message instanceof GrpcFailure) return [...found, `failed ${message.code}`];
				found.push(message.toString("hex"));
			}
		}
		return found;
	};
	const chunks: Buffer[] = [];
	for (let index = 0; index < input.length; index += step) chunks.push(input.subarray(index, index + step));
	const cut = read(reader, chunks).join();
	if (cut !== read(whole, [Buffer.from(input)]).join()) throw new Error("cut frames are read in another way");
	reader.release();
	if (partial.held !== 0) throw new Error(`${partial.held} bytes are still held`);
}

/** A table that is read can be executed, and allows an unknown caller nowhere. */
function table(input: Buffer): void {
	refusing([WeirError], () => {
		const json = input.toString("utf8");
		const read = readTable(contentHash(json), json);
		const compiled = compileTable(read);
		for (const host of ["guarded.test", "", "x"]) {
			const found = compiled.byHost(host);
			if (found === null) continue;
			found.place(found.unit === null ? null : "u1");
		}
	});
}

const framed = Buffer.concat([
	Buffer.from([0, 0, 0, 0, 3]),
	Buffer.from("abc"),
	Buffer.alloc(5),
	Buffer.from([0, 0, 0, 0, 1, 7]),
]);
const requestText = ["GET", "/v2/models/m1/infer?x=1", "guarded.test", "authorization:Bearer a.b.c", "dpop:a.b.c"].join(
	"\n",
);
const otherText = ["POST", "/a%20b/c", "a.test:8443", 'authorization:Digest username="a, b", realm=x', "cookie:a"].join(
	"\n",
);

export const CALLOUT_TARGETS: readonly Target[] = [
	{ name: "check-verdict", seeds: [checkRequest], weight: 2, run: check },
	{ name: "process-verdict", seeds: [processingRequest], weight: 2, run: process },
	{ name: "check-request", seeds: [checkRequest], weight: 2, run: questions },
	{
		name: "canonical",
		seeds: [requestText, otherText].map((seed) => Buffer.from(seed, "latin1")),
		weight: 2,
		run: canonical,
	},
	{ name: "grpc-frames", seeds: [framed], weight: 2, run: frames },
	{ name: "table", seeds: [Buffer.from(tableJson(plan.table))], weight: 1, run: table },
	{
		name: "route-context",
		seeds: [Buffer.from("plan=1\nservice=a\nvariant=v1")],
		weight: 1,
		run(input) {
			const map = new Map(
				text(input)
					.split("\n")
					.map((line) => [line.split("=", 1)[0] ?? "", line.slice(line.indexOf("=") + 1)]),
			);
			routeContext((key) => map.get(key) ?? null);
		},
	},
	{
		name: "peer-certificate",
		seeds: [Buffer.from("-----BEGIN%20CERTIFICATE-----%0AMIIB%2B%2F%3D%0A-----END%20CERTIFICATE-----%0A")],
		weight: 1,
		run: (input) => void thumbprint(text(input)),
	},
];
