/**
 * Decodes envoy.service.accesslog.v3.StreamAccessLogsMessage to flat records.
 *
 * It reads fields with protobuf's own BinaryReader. An entry has about sixty fields and Weir reads twenty; a
 * decoder that builds every message costs several times as much. Field numbers are those of the upstream .proto files
 * (envoy/service/accesslog/v3/als.proto, envoy/data/accesslog/v3/accesslog.proto); a test checks them against bytes
 * made by another implementation.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { METADATA_NAMESPACE } from "../../../../compile/envoy/calloutContext.js";
import { INSTANCE_KEY } from "../../../../compile/envoy/envoyInstance.js";
import type { AccessLogEntry } from "./accessLogEntry.js";
import { answerOf } from "./sidecarAnswer.js";

const LENGTH_DELIMITED = 2;
const VARINT = 0;

/** Wire tags: of a number, and of a text or message. */
const number = (field: number): number => (field << 3) | VARINT;
const bytes = (field: number): number => (field << 3) | LENGTH_DELIMITED;

const FIRST_NUMBER = number(1);
const SECOND_NUMBER = number(2);
const FIRST = bytes(1);
const SECOND = bytes(2);
const THIRD = bytes(3);

/** Reads a length and returns the end position. Throws RangeError if the bytes end before it. */
function lengthEnd(reader: BinaryReader): number {
	const length = reader.uint32();
	const end = reader.pos + length;
	if (end > reader.len) throw new RangeError("an access-log message ends early");
	return end;
}

function skip(reader: BinaryReader, tag: number): void {
	if ((tag & 7) === LENGTH_DELIMITED) reader.pos = lengthEnd(reader);
	else reader.skip(tag & 7, tag >>> 3);
}

/**
 * Calls `read` at each field up to `end`, and skips fields that it does not read. Frequent fields are read by loops
 * instead, to avoid closures.
 */
function eachField(reader: BinaryReader, end: number, read: (tag: number) => void): void {
	while (reader.pos < end) {
		const tag = reader.uint32();
		const at = reader.pos;
		read(tag);
		if (reader.pos === at) skip(reader, tag);
	}
}

/** The same for a nested message. */
const eachFieldOf = (reader: BinaryReader, read: (tag: number) => void): void =>
	eachField(reader, lengthEnd(reader), read);

/** Decodes one StreamAccessLogsMessage and emits its HTTP entries. Throws RangeError on a broken message. */
export function decodeMessage(message: Buffer, take: (entry: AccessLogEntry) => void): void {
	const reader = new BinaryReader(message);
	eachField(reader, message.length, (tag) => {
		if (tag !== SECOND) return;
		eachFieldOf(reader, (inner) => {
			if (inner === FIRST) take(new EntryDecoder(reader, message).entry(lengthEnd(reader)));
		});
	});
}

/** Decodes the bytes of one entry. Throws RangeError on a broken one. */
export const decodeEntry = (bytes: Buffer): AccessLogEntry =>
	new EntryDecoder(new BinaryReader(bytes), bytes).entry(bytes.length);

/** A stream's self-description, in its first message (StreamAccessLogsMessage.identifier); not verified. */
export interface StreamIdentifier {
	readonly nodeId: string;
	/** Process of that node; null = not named. */
	readonly instance: string | null;
	readonly logName: string;
}

/** Throws RangeError on a broken message; null where the message has no identifier. */
export function decodeIdentifier(message: Buffer): StreamIdentifier | null {
	const reader = new BinaryReader(message);
	const decoder = new EntryDecoder(reader, message);
	let found: StreamIdentifier | null = null;
	eachField(reader, message.length, (tag) => {
		if (tag !== FIRST || found !== null) return;
		let nodeId = "";
		let instance: string | null = null;
		let logName = "";
		eachFieldOf(reader, (inner) => {
			if (inner === SECOND) logName = decoder.text();
			else if (inner === FIRST)
				eachFieldOf(reader, (of) => {
					if (of === FIRST) nodeId = decoder.text();
					else if (of === THIRD) instance = decoder.structTexts().get(INSTANCE_KEY) ?? null;
				});
		});
		found = { nodeId, instance, logName };
	});
	return found;
}

const KINDS: ReadonlyMap<number, AccessLogEntry["kind"]> = new Map([
	[4, "start"],
	[5, "periodic"],
	[6, "end"],
	[7, "sent"],
]);

/** By value of envoy.config.core.v3.RequestMethod. */
const METHODS: readonly (string | null)[] = [
	null,
	"GET",
	"HEAD",
	"POST",
	"PUT",
	"DELETE",
	"CONNECT",
	"OPTIONS",
	"TRACE",
	"PATCH",
];

