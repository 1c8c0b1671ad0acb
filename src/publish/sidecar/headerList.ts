/**
 * Headers of one message as offsets into its bytes; a value is copied only when it is read. Names are compared without
 * ASCII case (keys of a map exactly), values are latin1. Reused for all messages.
 */
import { WEIR_HEADER_PREFIX } from "../../compile/plan/headers.js";
import { delimited, expect, malformed, type ProtoReader } from "./protoReader.js";

/** Numbers per header: start and end of its name and of its value. */
const STRIDE = 4;

const PREFIX = WEIR_HEADER_PREFIX.length;

export class HeaderList {
	#bytes: Buffer = Buffer.alloc(0);
	#places = new Int32Array(STRIDE * 64);
	#used = 0;
	/** Whether any name begins with x-weir-. */
	#weir = false;

	/**
	 * @param of "list": of HeaderMap, where each value of a repeated header has an entry. "map": of a
	 * map<string, string>, where a later entry replaces an earlier one of the same key.
	 */
	constructor(private readonly of: "list" | "map") {}

	/** Number of entries. */
	get size(): number {
		return this.#used / STRIDE;
	}

	reset(bytes: Buffer): void {
		this.#bytes = bytes;
		this.#used = 0;
		this.#weir = false;
	}

	/**
	 * Adds one entry, up to `end`: envoy.config.core.v3.HeaderValue (key 1, value 2, raw_value 3), or an entry of a
	 * map<string, string>. An absent field is empty; the last of a repeated field counts; raw_value wins over value.
	 */
	read(reader: ProtoReader, end: number): void {
		let nameAt = 0;
		let nameEnd = 0;
		let valueAt = 0;
		let valueEnd = 0;
		let rawAt = 0;
		let rawEnd = 0;
		while (reader.at < end) {
			const tag = reader.tag(end);
			const field = tag >>> 3;
			if (field > 3 && this.of === "list") {
				reader.skip(tag, end);
				continue;
			}
			// No encoder writes other fields into a map entry, and decoders differ on them.
			if (field > 2 && this.of === "map") malformed();
			expect(tag, delimited(field));
			const inner = reader.enter(end);
			if (field === 1) {
				nameAt = reader.at;
				nameEnd = inner;
			} else if (field === 2) {
				valueAt = reader.at;
				valueEnd = inner;
			} else {
				rawAt = reader.at;
				rawEnd = inner;
			}
			reader.at = inner;
		}
		if (rawEnd > rawAt) {
			valueAt = rawAt;
			valueEnd = rawEnd;
		}
		const at = this.#used;
		this.#used += STRIDE;
		if (this.#used > this.#places.length) this.#grow();
		const places = this.#places;
		places[at] = nameAt;
		places[at + 1] = nameEnd;
		places[at + 2] = valueAt;
		places[at + 3] = valueEnd;
		// Checked first: it excludes most names.
		if (nameEnd - nameAt >= PREFIX && this.#bytes[nameAt + PREFIX - 1] === 0x2d && this.#isWeir(nameAt)) {
			this.#weir = true;
		}
	}

	#grow(): void {
		const larger = new Int32Array(this.#places.length * 2);
		larger.set(this.#places);
		this.#places = larger;
	}

	#isWeir(nameAt: number): boolean {
		return this.#bytes.toString("latin1", nameAt, nameAt + PREFIX).toLowerCase() === WEIR_HEADER_PREFIX;
	}

	/** Index of the first entry of that name from `start` on; -1 = none. */
	#find(name: string, start: number): number {
		for (let at = start; at < this.#used; at += STRIDE) if (this.#isNamed(at, name)) return at;
		return -1;
	}

	/** In a map: the last entry of that name; -1 = none. */
	#last(name: string): number {
		for (let at = this.#used - STRIDE; at >= 0; at -= STRIDE) if (this.#isNamed(at, name)) return at;
		return -1;
	}

	#isNamed(at: number, name: string): boolean {
		const nameAt = this.#places[at] ?? 0;
		const { length } = name;
		if ((this.#places[at + 1] ?? 0) - nameAt !== length) return false;
		const bytes = this.#bytes;
		const folds = this.of === "list";
		for (let index = 0; index < length; index++) {
			let code = bytes[nameAt + index] ?? 0;
			if (folds && code >= 0x41 && code <= 0x5a) code |= 0x20;
			if (code !== name.charCodeAt(index)) return false;
		}
		return true;
	}

	#value(at: number): string {
		return this.#bytes.toString("latin1", this.#places[at + 2] ?? 0, this.#places[at + 3] ?? 0);
	}

	/** Values joined by commas; null = none. @param name lower case */
	joined(name: string): string | null {
		if (this.of === "map") {
			const last = this.#last(name);
			return last < 0 ? null : this.#value(last);
		}
		let at = this.#find(name, 0);
		if (at < 0) return null;
		let value = this.#value(at);
		for (at = this.#find(name, at + STRIDE); at >= 0; at = this.#find(name, at + STRIDE))
			value += `,${this.#value(at)}`;
		return value;
	}

	/** All values in order; at most one in a map. @param name lower case */
	values(name: string): readonly string[] {
		if (this.of === "map") {
			const last = this.#last(name);
			return last < 0 ? [] : [this.#value(last)];
		}
		const values: string[] = [];
		for (let at = this.#find(name, 0); at >= 0; at = this.#find(name, at + STRIDE)) values.push(this.#value(at));
		return values;
	}

	/** Names of the x-weir- headers, lower case, in order. */
	weirNames(): readonly string[] {
		if (!this.#weir) return NO_NAMES;
		const names: string[] = [];
		for (let at = 0; at < this.#used; at += STRIDE) {
			const nameAt = this.#places[at] ?? 0;
			const nameEnd = this.#places[at + 1] ?? 0;
			if (nameEnd - nameAt >= PREFIX && this.#isWeir(nameAt)) {
				names.push(this.#bytes.toString("latin1", nameAt, nameEnd).toLowerCase());
			}
		}
		return names;
	}
}

const NO_NAMES: readonly string[] = [];
