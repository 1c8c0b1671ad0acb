/**
 * The wire side of the access log: what Weir reads of envoy.service.accesslog.v3.StreamAccessLogsMessage.
 *
 * A lazy decoder on protobuf's own BinaryReader: an entry has some sixty fields, Weir reads ten, and a decoder
 * that builds every message costs several times as much. Field numbers are those of the upstream .proto files
 * (envoy/service/accesslog/v3/als.proto, envoy/data/accesslog/v3/accesslog.proto); a test holds them against
 * bytes made by another implementation.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { INSTANCE_KEY } from "../../compiler/envoyInstance.js";
import { field, LENGTH_DELIMITED, lengthEnd, skip, structTexts, text, VARINT } from "./fieldReader.js";
import { hasEnvoysId } from "./requestId.js";

/** The fields that Weir reads of one HTTPAccessLogEntry. Times as Envoy's clock has them. */
export interface AccessLogEntry {
	/**
	 * envoy.data.accesslog.v3.AccessLogType: DownstreamStart = 4, DownstreamPeriodic = 5, DownstreamEnd = 6,
	 * UpstreamPoolReady = 7 (sent on; one for each attempt); others are not used. A start entry is written before the
	 * filters: it has no header and no metadata that one of them makes. That of an attempt has no metadata either.
	 */
	readonly kind: "start" | "sent" | "periodic" | "end" | "other";
	readonly routeName: string;
	/** `upstream_cluster`, empty where no cluster was chosen. */
	readonly cluster: string;
	/**
	 * `x-request-id`, else Envoy's stream id; both are the same with the uuid extension. Empty = there is none, or it is not
	 * Envoy's (requestId.ts).
	 */
	readonly requestId: string;
	/**
	 * Epoch microseconds; the same in all entries of a request but that of an attempt, which has its own. Numbers are as they were
	 * sent, whatever they are (entryFault.ts).
	 */
	readonly startUs: number;
	readonly durationMs: number;
	/** HTTP status sent downstream; 0 = none. */
	readonly status: number;
	/** Set response flags, bit n for field n of ResponseFlags. */
	readonly flags: number;
	/** The message, the place of the entry in it, and those of what is looked up only when needed. */
	readonly message: Buffer;
	readonly entryAt: number;
	readonly entryEnd: number;
	/** HTTPRequestProperties, with the headers. */
	readonly requestAt: number;
	readonly requestEnd: number;
	/** envoy.config.core.v3.Metadata that filters made; empty where none did. */
	readonly metadataAt: number;
	readonly metadataEnd: number;
	/** `response_code_details`; empty where there is none. */
	readonly detailsAt: number;
	readonly detailsEnd: number;
}

/** An entry of Envoy's access log, as it came. */
export interface Heard {
	readonly entry: AccessLogEntry;
	/** When its message came, by the store's clock. */
	readonly receivedMs: number;
	/** That its stream says; null = it does not. */
	readonly gateway: string | null;
}

/** Bits of `flags`: field numbers of envoy.data.accesslog.v3.ResponseFlags. */
const flag = (...fields: readonly number[]): number => fields.reduce((bits, field) => bits | (1 << field), 0);

/** UH, UT, LR, UR, UF, UC, UO, NR, URX, UMSDR, DT, UPE, NC, DF: no answer could be had from the Variant. */
export const UNHEALTHY_FLAGS = flag(2, 3, 4, 5, 6, 7, 8, 9, 16, 20, 23, 24, 25, 27);

/**
 * The above and DC, SI, DR (the client left, or the stream went idle): "UF, UH, UT, DC count against the arm".
 * Not among them: what others did to the request (fault injection, rate limits, authorization, bad requests).
 */
export const FAILED_FLAGS = UNHEALTHY_FLAGS | flag(15, 17, 28);

/** UH, UT, UR, UF, UC, UO, URX, UMSDR, UPE, NC, DF: what only the router says, which sends a request on. */
export const ROUTER_FLAGS = flag(2, 3, 5, 6, 7, 8, 16, 20, 24, 25, 27);

/** DC and DR: the client closed the connection, or reset the stream. */
export const LEFT_FLAGS = flag(15, 28);

/** And DPE: it broke a rule of the protocol, which ends its connection, or said that Envoy had. */
export const BROKEN_OFF_FLAGS = LEFT_FLAGS | flag(19);

/** RL: local_ratelimit refused. */
export const LIMITED_FLAG = flag(12);

/** OM: Envoy was overloaded. */
export const OVERLOAD_FLAG = flag(26);

const KINDS: ReadonlyMap<number, AccessLogEntry["kind"]> = new Map([
	[4, "start"],
	[5, "periodic"],
	[6, "end"],
	[7, "sent"],
]);

