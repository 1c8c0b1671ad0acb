/**
 * Encodes envoy.service.ext_proc.v3.ProcessingResponse. As in checkResponse.ts, the part of a ruling is encoded once. Field
 * numbers: proto/envoy/service/ext_proc/v3.
 */
import { DECISION_HEADER } from "../../compile/access/signedDecision.js";
import { METADATA_NAMESPACE } from "../../compile/envoy/calloutContext.js";
import { ARM_HEADER, VARIANT_HEADER } from "../../compile/plan/headers.js";
import { deniedBody, deniedStatus } from "./checkResponse.js";
import { GRPC, GrpcFailure, type Reply } from "./grpc/service.js";
import { APPEND, forged, OVERWRITE, requestHeaders, writeHeader } from "./headerOption.js";
import { rulingEntries, writeEntries } from "./metadata.js";
import type { ProcessingEvent } from "./processingRequest.js";
import { encoded, ProtoWriter } from "./protoWriter.js";
import type { Answer, Ruling, SentHeaders } from "./question.js";

/** ProcessingResponse: the answers' field numbers, immediate_response 7, dynamic_metadata 8, mode_override 9. */
const ANSWERS: Readonly<Record<ProcessingEvent, number>> = {
	request_headers: 1,
	response_headers: 2,
	request_body: 3,
	response_body: 4,
	request_trailers: 5,
	response_trailers: 6,
};
const IMMEDIATE_RESPONSE = 7;
const DYNAMIC_METADATA = 8;
const MODE_OVERRIDE = 9;

/** HeaderMutation: set_headers 1, remove_headers 2. */
const SET_HEADERS = 1;
const REMOVE_HEADERS = 2;

interface Fixed {
	/** Fields of HeaderMutation, of CommonResponse's or of the immediate response. */
	readonly mutation: Buffer;
	readonly metadata: Buffer;
	readonly set: ReadonlySet<string>;
	/** The response header mutation without a cookie; null = no change. */
	readonly response: Buffer | null;
	readonly failure: GrpcFailure | null;
}

const fixed = new WeakMap<Ruling, Fixed>();
const writer = new ProtoWriter();

/** Whether the answer also changes the response headers, so that Envoy must send them. */
export function changesResponse({ ruling, setCookie }: Answer): boolean {
	return ruling.verdict === "allow" && (ruling.exposedArms !== null || setCookie !== null);
}

/**
 * The reply to request headers. Without a verdict the stream fails, so that Envoy does not forward the request.
 * @param wantResponse ask Envoy for the response's headers
 */
export function requestHeadersResponse(answer: Answer, sent: SentHeaders, wantResponse: boolean): Reply {
	const { ruling, setCookie, decision } = answer;
	const own = fixed.get(ruling) ?? prepare(ruling);
	if (own.failure !== null) return own.failure;
	writer.reset();
	if (wantResponse) writer.raw(SEND_RESPONSE_HEADERS);
	writeMetadata(own.metadata, answer);
	if (ruling.verdict === "deny") {
		writeImmediate(ruling, own, setCookie);
		return writer.finish();
	}
	const remove = forged(sent, own.set, decision);
	const response = writer.open();
	// Envoy has chosen a route already, by the default or by forged headers.
	if (ruling.variantHeader !== null || remove.includes(VARIANT_HEADER)) writer.number(5, 1);
	if (own.mutation.length > 0 || remove.length > 0 || decision !== null) {
		const mutation = writer.open();
		for (const name of remove) writer.text(REMOVE_HEADERS, name);
		if (decision !== null) writeHeader(writer, SET_HEADERS, DECISION_HEADER, decision, OVERWRITE, "ext_proc");
		writer.raw(own.mutation);
		writer.close(2, mutation);
	}
	// CommonResponse: status 1 (CONTINUE is zero), header_mutation 2, clear_route_cache 5.
	writer.close(1, response);
	writer.close(ANSWERS.request_headers, response);
	return writer.finish();
}

