/**
 * Units for the parity suite: header values as raw bytes, awkward ones by name and random ones from a seed.
 */

/** The values of the unit header of one request: none, one or several. */
export interface UnitCase {
	readonly name: string;
	readonly values: readonly Buffer[];
}

const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");
const one = (name: string, value: string | Buffer): UnitCase => ({
	name,
	values: [typeof value === "string" ? latin1(value) : value],
});

/** Everything that could make two executions differ. */
export const AWKWARD_UNITS: readonly UnitCase[] = [
	{ name: "absent", values: [] },
	one("empty", ""),
	one("only blanks", " \t "),
	{ name: "repeated, equal", values: [latin1("alice"), latin1("alice")] },
	{ name: "repeated, different", values: [latin1("alice"), latin1("bob")] },
	{ name: "repeated, first empty", values: [latin1(""), latin1("alice")] },
	{ name: "repeated, second empty", values: [latin1("alice"), latin1("")] },
	{ name: "repeated, both empty", values: [latin1(""), latin1("")] },
	{ name: "repeated three times", values: [latin1("a"), latin1("b"), latin1("c")] },
	one("a comma", "alice,bob"),
	one("only a comma", ","),
	one("trailing comma", "alice,"),
	one("leading comma", ",alice"),
	one("neighbours of the comma", "a+b-c"),
	one("one byte", "a"),
	one("lowest printable 0x21", "!"),
	one("highest printable 0x7e", "~"),
	one("all printable but the comma", String.fromCharCode(...range(0x21, 0x7e).filter((code) => code !== 0x2c))),
	one("space inside", "alice smith"),
	one("tab inside", "alice\tsmith"),
	one("spaces around", "  alice  "),
	one("tabs around", "\talice\t"),
	one("mixed blanks around", " \t alice \t "),
	one("colon", "a:b:c"),
	one("looks like salted", "two-arms:alice"),
	one("backslash and references", "\\1\\0$1%REQ(x)%{1}"),
	one("quotes", `"alice'`),
	one("percent-encoded", "%61lice%2Cbob"),
	one("plus and slash", "a+b/c=="),
	one("zero", "0"),
	one("leading zeros", "000123"),
	one("digits", "18446744073709551616"),
	one("negative", "-1"),
	one("upper case", "ALICE"),
	one("lower case", "alice"),
	one("uuid", "550e8400-e29b-41d4-a716-446655440000"),
	one("e-mail", "alice.o'neil+tag@example.com"),
	one("full-width digits", Buffer.from("１２３")),
	one("Arabic-Indic digits", Buffer.from("١٢٣")),
	one("Cyrillic look-alike", Buffer.from("аlice")),
	one("accented, UTF-8", Buffer.from("zoë")),
	one("accented, latin1", Buffer.from("zoë", "latin1")),
	one("emoji", Buffer.from("alice🦫")),
	one("full-width comma", Buffer.from("a，b")),
	one("no-break space, latin1", Buffer.from([0x61, 0xa0])),
	one("no-break space in front", Buffer.from([0xa0, 0x61])),
	one("ideographic space around", Buffer.from("　alice　")),
	one("zero-width space", Buffer.from("ali\u200bce")),
	one("byte order mark", Buffer.from("\ufeffalice")),
	one("invalid UTF-8", Buffer.from([0x61, 0xff, 0xfe, 0x80])),
	one("lone continuation byte", Buffer.from([0x80])),
	one("next line 0x85", Buffer.from([0x61, 0x85])),
	one("255 bytes", "x".repeat(255)),
	one("256 bytes", "y".repeat(256)),
	one("257 bytes", "z".repeat(257)),
	...[7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 127, 128, 129].map((size) => one(`${size} bytes`, "k".repeat(size))),
	one("8 KB", "abcdefgh".repeat(1024)),
	one("8 KB with a space", `${"abcdefgh".repeat(1023)} abcdefg`),
	one("59 KB", "0123456789abcdef".repeat(59 * 64)),
	one("59 KB ending in a comma", `${"0123456789abcdef".repeat(59 * 64 - 1)}0123456789abcde,`),
];

/** Values that Envoy itself may refuse (400): whatever it does, no arm may come of them. */
export const HOSTILE_UNITS: readonly UnitCase[] = [
	one("DEL 0x7f", "alice\x7f"),
	one("only DEL", "\x7f"),
	one("NUL", "ali\0ce"),
	one("bell", "ali\x07ce"),
	one("escape", "\x1balice"),
	one("vertical tab around", "\x0balice\x0b"),
	one("form feed around", "\x0calice\x0c"),
	one("unit separator", "a\x1fb"),
	one("folded line", "alice\r\n bob"),
];

/** Random units: most valid, of many lengths and alphabets; every eighth with a byte that makes it none. */
export function randomUnits(count: number, seed: number): readonly UnitCase[] {
	const random = mulberry32(seed);
	const below = (limit: number) => Math.floor(random() * limit);
	return Array.from({ length: count }, (_, index) => {
		const bytes =
			index % 3 === 0
				? latin1(`user-${below(2 ** 32)}`)
				: Buffer.from(Array.from({ length: 1 + below(index % 7 === 0 ? 120 : 36) }, () => 0x21 + below(94)));
		// 0x2c would be a comma; some are kept on purpose below.
		for (let at = 0; at < bytes.length; at++) if (bytes[at] === 0x2c) bytes[at] = 0x2d;
		if (index % 8 === 7) bytes[below(bytes.length)] = [0x20, 0x2c, 0x80 + below(128)][below(3)] ?? 0x20;
		return { name: `random ${index}: ${bytes.toString("latin1")}`, values: [bytes] };
	});
}

/** A small seeded generator (mulberry32): the same units on every run. */
export function mulberry32(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

function range(from: number, to: number): readonly number[] {
	return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
