/** Inputs for parsers: random bytes, and valid messages with mutations that often break parsers; they shrink. */
import fc from "fast-check";

/** Characters with a meaning in many parsers. */
const SPICES: readonly Buffer[] = [
	...[
		"\0",
		"\r\n",
		"\n",
		'"',
		"\\",
		"\\u0000",
		"%00",
		"%2f",
		"%",
		",",
		";",
		"=",
		".",
		"..",
		"//",
		"{",
		"}",
		"[",
		"]",
		":",
		"#",
		"?",
		"@",
	],
	...[
		"null",
		"true",
		"-0",
		"1e999",
		"18446744073709551616",
		'"__proto__":',
		'"alg":"none"',
		"spiffe://",
		";URI=",
		"eyJ",
		"\xff\xfe",
		"\xc0\xaf",
		"é",
		"\ud800",
	],
].map((text) => Buffer.from(text, "latin1"));
const NUMBERS: readonly Buffer[] = [
	"ff",
	"ffffffffffffffffff01",
	"ffffffff0f",
	"80",
	"8080808000",
	"0a00",
	"0affffffff0f",
	"0b",
	"0c",
	"00000000",
	"7fffffff",
].map((hex) => Buffer.from(hex, "hex"));

type Edit = (bytes: Buffer) => Buffer;

const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const at = (bytes: Buffer, where: number): number => Math.floor(where * (bytes.length + 1));

const insert =
	(where: number, what: Uint8Array): Edit =>
	(bytes) => {
		const index = at(bytes, where);
		return Buffer.concat([bytes.subarray(0, index), what, bytes.subarray(index)]);
	};

const edit: fc.Arbitrary<Edit> = fc.oneof(
	fc.tuple(place, fc.constantFrom(...SPICES, ...NUMBERS)).map(([where, what]) => insert(where, what)),
	fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 8 })).map(([where, what]) => insert(where, what)),
	fc.tuple(place, fc.integer({ min: 1, max: 255 })).map(
		([where, bits]): Edit =>
			(bytes) => {
				const copy = Buffer.from(bytes);
				const index = Math.min(at(bytes, where), bytes.length - 1);
				if (index >= 0) copy[index] = (copy[index] ?? 0) ^ bits;
				return copy;
			},
	),
	// Cut off.
	place.map(
		(where): Edit =>
			(bytes) =>
				bytes.subarray(0, at(bytes, where)),
	),
	// A part is missing, doubled, or somewhere else too.
	fc.tuple(place, place).map(
		([a, b]): Edit =>
			(bytes) => {
				const [from, to] = [at(bytes, Math.min(a, b)), at(bytes, Math.max(a, b))];
				return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
			},
	),
	fc.tuple(place, place).map(
		([a, b]): Edit =>
			(bytes) => {
				const [from, to] = [at(bytes, Math.min(a, b)), at(bytes, Math.max(a, b))];
				return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
			},
	),
	fc.tuple(place, place, place).map(
		([a, b, c]): Edit =>
			(bytes) => {
				const [from, to] = [at(bytes, Math.min(a, b)), at(bytes, Math.max(a, b))];
				return insert(c, bytes.subarray(from, Math.min(to, from + 4_096)))(bytes);
			},
	),
);

const mutation = (seeds: readonly Buffer[]): fc.Arbitrary<Buffer> =>
	fc
		.tuple(fc.constantFrom(...seeds), fc.array(edit, { minLength: 1, maxLength: 6 }))
		.map(([seed, edits]) => edits.reduce((bytes, change) => change(bytes), seed));

/** @param seeds valid messages, at least one */
export const inputs = (seeds: readonly Buffer[]): fc.Arbitrary<Buffer> =>
	fc.oneof(
		{ weight: 6, arbitrary: mutation(seeds) },
		{ weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
		{ weight: 1, arbitrary: fc.string({ maxLength: 80 }).map((text) => Buffer.from(text)) },
	);