/** A value of HTTPAccessLogEntry.HTTPVersion. */
const HTTP11 = 2;

const RBAC = "envoy.filters.http.rbac";
/** Measured on Envoy 1.36.2 and 1.40.0: ext_authz writes under its extension name, ext_proc under the configured namespace. */
const SIDECARS: ReadonlySet<string> = new Set(["envoy.filters.http.ext_authz", METADATA_NAMESPACE]);

const NO_BYTES = Buffer.alloc(0);
const NO_HEADERS: ReadonlyMap<string, string> = new Map();

type Draft = { -readonly [Field in keyof AccessLogEntry]: AccessLogEntry[Field] };

class EntryDecoder {
	readonly #draft: Draft = {
		kind: "other",
		routeName: "",
		cluster: "",
		requestId: "",
		startUs: 0,
		durationMs: 0,
		status: 0,
		flags: 0,
		codeDetails: "",
		sentOn: false,
		principal: null,
		host: "",
		method: null,
		path: "",
		headers: NO_HEADERS,
		http1HeaderBytes: null,
		rbac: null,
		sidecar: null,
		message: NO_BYTES,
		at: 0,
		end: 0,
	};

	constructor(
		private readonly reader: BinaryReader,
		private readonly message: Buffer,
	) {}

	entry(end: number): AccessLogEntry {
		const { reader } = this;
		const draft = this.#draft;
		let streamId = "";
		let version = 0;
		draft.message = this.message;
		draft.at = reader.pos;
		draft.end = end;
		while (reader.pos < end) {
			const tag = reader.uint32();
			if (tag === FIRST) streamId = this.#common(lengthEnd(reader));
			else if (tag === SECOND_NUMBER) version = reader.uint32();
			else if (tag === THIRD) this.#request(lengthEnd(reader));
			else if (tag === bytes(4)) this.#response(lengthEnd(reader));
			else skip(reader, tag);
		}
		if (draft.requestId === "") draft.requestId = streamId;
		if (!hasEnvoysId(draft)) draft.requestId = "";
		if (version !== HTTP11) draft.http1HeaderBytes = null;
		return draft;
	}

	/** Weir accepts only ASCII in these fields, so a byte is a character; other bytes stay invalid. */
	text(): string {
		const end = lengthEnd(this.reader);
		const from = this.reader.pos;
		this.reader.pos = end;
		return this.message.toString("latin1", from, end);
	}

	/** The text fields of a google.protobuf.Struct: fields = 1, a map whose entries are key = 1, Value = 2 with string_value = 3. */
	structTexts(): ReadonlyMap<string, string> {
		const found = new Map<string, string>();
		eachFieldOf(this.reader, (tag) => {
			if (tag !== FIRST) return;
			let key = "";
			let value: string | null = null;
			eachFieldOf(this.reader, (inner) => {
				if (inner === FIRST) key = this.text();
				else if (inner === SECOND)
					eachFieldOf(this.reader, (of) => {
						if (of === THIRD) value = this.text();
					});
			});
			if (value !== null) found.set(key, value);
		});
		return found;
	}

	/** AccessLogCommon. @returns its stream id */
	#common(end: number): string {
		const { reader } = this;
		const draft = this.#draft;
		let streamId = "";
		while (reader.pos < end) {
			const tag = reader.uint32();
			switch (tag) {
				case bytes(4):
					draft.principal = this.#peer();
					break;
				case bytes(5):
					draft.startUs = this.#microseconds();
					break;
				case bytes(15):
					draft.cluster = this.text();
					break;
				case bytes(16):
					draft.flags = this.#flags();
					break;
				case bytes(17):
					this.#metadata();
					break;
				case bytes(19):
					draft.routeName = this.text();
					break;
				case bytes(23):
					draft.durationMs = this.#microseconds() / 1e3;
					break;
				case number(24):
					draft.sentOn = reader.uint32() > 0;
					break;
				case bytes(26):
					streamId = this.text();
					break;
				case number(33):
					draft.kind = KINDS.get(reader.uint32()) ?? "other";
					break;
				default:
					skip(reader, tag);
			}
		}
		return streamId;
	}

	/** TLSProperties: the URI in peer_certificate_properties = 5, subject_alt_name = 1, uri = 1, if it is the only one. */
	#peer(): string | null {
		const names: string[] = [];
		eachFieldOf(this.reader, (tag) => {
			if (tag !== bytes(5)) return;
			eachFieldOf(this.reader, (inner) => {
				if (inner !== FIRST) return;
				eachFieldOf(this.reader, (of) => {
					if (of === FIRST) names.push(this.text());
				});
			});
		});
		return names.length === 1 ? (names[0] ?? null) : null;
	}

	/** envoy.config.core.v3.Metadata: filter_metadata = 1, a map whose entries are key = 1, Struct = 2, in this order. */
	#metadata(): void {
		const draft = this.#draft;
		eachFieldOf(this.reader, (tag) => {
			if (tag !== FIRST) return;
			let namespace = "";
			eachFieldOf(this.reader, (inner) => {
				if (inner === FIRST) namespace = this.text();
				else if (inner !== SECOND) return;
				else if (namespace === RBAC) draft.rbac = this.structTexts();
				else if (SIDECARS.has(namespace)) draft.sidecar ??= answerOf(this.structTexts());
			});
		});
	}

	/** HTTPRequestProperties. */
	#request(end: number): void {
		const { reader } = this;
		const draft = this.#draft;
		let headers: Map<string, string> | null = null;
		while (reader.pos < end) {
			const tag = reader.uint32();
			switch (tag) {
				case FIRST_NUMBER:
					draft.method = METHODS[reader.uint32()] ?? null;
					break;
				case THIRD:
					draft.host = this.#endText();
					break;
				case bytes(5):
					draft.path = this.#endText().split(/[?#]/, 1)[0] ?? "";
					break;
				case bytes(9):
					draft.requestId = this.text();
					break;
				case bytes(13):
					headers ??= new Map();
					this.#header(headers, lengthEnd(reader));
					break;
				case number(15):
					draft.http1HeaderBytes = reader.uint32();
					break;
				default:
					skip(reader, tag);
			}
		}
		draft.headers = headers ?? NO_HEADERS;
	}

	/** An entry of a map of texts. */
	#header(headers: Map<string, string>, end: number): void {
		const { reader } = this;
		let name = "";
		let value = "";
		while (reader.pos < end) {
			const tag = reader.uint32();
			if (tag === FIRST) name = this.text();
			else if (tag === SECOND) value = this.text();
			else skip(reader, tag);
		}
		if (!headers.has(name)) headers.set(name, value);
	}

	/** Only ended requests need these fields, and the kind comes first. */
	#endText(): string {
		if (this.#draft.kind === "end") return this.text();
		this.reader.pos = lengthEnd(this.reader);
		return "";
	}

	/** HTTPResponseProperties. */
	#response(end: number): void {
		const { reader } = this;
		const draft = this.#draft;
		while (reader.pos < end) {
			const tag = reader.uint32();
			if (tag === bytes(6)) draft.codeDetails = this.text();
			else if (tag === FIRST) {
				const valueEnd = lengthEnd(reader);
				while (reader.pos < valueEnd) {
					const inner = reader.uint32();
					if (inner === FIRST_NUMBER) draft.status = reader.uint32();
					else skip(reader, inner);
				}
			} else skip(reader, tag);
		}
	}

	/** ResponseFlags: field 13 is a message (Unauthorized) and is not counted; all others are bool. */
	#flags(): number {
		let flags = 0;
		eachFieldOf(this.reader, (tag) => {
			if ((tag & 7) !== VARINT) return;
			const field = tag >>> 3;
			if (this.reader.uint32() !== 0 && field < 32) flags |= 1 << field;
		});
		return flags;
	}

	/**
	 * google.protobuf.Timestamp or Duration in whole microseconds: an exact double until the year 2255. NaN if the
	 * nanoseconds are out of range: for a time or a non-negative duration they are 0 to 999,999,999.
	 */
	#microseconds(): number {
		const { reader } = this;
		const end = lengthEnd(reader);
		let seconds = 0;
		let nanos = 0;
		while (reader.pos < end) {
			const tag = reader.uint32();
			if (tag === FIRST_NUMBER) seconds = Number(reader.int64());
			else if (tag === SECOND_NUMBER) nanos = reader.int32();
			else skip(reader, tag);
		}
		return nanos >= 0 && nanos < 1e9 ? seconds * 1e6 + Math.floor(nanos / 1e3) : Number.NaN;
	}
}

/**
 * Envoy sets a request's id only after checking its form. The entry of a request refused before that (an escaped slash, a
 * fragment, no Host, `*`, an overload) carries the client's own x-request-id: any text, perhaps a token or the id of another
 * client's request (seen on 1.36.2, 1.38.3 and 1.40.0). So an id is accepted only if a route name or filter metadata show
 * that the request came further.
 */
function hasEnvoysId({ routeName, codeDetails, rbac }: Draft): boolean {
	// weir.allow judges every request except those of closed Services (compile/table/closedVirtualHost.ts), which the router answers.
	return routeName !== "" || codeDetails === "direct_response" || rbac !== null;
}
