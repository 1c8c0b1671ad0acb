/**
 * Reads envoy.service.auth.v3.CheckRequest lazily: a full decoder costs several times as much, and only ten of some sixty
 * fields are used. Field numbers: proto/envoy/service/auth/v3. Repeated messages are merged, as in every protobuf decoder.
 */
import { createHash } from "node:crypto";
import { callerOf } from "./caller.js";
import { type RouteContext, routeContext } from "./context.js";
import { HeaderList } from "./headerList.js";
import { delimited, expect, malformed, ProtoReader } from "./protoReader.js";
import type { Question, SentHeaders } from "./question.js";

/** Reads one message at a time: a question is valid until the next is read. */
export class CheckRequestReader implements Question, SentHeaders {
	plan: string | null = null;
	service: string | null = null;
	gateway: string | null = null;
	assigned: Question["assigned"] = null;
	exposeArm = false;
	host = "";
	method = "";
	path = "";
	principal: string | null = null;
	sourceAddress: string | null = null;

	readonly #reader = new ProtoReader();
	/** header_map, which our Envoys send; else `headers`, where a repeated header is one value. */
	readonly #list = new HeaderList("list");
	readonly #map = new HeaderList("map");
	readonly #context = new HeaderList("map");
	#scheme = "";
	#hasHttp = false;
	/** Position of the peer's certificate (URL-encoded PEM), which is rarely read. */
	#certificateAt = 0;
	#certificateEnd = 0;

	/** @throws Malformed unless the message is a well-formed check of an HTTP request */
	read(message: Buffer): Question & SentHeaders {
		const reader = this.#reader;
		reader.reset(message);
		this.#list.reset(message);
		this.#map.reset(message);
		this.#context.reset(message);
		this.host = "";
		this.method = "";
		this.path = "";
		this.principal = null;
		this.sourceAddress = null;
		this.#certificateAt = 0;
		this.#certificateEnd = 0;
		this.#scheme = "";
		this.#hasHttp = false;
		const end = message.length;
		while (reader.at < end) {
			const tag = reader.tag(end);
			if (tag >>> 3 !== 1) reader.skip(tag, end);
			else this.#attributes(tag, end);
		}
		if (!this.#hasHttp) malformed();
		const context: RouteContext = routeContext(this.#contextValue);
		this.plan = context.plan;
		this.service = context.service;
		this.gateway = context.gateway;
		this.assigned = context.assigned;
		this.exposeArm = context.exposeArm;
		return this;
	}

	readonly #contextValue = (key: string): string | null => this.#context.joined(key);

	/** Whether the client uses TLS, by x-forwarded-proto, else by scheme. */
	get secure(): boolean {
		return (this.#headers.joined("x-forwarded-proto") ?? this.#scheme).toLowerCase() === "https";
	}

	get #headers(): HeaderList {
		return this.#list.size > 0 ? this.#list : this.#map;
	}

	get certificateThumbprint(): string | null {
		if (this.#certificateEnd === this.#certificateAt) return null;
		return thumbprint(this.#reader.bytes.toString("latin1", this.#certificateAt, this.#certificateEnd));
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

	/** AttributeContext: source 1, request 4, context_extensions 10. */
	#attributes(tag: number, outer: number): void {
		expect(tag, delimited(1));
		const reader = this.#reader;
		const end = reader.enter(outer);
		while (reader.at < end) {
			const inner = reader.tag(end);
			const field = inner >>> 3;
			if (field !== 1 && field !== 4 && field !== 10) {
				reader.skip(inner, end);
				continue;
			}
			expect(inner, delimited(field));
			const innerEnd = reader.enter(end);
			if (field === 1) this.#peer(innerEnd);
			else if (field === 4) this.#request(innerEnd);
			else this.#context.read(reader, innerEnd);
		}
	}

	/** Peer: address 1, principal 4, certificate 5. */
	#peer(end: number): void {
		const reader = this.#reader;
		while (reader.at < end) {
			const tag = reader.tag(end);
			const field = tag >>> 3;
			if (field !== 1 && field !== 4 && field !== 5) {
				reader.skip(tag, end);
				continue;
			}
			expect(tag, delimited(field));
			if (field === 1) this.#address(reader.enter(end));
			else if (field === 4) this.principal = callerOf(reader.text(end));
			else {
				this.#certificateEnd = reader.enter(end);
				this.#certificateAt = reader.at;
				reader.at = this.#certificateEnd;
			}
		}
	}

	/** core.Address: socket_address 1; SocketAddress: address 2. */
	#address(end: number): void {
		const reader = this.#reader;
		while (reader.at < end) {
			const tag = reader.tag(end);
			if (tag >>> 3 !== 1) {
				reader.skip(tag, end);
				continue;
			}
			expect(tag, delimited(1));
			const innerEnd = reader.enter(end);
			while (reader.at < innerEnd) {
				const inner = reader.tag(innerEnd);
				if (inner === delimited(2)) this.sourceAddress = reader.text(innerEnd) || null;
				else reader.skip(inner, innerEnd);
			}
		}
	}

	/** Request: http 2. */
	#request(end: number): void {
		const reader = this.#reader;
		while (reader.at < end) {
			const tag = reader.tag(end);
			if (tag >>> 3 !== 2) {
				reader.skip(tag, end);
				continue;
			}
			expect(tag, delimited(2));
			this.#http(reader.enter(end));
		}
	}

	/** HttpRequest: method 2, headers 3, path 4, host 5, scheme 6, header_map 13. */
	#http(end: number): void {
		const reader = this.#reader;
		this.#hasHttp = true;
		while (reader.at < end) {
			const tag = reader.tag(end);
			switch (tag) {
				case delimited(2):
					this.method = reader.text(end);
					break;
				case delimited(3):
					this.#map.read(reader, reader.enter(end));
					break;
				case delimited(4):
					this.path = reader.text(end);
					break;
				case delimited(5):
					this.host = reader.text(end);
					break;
				case delimited(6):
					this.#scheme = reader.text(end);
					break;
				case delimited(13):
					readHeaderMap(reader, reader.enter(end), this.#list);
					break;
				default:
					if (KNOWN.has(tag >>> 3)) malformed();
					reader.skip(tag, end);
			}
		}
	}
}

const KNOWN = new Set([2, 3, 4, 5, 6, 13]);

/** envoy.config.core.v3.HeaderMap: headers 1. */
export function readHeaderMap(reader: ProtoReader, end: number, headers: HeaderList): void {
	while (reader.at < end) {
		const tag = reader.tag(end);
		if (tag >>> 3 !== 1) {
			reader.skip(tag, end);
			continue;
		}
		expect(tag, delimited(1));
		headers.read(reader, reader.enter(end));
	}
}

/** SHA-256 of the certificate in DER, base64url; null if it is no certificate. @param encoded URL-encoded PEM */
export function thumbprint(encoded: string): string | null {
	let pem: string;
	try {
		pem = decodeURIComponent(encoded);
	} catch {
		return null;
	}
	const match = /^-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/.exec(pem);
	if (match === null) return null;
	return createHash("sha256")
		.update(Buffer.from(match[1] ?? "", "base64"))
		.digest("base64url");
}