/** The reply to the response headers of a request with this answer. */
export function responseHeadersResponse(answer: Answer): Reply {
	if (!changesResponse(answer)) return emptyResponse("response_headers");
	const { ruling, setCookie } = answer;
	const { response: own } = fixed.get(ruling) ?? prepare(ruling);
	writer.reset();
	const response = writer.open();
	if (setCookie !== null) writeHeader(writer, SET_HEADERS, "set-cookie", setCookie, APPEND, "ext_proc");
	if (own !== null) writer.raw(own);
	writer.close(2, response);
	writer.close(1, response);
	writer.close(ANSWERS.response_headers, response);
	return writer.finish();
}

const EMPTY = Object.fromEntries(
	Object.entries(ANSWERS).map(([event, field]) => [event, encoded((out) => out.close(field, out.open()))]),
) as Readonly<Record<ProcessingEvent, Buffer>>;

/** The reply to an event, without changes. */
export function emptyResponse(event: ProcessingEvent): Reply {
	return EMPTY[event];
}

/** ProcessingMode: response_header_mode 2, SEND. */
const SEND_RESPONSE_HEADERS = encoded((out) => {
	const mode = out.open();
	out.number(2, 1);
	out.close(MODE_OVERRIDE, mode);
});

/** Struct {weir: {…}}: an entry of key 1 and value 2; Value: struct_value 5. */
function writeMetadata(entries: Buffer, answer: Answer): void {
	const metadata = writer.open();
	writeEntries(writer, entries, answer);
	writer.close(5, metadata);
	writer.close(2, metadata);
	writer.text(1, METADATA_NAMESPACE);
	writer.close(1, metadata);
	writer.close(DYNAMIC_METADATA, metadata);
}

/** ImmediateResponse: status 1 (HttpStatus: code 1), headers 2, body 3, details 5. */
function writeImmediate({ reason }: Ruling, own: Fixed, setCookie: string | null): void {
	const immediate = writer.open();
	// Envoy's RESPONSE_CODE_DETAILS have no hyphens.
	writer.text(5, `weir_${reason.replaceAll("-", "_")}`);
	writer.text(3, deniedBody(reason));
	const headers = writer.open();
	// Envoy adds no header with append to a local reply.
	if (setCookie !== null) writeHeader(writer, SET_HEADERS, "set-cookie", setCookie, OVERWRITE, "ext_proc");
	writer.raw(own.mutation);
	writer.close(2, headers);
	const status = writer.open();
	writer.number(1, deniedStatus(reason));
	writer.close(1, status);
	writer.close(IMMEDIATE_RESPONSE, immediate);
}

function prepare(ruling: Ruling): Fixed {
	const headers = requestHeaders(ruling);
	const denied = ruling.verdict === "deny";
	const made: Fixed = {
		mutation: encoded((out) => {
			// Envoy sets text/plain itself, and drops all headers if one violates its mutation rules.
			if (denied) {
				// A local reply has one header with a list.
				const arms = ruling.exposedArms ?? [];
				if (ruling.challenge !== null) {
					writeHeader(out, SET_HEADERS, "www-authenticate", ruling.challenge, OVERWRITE, "ext_proc");
				}
				if (arms.length > 0) writeHeader(out, SET_HEADERS, ARM_HEADER, arms.join(", "), OVERWRITE, "ext_proc");
				return;
			}
			for (const [name, value] of [...headers].reverse())
				writeHeader(out, SET_HEADERS, name, value, OVERWRITE, "ext_proc");
		}),
		metadata: rulingEntries(ruling),
		set: new Set(headers.map(([name]) => name)),
		response: ruling.exposedArms === null ? null : responseMutation(ruling.exposedArms),
		failure: ruling.verdict === "none" ? new GrpcFailure(GRPC.UNAVAILABLE, ruling.reason) : null,
	};
	fixed.set(ruling, made);
	return made;
}

/** Overwrites an upstream's x-weir-arm, or removes it if there is no arm. */
function responseMutation(exposedArms: readonly string[]): Buffer {
	return encoded((out) => {
		if (exposedArms.length === 0) out.text(REMOVE_HEADERS, ARM_HEADER);
		for (const [index, value] of [...exposedArms.entries()].reverse()) {
			writeHeader(out, SET_HEADERS, ARM_HEADER, value, index === 0 ? OVERWRITE : APPEND, "ext_proc");
		}
	});
}