/** Decodes one StreamAccessLogsMessage and hands over its HTTP entries. Throws RangeError on a broken message. */
export function decodeMessage(message: Buffer, take: (entry: AccessLogEntry) => void): void {
	const reader = new BinaryReader(message);
	while (reader.pos < reader.len) {
		const tag = reader.uint32();
		if (tag !== field(2, LENGTH_DELIMITED)) {
			skip(reader, tag);
			continue;
		}
		const end = lengthEnd(reader);
		while (reader.pos < end) {
			const inner = reader.uint32();
			if (inner === field(1, LENGTH_DELIMITED)) take(decodeEntry(reader, message, lengthEnd(reader)));
			else skip(reader, inner);
		}
	}
}

/** Who a stream says that it is of; only its first message does (StreamAccessLogsMessage.identifier). A claim, no more. */
export interface StreamIdentifier {
	readonly nodeId: string;
	/** Which process of that node; null = it does not say. */
	readonly instance: string | null;
	readonly logName: string;
}

/** Throws RangeError on a broken message; null where the message says nothing of it. */
export function decodeIdentifier(message: Buffer): StreamIdentifier | null {
	const reader = new BinaryReader(message);
	while (reader.pos < reader.len) {
		const tag = reader.uint32();
		if (tag !== field(1, LENGTH_DELIMITED)) {
			skip(reader, tag);
			continue;
		}
		const end = lengthEnd(reader);
		let nodeId = "";
		let instance: string | null = null;
		let logName = "";
		while (reader.pos < end) {
			const inner = reader.uint32();
			if (inner === field(2, LENGTH_DELIMITED)) logName = text(reader, message);
			else if (inner === field(1, LENGTH_DELIMITED)) {
				const nodeEnd = lengthEnd(reader);
				while (reader.pos < nodeEnd) {
					const of = reader.uint32();
					if (of === field(1, LENGTH_DELIMITED)) nodeId = text(reader, message);
					else if (of === field(3, LENGTH_DELIMITED))
						instance = structTexts(reader, message, lengthEnd(reader)).get(INSTANCE_KEY) ?? null;
					else skip(reader, of);
				}
			} else skip(reader, inner);
		}
		return { nodeId, instance, logName };
	}
	return null;
}

const VIA_UPSTREAM = "via_upstream".length;
const V = 0x76;

/** Whether Envoy itself answered: whatever it says but `via_upstream`. The cheap question before the costly ones. */
export function answeredByEnvoy({ message, detailsAt, detailsEnd }: AccessLogEntry): boolean {
	return detailsEnd > detailsAt && (detailsEnd - detailsAt !== VIA_UPSTREAM || message[detailsAt] !== V);
}

/** `response_code_details`: where the answer came from; empty = none came. */
export function codeDetailsOf({ message, detailsAt, detailsEnd }: AccessLogEntry): string {
	return message.toString("latin1", detailsAt, detailsEnd);
}

/** A request header that Envoy was told to log, by lower-case name; null where it is absent. Bytes read one to one. */
export function requestHeader(entry: AccessLogEntry, name: string): string | null {
	const reader = new BinaryReader(entry.message);
	reader.pos = entry.requestAt;
	while (reader.pos < entry.requestEnd) {
		const tag = reader.uint32();
		if (tag !== field(13, LENGTH_DELIMITED)) {
			skip(reader, tag);
			continue;
		}
		const end = lengthEnd(reader);
		let key = "";
		let value = "";
		while (reader.pos < end) {
			const inner = reader.uint32();
			if (inner === field(1, LENGTH_DELIMITED)) key = text(reader, entry.message);
			else if (inner === field(2, LENGTH_DELIMITED)) value = text(reader, entry.message);
			else skip(reader, inner);
		}
		if (key === name) return value;
	}
	return null;
}

interface Draft {
	kind: AccessLogEntry["kind"];
	routeName: string;
	cluster: string;
	requestId: string;
	startUs: number;
	durationMs: number;
	status: number;
	flags: number;
	message: Buffer;
	entryAt: number;
	entryEnd: number;
	requestAt: number;
	requestEnd: number;
	metadataAt: number;
	metadataEnd: number;
	detailsAt: number;
	detailsEnd: number;
}

/** Decodes a buffer that holds one HTTPAccessLogEntry and nothing else. Throws RangeError on a broken one. */
export function decodeSingle(bytes: Buffer): AccessLogEntry {
	return decodeEntry(new BinaryReader(bytes), bytes, bytes.length);
}

