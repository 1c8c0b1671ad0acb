/**
 * Reads envoy.service.ext_proc.v3.ProcessingRequest lazily: the event, its headers and the caller's identity. Field
 * numbers: proto/envoy/service/ext_proc/v3.
 */
import { callerOf } from "./caller.js";
import { readHeaderMap } from "./checkRequest.js";
import type { RouteContext } from "./context.js";
import { HeaderList } from "./headerList.js";
import { delimited, expect, malformed, ProtoReader } from "./protoReader.js";
import type { Question, SentHeaders } from "./question.js";

/** The caller's SPIFFE id: the first URI SAN of the client certificate. */
export const PRINCIPAL_ATTRIBUTE = "connection.uri_san_peer_certificate";
/** SHA-256 of that certificate in DER, in hex. */
export const CERTIFICATE_ATTRIBUTE = "connection.sha256_peer_certificate_digest";
/** Address and port. */
export const SOURCE_ATTRIBUTE = "source.address";
const ATTRIBUTES_KEY = "envoy.filters.http.ext_proc";

/** The events, by field number of ProcessingRequest. */
const EVENTS = {
	2: "request_headers",
	3: "response_headers",
	4: "request_body",
	5: "response_body",
	6: "request_trailers",
	7: "response_trailers",
} as const;

export type ProcessingEvent = (typeof EVENTS)[keyof typeof EVENTS];

/** Reads one message at a time; its result is valid until the next message. */
export class ProcessingRequestReader {
	event: ProcessingEvent = "request_headers";
	readonly #reader = new ProtoReader();
	readonly #headers = new HeaderList("list");
	#attributesGiven: Attributes = NO_ATTRIBUTES;

	/** @throws Malformed unless the message is well-formed and one event */
	read(message: Buffer): void {
		const reader = this.#reader;
		reader.reset(message);
		this.#headers.reset(message);
		this.#attributesGiven = NO_ATTRIBUTES;
		let event: ProcessingEvent | null = null;
		const end = message.length;
		while (reader.at < end) {
			const tag = reader.tag(end);
			const field = tag >>> 3;
			if (field === 9) this.#attributes(tag, end);
			else if (field < 2 || field > 7) reader.skip(tag, end);
			else {
				expect(tag, delimited(field));
				const found = EVENTS[field as keyof typeof EVENTS];
				if (event !== null && event !== found) malformed();
				event = found;
				this.#event(field, reader.enter(end));
			}
		}
		this.event = event ?? malformed();
	}

	/** The question of a request-headers event. Headers include pseudo-headers. */
	question(context: RouteContext): Question & SentHeaders {
		return new HeadersQuestion(context, this.#attributesGiven, this.#headers);
	}

	/** HTTP status of response headers; 0 = none. */
	status(): number {
		const text = this.#headers.joined(":status");
		return text !== null && /^[1-9][0-9]{2}$/.test(text) ? Number(text) : 0;
	}

	/** HttpHeaders: headers 1. Bodies and trailers are ignored. */
	#event(field: number, end: number): void {
		const reader = this.#reader;
		if (field > 3) {
			reader.at = end;
			return;
		}
		while (reader.at < end) {
			const tag = reader.tag(end);
			if (tag >>> 3 !== 1) {
				reader.skip(tag, end);
				continue;
			}
			expect(tag, delimited(1));
			readHeaderMap(reader, reader.enter(end), this.#headers);
		}
	}

	/** map<string, Struct> attributes: key 1, value 2. The last entry of a key counts. */
	#attributes(tag: number, outer: number): void {
		expect(tag, delimited(9));
		const reader = this.#reader;
		const end = reader.enter(outer);
		let key = "";
		let attributes = NO_ATTRIBUTES;
		while (reader.at < end) {
			const inner = reader.tag(end);
			if (inner === delimited(1)) key = reader.text(end);
			else if (inner === delimited(2)) attributes = this.#struct(reader.enter(end), attributes);
			else malformed();
		}
		if (key === ATTRIBUTES_KEY) this.#attributesGiven = attributes;
	}

	/** Struct: fields 1, an entry of key 1 and value 2. */
	#struct(end: number, before: Attributes): Attributes {
		const reader = this.#reader;
		let { principal, certificate, source } = before;
		while (reader.at < end) {
			const tag = reader.tag(end);
			if (tag >>> 3 !== 1) {
				reader.skip(tag, end);
				continue;
			}
			expect(tag, delimited(1));
			const entryEnd = reader.enter(end);
			let key = "";
			let value = "";
			while (reader.at < entryEnd) {
				const inner = reader.tag(entryEnd);
				if (inner === delimited(1)) key = reader.text(entryEnd);
				else if (inner === delimited(2)) value = this.#string(reader.enter(entryEnd), value);
				else malformed();
			}
			if (key === PRINCIPAL_ATTRIBUTE) principal = value;
			else if (key === CERTIFICATE_ATTRIBUTE) certificate = value;
			else if (key === SOURCE_ATTRIBUTE) source = value;
		}
		return { principal, certificate, source };
	}

	/** Value: string_value 3, one of six kinds; of several the last counts. */
	#string(end: number, before: string): string {
		const reader = this.#reader;
		let value = before;
		while (reader.at < end) {
			const tag = reader.tag(end);
			if (tag === delimited(3)) value = reader.text(end);
			else {
				if (tag >>> 3 === 3) malformed();
				if (tag >>> 3 <= 6) value = "";
				reader.skip(tag, end);
			}
		}
		return value;
	}
}

/** Attributes from Envoy; empty = absent. */
interface Attributes {
	readonly principal: string;
	readonly certificate: string;
	readonly source: string;
}

const NO_ATTRIBUTES: Attributes = { principal: "", certificate: "", source: "" };

/** A class, because an object literal with getters is slow to create. */
class HeadersQuestion implements Question, SentHeaders {
	readonly plan: string | null;
	readonly service: string | null;
	readonly gateway: string | null;
	readonly assigned: Question["assigned"];
	readonly exposeArm: boolean;
	readonly principal: string | null;
	readonly #attributes: Attributes;
	readonly #headers: HeaderList;

	constructor(
		{ plan, service, gateway, assigned, exposeArm }: RouteContext,
		attributes: Attributes,
		headers: HeaderList,
	) {
		this.plan = plan;
		this.service = service;
		this.gateway = gateway;
		this.principal = callerOf(attributes.principal);
		this.#attributes = attributes;
		this.assigned = assigned;
		this.exposeArm = exposeArm;
		this.#headers = headers;
	}

	get sourceAddress(): string | null {
		return this.#attributes.source.replace(/:[0-9]+$/, "") || null;
	}

	get certificateThumbprint(): string | null {
		const { certificate } = this.#attributes;
		return /^[0-9a-f]{64}$/i.test(certificate) ? Buffer.from(certificate, "hex").toString("base64url") : null;
	}

	get host(): string {
		return this.#headers.joined(":authority") ?? "";
	}

	get method(): string {
		return this.#headers.joined(":method") ?? "";
	}

	get path(): string {
		return this.#headers.joined(":path") ?? "";
	}

	get secure(): boolean {
		return (this.header("x-forwarded-proto") ?? this.header(":scheme") ?? "").toLowerCase() === "https";
	}

	get weirHeaders(): readonly string[] {
		return this.#headers.weirNames();
	}

	header(name: string): string | null {
		return this.#headers.joined(name);
	}

	headerValues(name: string): readonly string[] {
		return this.#headers.values(name);
	}
}
