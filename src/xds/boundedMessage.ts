/**
 * Messages of clients, with their fields counted before anything is made of them: two bytes are a field, and a million of
 * them stop everybody else's streams for seconds.
 */
import { type DescMessage, fromBinary, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { once } from "../resources/once.js";

/** Messages in messages; deeper ones have no place in what clients tell here. */
const DEPTH_MAX = 32;

/** @throws Error for bytes that are no such message, or one of more fields, those of its parts too; unknown ones are left out */
export function readBounded<Desc extends DescMessage>(
	schema: Desc,
	bytes: Uint8Array,
	fieldsMax: number,
): MessageShape<Desc> {
	count(schema, bytes, fieldsMax, DEPTH_MAX);
	return fromBinary(schema, bytes, { readUnknownFields: false });
}

type Part = (bytes: Uint8Array, left: number, depth: number) => number;

/** A field of the schema. */
interface Known {
	/** How it is written: the decoder reads it as the schema says, whatever its tag does. null = not at all. */
	readonly wireType: WireType | null;
	/** null = what it holds is no message. */
	readonly part: Part | null;
}

type KnownAt = (number: number) => Known | undefined;

const knownFields = once((schema: DescMessage): KnownAt => {
	const known = new Map(schema.fields.map((field) => [field.number, knownOf(field)]));
	return (number) => known.get(number);
});

/** @returns how many more there may be */
const count = (schema: DescMessage, bytes: Uint8Array, fieldsMax: number, depth: number): number =>
	countParts(knownFields(schema), bytes, fieldsMax, depth);

function countParts(knownAt: KnownAt, bytes: Uint8Array, fieldsMax: number, depth: number): number {
	if (depth === 0) throw new Error(`a message in more than ${DEPTH_MAX} others`);
	const reader = new BinaryReader(bytes);
	let left = fieldsMax;
	while (reader.pos < reader.len) {
		if (left-- === 0) throw new Error("a message of too many fields");
		const [number, wireType] = reader.tag();
		const known = knownAt(number);
		if (known !== undefined && known.wireType !== wireType) throw new Error("a field of another type");
		if (known?.part == null) reader.skip(wireType, number);
		else left = known.part(reader.bytes(), left, depth - 1);
	}
	return left;
}

/** The decoder skips nothing in a map's entry: what is unknown there it would read as more of the entry. */
const REFUSED: Known = { wireType: null, part: null };

function knownOf(field: DescMessage["fields"][number]): Known {
	const { message } = field;
	const part: Part | null = message == null ? null : (bytes, left, depth) => count(message, bytes, left, depth);
	// No list of numbers has a place in what clients tell here, so packed ones are no form of any.
	const own = { wireType: part === null ? wireTypeOf(field.scalar) : WireType.LengthDelimited, part };
	if (field.fieldKind !== "map") return own;
	const key: Known = { wireType: wireTypeOf(field.mapKey), part: null };
	const inEntry: KnownAt = (number) => (number === 1 ? key : number === 2 ? own : REFUSED);
	return {
		wireType: WireType.LengthDelimited,
		part: (bytes, left, depth) => countParts(inEntry, bytes, left, depth),
	};
}

/** @param scalar undefined = an enumeration */
function wireTypeOf(scalar: ScalarType | undefined): WireType {
	switch (scalar) {
		case ScalarType.STRING:
		case ScalarType.BYTES:
			return WireType.LengthDelimited;
		case ScalarType.DOUBLE:
		case ScalarType.FIXED64:
		case ScalarType.SFIXED64:
			return WireType.Bit64;
		case ScalarType.FLOAT:
		case ScalarType.FIXED32:
		case ScalarType.SFIXED32:
			return WireType.Bit32;
		default:
			return WireType.Varint;
	}
}
