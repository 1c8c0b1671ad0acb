/**
 * Encodes envoy.service.auth.v3.CheckResponse. The part of a ruling is encoded once; a request adds its unit, its cookie
 * and the removal of forged headers. Field numbers: proto/envoy/service/auth/v3.
 */
import { DECISION_HEADER } from "../../compile/access/signedDecision.js";
import { ARM_HEADER } from "../../compile/plan/headers.js";
import { GRPC, GrpcFailure, type Reply } from "./grpc/service.js";
import { APPEND, forged, OVERWRITE, requestHeaders, writeHeader } from "./headerOption.js";
import { rulingEntries, writeEntries } from "./metadata.js";
import { encoded, ProtoWriter } from "./protoWriter.js";
import type { Answer, Ruling, SentHeaders } from "./question.js";

/** google.rpc.Code PERMISSION_DENIED. */
const PERMISSION_DENIED = 7;

/** The encoded part of all answers with one ruling. */
interface Fixed {
	/** The call's status; if nothing is added per request, also the whole HTTP response. */
	readonly whole: Buffer;
	/** Fields of OkHttpResponse or DeniedHttpResponse. */
	readonly response: Buffer;
	readonly metadata: Buffer;
	/** Names of the request headers that are set. */
	readonly set: ReadonlySet<string>;
	/** The reply for a ruling without a verdict. */
	readonly failure: GrpcFailure | null;
}

const fixed = new WeakMap<Ruling, Fixed>();
const writer = new ProtoWriter();

/** CheckResponse: status 1, denied_response 2, ok_response 3, dynamic_metadata 4. */
const OK_RESPONSE = 3;
const DENIED_RESPONSE = 2;
/** OkHttpResponse: headers 2, headers_to_remove 5, response_headers_to_add 6. DeniedHttpResponse: headers 2. */
const HEADERS = 2;
const HEADERS_TO_REMOVE = 5;
const RESPONSE_HEADERS = 6;

/** The reply to a CheckRequest. Without a verdict the call fails, so that Envoy does not forward the request. */
export function checkResponse(answer: Answer, sent: SentHeaders): Reply {
	const { ruling, setCookie, decision } = answer;
	const own = fixed.get(ruling) ?? prepare(ruling);
	if (own.failure !== null) return own.failure;
	const allowed = ruling.verdict === "allow";
	writer.reset();
	const metadata = writer.open();
	writeEntries(writer, own.metadata, answer);
	writer.close(4, metadata);
	const remove = allowed ? forged(sent, own.set, decision) : NONE;
	if (setCookie === null && decision === null && remove.length === 0) {
		writer.raw(own.whole);
		return writer.finish();
	}
	const response = writer.open();
	if (setCookie !== null) {
		// Envoy adds no header with append to a local reply.
		const [field, action] = allowed ? ([RESPONSE_HEADERS, APPEND] as const) : ([HEADERS, OVERWRITE] as const);
		writeHeader(writer, field, "set-cookie", setCookie, action, "ext_authz");
	}
	for (const name of remove) writer.text(HEADERS_TO_REMOVE, name);
	if (decision !== null && allowed) writeHeader(writer, HEADERS, DECISION_HEADER, decision, OVERWRITE, "ext_authz");
	writer.raw(own.response);
	writer.close(allowed ? OK_RESPONSE : DENIED_RESPONSE, response);
	writer.raw(allowed ? ALLOWED : DENIED);
	return writer.finish();
}

const NONE: readonly string[] = [];

/** CheckResponse.status: code 1. OK is zero, an empty message. */
const ALLOWED = encoded((out) => out.close(1, out.open()));
const DENIED = encoded((out) => {
	const status = out.open();
	out.number(1, PERMISSION_DENIED);
	out.close(1, status);
});

function prepare(ruling: Ruling): Fixed {
	const response = ruling.verdict === "allow" ? okResponse(ruling) : deniedResponse(ruling);
	const made: Fixed = {
		whole: encoded((out) => {
			const body = out.open();
			out.raw(response);
			out.close(ruling.verdict === "allow" ? OK_RESPONSE : DENIED_RESPONSE, body);
			out.raw(ruling.verdict === "allow" ? ALLOWED : DENIED);
		}),
		response,
		metadata: rulingEntries(ruling),
		set: new Set(requestHeaders(ruling).map(([name]) => name)),
		failure: ruling.verdict === "none" ? new GrpcFailure(GRPC.UNAVAILABLE, ruling.reason) : null,
	};
	fixed.set(ruling, made);
	return made;
}

function okResponse(ruling: Ruling): Buffer {
	return encoded((out) => {
		const { exposedArms } = ruling;
		// One header with a list (RFC 9110 5.3): Envoy appends before it overwrites, so a second header would be lost.
		if (exposedArms !== null && exposedArms.length > 0) {
			writeHeader(out, RESPONSE_HEADERS, ARM_HEADER, exposedArms.join(", "), OVERWRITE, "ext_authz");
		}
		for (const [name, value] of [...requestHeaders(ruling)].reverse()) {
			writeHeader(out, HEADERS, name, value, OVERWRITE, "ext_authz");
		}
	});
}

/** DeniedHttpResponse: status 1 (HttpStatus: code 1), headers 2, body 3. */
function deniedResponse({ reason, challenge, exposedArms }: Ruling): Buffer {
	return encoded((out) => {
		out.text(3, deniedBody(reason));
		if (exposedArms !== null && exposedArms.length > 0) {
			writeHeader(out, HEADERS, ARM_HEADER, exposedArms.join(", "), OVERWRITE, "ext_authz");
		}
		writeHeader(out, HEADERS, "content-type", "text/plain", OVERWRITE, "ext_authz");
		if (challenge !== null) {
			writeHeader(out, HEADERS, "www-authenticate", challenge, OVERWRITE, "ext_authz");
		}
		const status = out.open();
		out.number(1, deniedStatus(reason));
		out.close(1, status);
	});
}

/** For the client: the reason, without rules or callers. */
export const deniedBody = (reason: Ruling["reason"]): string => `access denied: ${reason}\n`;

/** HTTP status of a denial, the same in every execution. */
export function deniedStatus(reason: Ruling["reason"]): number {
	switch (reason) {
		case "invalid-token":
			return 401;
		case "verification-limited":
			return 429;
		case "configuration-refused":
			return 503;
		default:
			return 403;
	}
}
