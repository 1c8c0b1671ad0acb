/**
 * Messages of clients, with their fields counted before anything is made of them: two bytes are a field, and a million of
 * them stop everybody else's streams for seconds.
 */
import { type DescMessage, fromBinary, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

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

/** @returns how many more there may be */
function count(schema: DescMessage, bytes: Uint8Array, fieldsMax: number, depth: number): number {
	const parts = new Map(schema.fields.map((field) => [field.number, partOf(field)]));
	return countParts((number) => parts.get(number), bytes, fieldsMax, depth);
}

type Part = (bytes: Uint8Array, left: number, depth: number) => number;

function countParts(
	partAt: (number: number) => Part | null | undefined,
	bytes: Uint8Array,
	fieldsMax: number,
	depth: number,
): number {
	if (depth === 0) throw new Error(`a message in more than ${DEPTH_MAX} others`);
	const reader = new BinaryReader(bytes);
	let left = fieldsMax;
	while (reader.pos < reader.len) {
		if (left-- === 0) throw new Error("a message of too many fields");
		const [number, wireType] = reader.tag();
		const part = partAt(number);
		if (part == null || wireType !== WireType.LengthDelimited) reader.skip(wireType, number);
		else left = part(reader.bytes(), left, depth - 1);
	}
	return left;
}

/** null = what it holds is no message. */
function partOf(field: DescMessage["fields"][number]): Part | null {
	const { message } = field;
	if (message == null) return field.fieldKind === "list" && isNumber(field.scalar) ? packed : null;
	const part: Part = (bytes, left, depth) => count(message, bytes, left, depth);
	if (field.fieldKind !== "map") return part;
	return (bytes, left, depth) => countParts((number) => (number === 2 ? part : null), bytes, left, depth);
}

const isNumber = (scalar: ScalarType | undefined): boolean =>
	scalar !== ScalarType.STRING && scalar !== ScalarType.BYTES;

/** Numbers one after the other: no fewer than bytes, at the most. */
const packed: Part = (bytes, left) => {
	if (bytes.length > left) throw new Error("a message of too many fields");
	return left - bytes.length;
};
