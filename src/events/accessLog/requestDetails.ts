/**
 * The rest of an access-log entry, read only when somebody asks about one request: who called, how, and what Envoy
 * says became of it. Field numbers: envoy/data/accesslog/v3/accesslog.proto.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { type AccessLogEntry, codeDetailsOf, ROUTER_FLAGS } from "./accessLogEntry.js";
import { field, LENGTH_DELIMITED, lengthEnd, skip, text, VARINT } from "./fieldReader.js";

export interface RequestDetails {
	/** SPIFFE id: the only URI SAN of the peer certificate that Envoy's TLS layer took; null = no single one was proved. */
	readonly principal: string | null;
	readonly host: string;
	/** null = a method that Envoy's enumeration lacks. */
	readonly method: string | null;
	/** After Envoy's normalisation, without the query, which may hold anything. */
	readonly path: string;
	/** `response_code_details`: where the answer came from, e.g. `via_upstream`; empty = none came. */
	readonly codeDetails: string;
	/** Envoy's short names of the set response flags (access log operator %RESPONSE_FLAGS%). */
	readonly flags: readonly string[];
}

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

/** By field number of envoy.data.accesslog.v3.ResponseFlags. */
const FLAGS: Readonly<Record<number, string>> = {
	1: "LH",
	2: "UH",
	3: "UT",
	4: "LR",
	5: "UR",
	6: "UF",
	7: "UC",
	8: "UO",
	9: "NR",
	10: "DI",
	11: "FI",
	12: "RL",
	14: "RLSE",
	15: "DC",
	16: "URX",
	17: "SI",
	18: "IH",
	19: "DPE",
	20: "UMSDR",
	21: "RFCF",
	22: "NFCF",
	23: "DT",
	24: "UPE",
	25: "NC",
	26: "OM",
	27: "DF",
	28: "DR",
};

/** Of an entry that decodeMessage() or decodeSingle() gave. */
export function requestDetails(entry: AccessLogEntry): RequestDetails {
	const fields = new Fields(entry.message, entry.entryAt, entry.entryEnd);
	const [common] = fields.messages(1);
	const [request] = fields.messages(3);
	const [response] = fields.messages(4);
	// common_properties.tls_properties.peer_certificate_properties.subject_alt_name.uri
	const peers = common?.messages(4).flatMap((tls) => tls.messages(5)) ?? [];
	const names = peers.flatMap((peer) => peer.messages(1)).flatMap((name) => name.text(1) ?? []);
	const [principal = null] = names;
	const path = request?.text(5) ?? "";
	return {
		principal: names.length === 1 ? principal : null,
		host: request?.text(3) ?? "",
		method: METHODS[request?.number(1) ?? 0] ?? null,
		path: path.split(/[?#]/, 1)[0] ?? "",
		codeDetails: response?.text(6) ?? "",
		flags: Object.entries(FLAGS).flatMap(([bit, name]) => ((entry.flags & (1 << Number(bit))) === 0 ? [] : [name])),
	};
}

/** Whether the router, which is behind all filters, began to send it to an upstream. */
export function wasSentOn({ message, entryAt, entryEnd }: AccessLogEntry): boolean {
	const [common] = new Fields(message, entryAt, entryEnd).messages(1);
	// common_properties.upstream_request_attempt_count
	return (common?.number(24) ?? 0) > 0;
}

/**
 * Whether an ended request was sent on, or could not be for want of a server. Envoy names a cluster once its router has a
 * connection, after all filters that refuse; of a client that left while its request waited for one, the attempt alone tells.
 */
export function reachedRouter(entry: AccessLogEntry): boolean {
	return (
		entry.cluster !== "" ||
		(entry.flags & ROUTER_FLAGS) !== 0 ||
		codeDetailsOf(entry) === "via_upstream" ||
		wasSentOn(entry)
	);
}

/** HTTPVersion of the client's side. */
const HTTP11 = 2;

/** Bytes of the request's header as it came by HTTP/1.1; null = by another version, or Envoy does not say. */
export function http1HeaderBytes({ message, entryAt, entryEnd }: AccessLogEntry): number | null {
	const entry = new Fields(message, entryAt, entryEnd);
	// downstream_header_bytes_received
	return entry.number(2) === HTTP11 ? (entry.messages(3)[0]?.number(15) ?? null) : null;
}

/** The fields of one message, looked up by number: nothing here is in a hurry. */
class Fields {
	constructor(
		private readonly bytes: Buffer,
		private readonly from: number,
		private readonly to: number,
	) {}

	/** Every message field of that number, in order. */
	messages(number: number): readonly Fields[] {
		const found: Fields[] = [];
		this.#each((reader, tag) => {
			if (tag !== field(number, LENGTH_DELIMITED)) return false;
			const end = lengthEnd(reader);
			found.push(new Fields(this.bytes, reader.pos, end));
			reader.pos = end;
			return true;
		});
		return found;
	}

	text(number: number): string | null {
		let value: string | null = null;
		this.#each((reader, tag) => {
			if (tag !== field(number, LENGTH_DELIMITED)) return false;
			value = text(reader, this.bytes);
			return true;
		});
		return value;
	}

	number(number: number): number | null {
		let value: number | null = null;
		this.#each((reader, tag) => {
			if (tag !== field(number, VARINT)) return false;
			value = reader.uint32();
			return true;
		});
		return value;
	}

	/** `take` reads the field and answers true, or leaves it. */
	#each(take: (reader: BinaryReader, tag: number) => boolean): void {
		const reader = new BinaryReader(this.bytes);
		reader.pos = this.from;
		while (reader.pos < this.to) {
			const tag = reader.uint32();
			if (!take(reader, tag)) skip(reader, tag);
		}
	}
}
