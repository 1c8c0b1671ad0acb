/** Wrong answers of a broken sidecar: none may count as a "yes". */

import type { Http2Session } from "node:http2";
import { fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import type { CalloutProtocol } from "../../src/compile/plan/compiledPlan.js";
import { CheckResponseSchema } from "../../src/gen/envoy/service/auth/v3/external_auth_pb.js";
import { ProcessingResponseSchema } from "../../src/gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { registry } from "../../src/publish/xds/registry.js";
import { answerBytes, answerStatus, type Behaviour, framed, GRPC_HEADERS } from "./wrongServer.js";

const check = (json: JsonValue): Buffer =>
	framed(toBinary(CheckResponseSchema, fromJson(CheckResponseSchema, json, { registry })));
const process = (json: JsonValue): Buffer =>
	framed(toBinary(ProcessingResponseSchema, fromJson(ProcessingResponseSchema, json, { registry })));

const OK = { "grpc-status": "0" };
const raw = (value: string): string => Buffer.from(value, "latin1").toString("base64");
const ALLOWED = { verdict: "allow", reason: "allowed" };

/** A good "yes" with these request headers. */
export const yes = {
	ext_authz: (...headers: readonly (readonly [string, string])[]): Buffer =>
		check({
			status: {},
			// ext_authz reads `value`, ext_proc `raw_value`.
			okResponse: { headers: headers.map(([key, value]) => ({ header: { key, value } })) },
			dynamicMetadata: ALLOWED,
		}),
	ext_proc: (...headers: readonly (readonly [string, string])[]): Buffer =>
		process({
			requestHeaders: {
				response: {
					headerMutation: { setHeaders: headers.map(([key, value]) => ({ header: { key, rawValue: raw(value) } })) },
					clearRouteCache: true,
				},
			},
			dynamicMetadata: { weir: ALLOWED },
		}),
} satisfies Record<CalloutProtocol, unknown>;

const message =
	(bytes: Uint8Array): Behaviour =>
	(call) =>
		answerBytes(call, bytes, OK);
const status =
	(code: number): Behaviour =>
	(call) =>
		answerStatus(call, { "grpc-status": String(code) });
const http =
	(code: number): Behaviour =>
	({ stream }) =>
		stream.respond({ ":status": code, "content-type": "text/html" }, { endStream: true });
/** Not while Node reads of it: in 22.23 that ends the process (an assertion of http2 on DATA of a session that is gone). */
const cut = (session: Http2Session | undefined): void => void setImmediate(() => session?.destroy());
const twice = (bytes: Buffer): Buffer => Buffer.concat([bytes, bytes]);

/** For both protocols. */
const COMMON: Readonly<Record<string, Behaviour>> = {
	"garbage instead of a message": message(Buffer.from("\xff\xfe garbage \x00\x01", "latin1")),
	"garbage in a message": message(framed(Buffer.from("\xff\xfe garbage \x00\x01", "latin1"))),
	"cut off message": (call) => answerBytes(call, framed(Buffer.alloc(100)).subarray(0, 30), OK),
	"compressed flag": (call) => answerBytes(call, Buffer.from([1, 0, 0, 0, 1, 0]), OK),
	"empty message": message(framed(Buffer.alloc(0))),
	"clean close without an answer": status(0),
	"clean close after headers": message(Buffer.alloc(0)),
	"grpc-status 13": status(13),
	"grpc-status that is no number": (call) => answerStatus(call, { "grpc-status": "yes" }),
	"no grpc-status": ({ stream }) => stream.respond(GRPC_HEADERS, { endStream: true }),
	"HTTP 404": http(404),
	"HTTP 500": http(500),
	"HTTP 200 without gRPC": ({ stream }) => {
		stream.respond({ ":status": 200, "content-type": "text/plain" });
		stream.end("OK");
	},
	RST_STREAM: ({ stream }) => stream.close(2),
	"RST_STREAM without an error": ({ stream }) => stream.close(0),
	"GOAWAY at once": ({ stream: { session } }) => {
		session?.goaway(11);
		cut(session);
	},
	"connection cut": ({ stream: { session } }) => cut(session),
	"oversized metadata": (call) => answerStatus(call, { ...OK, "x-big": "a".repeat(100_000) }),
};

/** Detectable errors only: a well-formed "yes" is a yes. */
export const WRONG_ANSWERS: Readonly<Record<CalloutProtocol, Readonly<Record<string, Behaviour>>>> = {
	ext_authz: {
		...COMMON,
		"the other protocol's message": message(yes.ext_proc()),
		"OK without metadata": message(check({ status: {}, okResponse: {} })),
		"a header beyond the list": message(yes.ext_authz(["x-user-id", "root"])),
		"a client certificate header": message(yes.ext_authz(["x-forwarded-client-cert", "URI=spiffe://weir.test/root"])),
		"control characters in a header": message(yes.ext_authz(["x-weir-arm", "a\r\nx-evil: 1"])),
	},
	ext_proc: {
		...COMMON,
		"the other protocol's message": message(yes.ext_authz()),
		"yes without metadata": message(process({ requestHeaders: {} })),
		"metadata under another name": message(process({ requestHeaders: {}, dynamicMetadata: { other: ALLOWED } })),
		"an answer to response headers": message(process({ responseHeaders: {}, dynamicMetadata: { weir: ALLOWED } })),
		"an answer to a request body": message(process({ requestBody: {}, dynamicMetadata: { weir: ALLOWED } })),
		"a header beyond the list": message(yes.ext_proc(["x-user-id", "root"])),
		"a client certificate header": message(yes.ext_proc(["x-forwarded-client-cert", "URI=spiffe://weir.test/root"])),
		"a path": message(yes.ext_proc([":path", "/other"])),
		"control characters in a header": message(yes.ext_proc(["x-weir-arm", "a\r\nx-evil: 1"])),
	},
};

/** Unusual refusals: whatever status the client gets, no Variant gets the request. */
export const ODD_DENIALS: Readonly<Record<CalloutProtocol, Readonly<Record<string, Behaviour>>>> = {
	ext_authz: {
		"a status that is not OK": message(check({ status: { code: 13 }, dynamicMetadata: ALLOWED })),
		"denied with an OK response": message(check({ status: { code: 7 }, okResponse: {}, dynamicMetadata: ALLOWED })),
		"denied with HTTP 200": message(check({ status: { code: 7 }, deniedResponse: { status: { code: "OK" } } })),
	},
	ext_proc: {
		"immediate response without a status": message(process({ immediateResponse: {} })),
		"immediate response 100": message(process({ immediateResponse: { status: { code: 100 } } })),
		"immediate response 200": message(process({ immediateResponse: { status: { code: "OK" } } })),
		"deny, then yes": message(
			Buffer.concat([process({ immediateResponse: { status: { code: "Forbidden" } } }), yes.ext_proc()]),
		),
	},
};

/** The first answer counts, and only it: what comes after a "yes" changes nothing, and breaks nothing. */
export const SURPLUS: Readonly<Record<string, Behaviour>> = {
	"yes, then yes": message(twice(yes.ext_proc())),
	"yes, then deny": message(
		Buffer.concat([yes.ext_proc(), process({ immediateResponse: { status: { code: "Forbidden" } } })]),
	),
};
