/**
 * Spellings of a protected path, as dotdotpwn and wfuzz make them: every known way to write a dot,
 * a slash or a letter, to go up and down again, and to put something into or behind a segment. Combined, not listed.
 */

const SLASHES: readonly string[] = [
	...["/", "//", "///", "\\", "/\\", "\\/", "/./", "/.//", "/;/", "/;x/", "/;x=1/", "/.;/", "/%20/", "/%09/"],
	...[
		"%2f",
		"%2F",
		"%5c",
		"%5C",
		"%252f",
		"%252F",
		"%255c",
		"%25252f",
		"%c0%af",
		"%c1%9c",
		"%e0%80%af",
		"%c0%2f",
		"%uff0f",
	],
	...[
		"%u2215",
		"%u002f",
		"%2e%2f",
		"/%2e/",
		"/%2E/",
		"/%2e%2f",
		"%00/",
		"/%00/",
		"/%00",
		"/%0a/",
		"/%0d/",
		"%3b/",
		"/%3b/",
		"?/",
		"#/",
		"%23/",
		"%3f/",
		"/?/",
		"/#/",
	],
	...[
		"/\xc0\xaf",
		"\xc0\xaf",
		"/\xef\xbc\x8f",
		"%ef%bc%8f/",
		"/*/../",
		"/~/../",
		"/x/../",
		"/x//../",
		"/x/%2e%2e/",
		"/x/.%2e/",
		"/x/%2E./",
		"/x/..;/",
		"/x/..\\",
	],
];

const UPS: readonly string[] = [
	...[
		"../",
		"..\\",
		"..%2f",
		"..%2F",
		"..%5c",
		"%2e%2e/",
		"%2e%2e%2f",
		"%2E%2E/",
		".%2e/",
		"%2e./",
		"%252e%252e/",
		"%252e%252e%252f",
	],
	...[
		"..;/",
		"..;x/",
		"..%3b/",
		"..%00/",
		"..%0d/",
		"..%0a/",
		"..%20/",
		"..%09/",
		"..%c0%af",
		"%c0%ae%c0%ae/",
		"%c0%ae%c0%ae%c0%af",
	],
	...[
		"..././",
		"....//",
		"....\\\\",
		"...//",
		".../",
		"../.",
		"..//",
		"..///",
		".//..//",
		"./../",
		"%e0%40%ae%e0%40%ae/",
		"..%u2215",
		"%uff0e%uff0e/",
	],
	...[
		"%25%32%65%25%32%65/",
		"..%25%32%66",
		"..%ef%bc%8f",
		"\xc0\xae\xc0\xae/",
		".\xc0\xae/",
		"..\xc0\xaf",
		"0x2e0x2e/",
		"..%bg%qf",
	],
];

const letter = (word: string, how: (char: string) => string, index: number): string =>
	word.slice(0, index) + how(word[index] ?? "") + word.slice(index + 1);
const hex = (char: string): string => char.charCodeAt(0).toString(16);

function words(word: string): readonly string[] {
	const last = word.length - 1;
	return [
		word,
		letter(word, (char) => `%${hex(char)}`, 0),
		letter(word, (char) => `%${hex(char).toUpperCase()}`, last),
		[...word].map((char) => `%${hex(char)}`).join(""),
		letter(word, (char) => `%25${hex(char)}`, 0),
		letter(word, (char) => `%2525${hex(char)}`, 1),
		letter(word, (char) => `%u00${hex(char)}`, 0),
		...[
			"%00",
			"%20",
			"%09",
			"%0a",
			"%0d",
			"%ff",
			";",
			"%3b",
			".",
			"%2e",
			"?",
			"#",
			"%23",
			"%3f",
			"~",
			"%7f",
			"\\",
			"%5c",
			"\xff",
			"*",
		].flatMap((part) => [word + part, word.slice(0, 2) + part + word.slice(2)]),
	];
}

const TAILS: readonly string[] = [
	...[
		"",
		"/",
		"//",
		"/.",
		"/./",
		"/x/..",
		"/x/../",
		"/%2e",
		"/%2e/",
		"/*",
		"/~",
		"/key",
		"/key/../",
		"/.json",
		".json",
		".html",
		".css",
	],
	...[
		"?",
		"?x",
		"?/v2",
		"??",
		"?;",
		"#",
		"#/v2",
		"%23",
		"%3f",
		"%3fx",
		";",
		";/",
		";x=1",
		";.css",
		"%3b.css",
		"%20",
		"%09",
		"%00",
		"%00.css",
		"%0a",
		"%ff",
		"\\",
		"%5c",
		"%2f",
		"%2f/",
		"..;/",
		"/..;/",
		"\xff",
		"&",
		"/%20",
		"..",
		"...",
	],
];

/**
 * All of them for a path of one or two segments.
 * @param segments e.g. ["v2", "secret"], without anything to escape
 * @returns thousands, each once, in a fixed order
 */
export function spellings(segments: readonly string[]): readonly string[] {
	const found = new Set<string>();
	const plain = segments.join("/");
	const [first = "", ...rest] = segments;
	for (const tail of TAILS) found.add(`/${plain}${tail}`);
	for (const slash of SLASHES) {
		found.add(`${slash}${plain}`);
		found.add(`/${plain}${slash}`);
		found.add(`/${segments.join(slash)}`);
		found.add(`${slash}${segments.join(slash)}${slash}`);
		for (const up of UPS) {
			found.add(`/x${slash}${up}${plain}`);
			found.add(`/v2${slash}x/${up}${up}${plain}`);
		}
		for (const tail of TAILS) found.add(`/${segments.join(slash)}${tail}`);
	}
	for (const up of UPS) {
		for (let depth = 1; depth <= 4; depth++) {
			found.add(`/${"x/".repeat(depth)}${up.repeat(depth)}${plain}`);
			found.add(`/v2/${"x/".repeat(depth - 1)}${up.repeat(depth)}${plain}`);
			found.add(`/${up.repeat(depth)}${plain}`);
			found.add(`/${plain}/${up.repeat(depth)}${plain}`);
		}
		for (const tail of TAILS) found.add(`/v2/${up}${plain}${tail}`);
	}
	for (const word of words(first)) {
		for (const others of rest.length === 0 ? [[]] : rest.map((one) => words(one))) {
			for (const other of others.length === 0 ? [""] : others) {
				const path = other === "" ? word : `${word}/${other}`;
				found.add(`/${path}`);
				for (const slash of ["//", "/./", "/;/", "\\"]) found.add(`${slash}${path}`);
			}
		}
		for (const tail of TAILS) found.add(`/${[word, ...rest].join("/")}${tail}`);
	}
	// Nothing that would end the request line or split it is a path.
	return [...found].filter((path) => !/[\r\n ]/.test(path));
}