function decodeEntry(reader: BinaryReader, message: Buffer, end: number): AccessLogEntry {
	const entry: Draft = {
		kind: "other",
		routeName: "",
		cluster: "",
		requestId: "",
		startUs: 0,
		durationMs: 0,
		status: 0,
		flags: 0,
		message,
		entryAt: reader.pos,
		entryEnd: end,
		requestAt: 0,
		requestEnd: 0,
		metadataAt: 0,
		metadataEnd: 0,
		detailsAt: 0,
		detailsEnd: 0,
	};
	while (reader.pos < end) {
		const tag = reader.uint32();
		if (tag === field(1, LENGTH_DELIMITED)) decodeCommon(reader, entry, lengthEnd(reader));
		else if (tag === field(3, LENGTH_DELIMITED)) decodeRequest(reader, entry, lengthEnd(reader));
		else if (tag === field(4, LENGTH_DELIMITED)) decodeResponse(reader, entry, lengthEnd(reader));
		else skip(reader, tag);
	}
	if (!hasEnvoysId(entry, codeDetailsOf(entry))) entry.requestId = "";
	return entry;
}

function decodeCommon(reader: BinaryReader, entry: Draft, end: number): void {
	let streamAt = -1;
	while (reader.pos < end) {
		const tag = reader.uint32();
		switch (tag) {
			case field(5, LENGTH_DELIMITED):
				entry.startUs = microseconds(reader);
				break;
			case field(15, LENGTH_DELIMITED):
				entry.cluster = text(reader, entry.message);
				break;
			case field(16, LENGTH_DELIMITED):
				entry.flags = decodeFlags(reader);
				break;
			case field(17, LENGTH_DELIMITED):
				entry.metadataEnd = lengthEnd(reader);
				entry.metadataAt = reader.pos;
				reader.pos = entry.metadataEnd;
				break;
			case field(19, LENGTH_DELIMITED):
				entry.routeName = text(reader, entry.message);
				break;
			case field(23, LENGTH_DELIMITED):
				entry.durationMs = microseconds(reader) / 1e3;
				break;
			case field(26, LENGTH_DELIMITED):
				streamAt = reader.pos;
				skip(reader, tag);
				break;
			case field(33, VARINT): {
				entry.kind = KINDS.get(reader.uint32()) ?? "other";
				break;
			}
			default:
				skip(reader, tag);
		}
	}
	if (streamAt >= 0 && entry.requestId === "") {
		const after = reader.pos;
		reader.pos = streamAt;
		entry.requestId = text(reader, entry.message);
		reader.pos = after;
	}
}

function decodeRequest(reader: BinaryReader, entry: Draft, end: number): void {
	entry.requestAt = reader.pos;
	entry.requestEnd = end;
	while (reader.pos < end) {
		const tag = reader.uint32();
		if (tag === field(9, LENGTH_DELIMITED)) {
			const id = text(reader, entry.message);
			if (id !== "") entry.requestId = id;
		} else skip(reader, tag);
	}
}

function decodeResponse(reader: BinaryReader, entry: Draft, end: number): void {
	while (reader.pos < end) {
		const tag = reader.uint32();
		if (tag === field(6, LENGTH_DELIMITED)) {
			entry.detailsEnd = lengthEnd(reader);
			entry.detailsAt = reader.pos;
			reader.pos = entry.detailsEnd;
			continue;
		}
		if (tag !== field(1, LENGTH_DELIMITED)) {
			skip(reader, tag);
			continue;
		}
		const valueEnd = lengthEnd(reader);
		while (reader.pos < valueEnd) {
			const inner = reader.uint32();
			if (inner === field(1, VARINT)) entry.status = reader.uint32();
			else skip(reader, inner);
		}
	}
}

function decodeFlags(reader: BinaryReader): number {
	const end = lengthEnd(reader);
	let flags = 0;
	while (reader.pos < end) {
		const tag = reader.uint32();
		// Field 13 is a message (Unauthorized) and is not counted; all others are bool.
		if ((tag & 7) === VARINT) {
			const number = tag >>> 3;
			if (reader.uint32() !== 0 && number < 32) flags |= 1 << number;
		} else skip(reader, tag);
	}
	return flags;
}

/**
 * google.protobuf.Timestamp or Duration in whole microseconds: an exact double until the year 2255. NaN where the nanoseconds are
 * none of a time or of a duration that is not negative: both have 0 to 999,999,999.
 */
function microseconds(reader: BinaryReader): number {
	const end = lengthEnd(reader);
	let seconds = 0;
	let nanos = 0;
	while (reader.pos < end) {
		const tag = reader.uint32();
		if (tag === field(1, VARINT)) seconds = Number(reader.int64());
		else if (tag === field(2, VARINT)) nanos = reader.int32();
		else skip(reader, tag);
	}
	return nanos >= 0 && nanos < 1e9 ? seconds * 1e6 + Math.floor(nanos / 1e3) : Number.NaN;
}
