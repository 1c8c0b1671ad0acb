/** Extreme texts of fields: durations, shares, names, addresses, paths, ids, claims, and hostile ones. */
import { PATH_TEMPLATE_CHARS_MAX, SPIFFE_ID_BYTES_MAX } from "../../../src/limits/index.js";

const long = (length: number, of = "a"): string => of.repeat(Math.ceil(length / of.length)).slice(0, length);

/** The longest DNS name: 253 characters in labels of 63. */
const LONGEST_HOST = `${[63, 63, 63, 58].map((length) => long(length)).join(".")}.z`;

const ODD_SEGMENT = "A0._~!$&'()*+,;=:@-";

/** For fields that take any text. */
export const NASTY_TEXTS: readonly string[] = [
	...["eu", "ü", "🙂", "\u202e", "\u0000", "a\nb", "\u007f", "\ud800", long(10_000), long(2_000, "ü"), '"', "\\", "'"],
	...["%REQ(x)%", "%", "(a+)+$", "a]b[c", "{x}", "a b", " ", "#", "-", "a.b", "--"],
];

export const TEXTS: readonly string[] = [
	...["0s", "1ms", "49ms", "50ms", "999ms", "1001ms", "10s", "365d", "366d", "365d23h59m59s999ms"],
	...["0%", "0.0001%", "33.3333%", "50%", "99.9999%", "100%", "0.0001pp", "100pp"],
	...["a", "0", "z9.a-b", long(63), `${long(31)}.${long(31)}`],
	...["*.wild.example", LONGEST_HOST, `*.${LONGEST_HOST.slice(2)}`, "xn--bcher-kva.example", "UPPER.example"],
	...["0.0.0.0", "255.255.255.255", "::", "::1", "::ffff:10.0.0.1", "2001:db8::1", "fd00::1", "localhost", "a.local."],
	...["https://a.example/k", "https://[::1]:443/k", "https://a.example:65535/k?x=%00", "https://a.example:0/k"],
	...["https://a_b.example/k", `https://a.example/${long(2_030)}`, `https://${LONGEST_HOST}/k`, "https://a.example"],
	...["https://ümlaut.example/k", "https://A.EXAMPLE/k", "https://a.example:443/", "https://1.2.3.4/k", "https://a./k"],
	...[
		"https://*/k",
		"https://a.example/{x}",
		'https://a.example/"',
		"https://-/k",
		"https://0x7f.1/k",
		"https://a..b/k",
	],
	...["x-a", "x_a", "!#$%&'*+.^_`|~", `x-${long(126)}`, ":path", "x-user-id"],
	...["/", "/a", `/${ODD_SEGMENT}`, `/${long(1_023)}`, `/${long(511, "a/")}a`, "/%", "/?a=b&c=%zz", `/${long(10_000)}`],
	...["/{a}", "/apis/v1/namespaces/{namespace}/inferenceservices/{name}/versions/{version}/predict"],
	...[`/${long(110)}`, `/${long(PATH_TEMPLATE_CHARS_MAX - 5)}/{a}`, `/{a}/${ODD_SEGMENT}/{b}`],
	// As many variables as fit, with names of two letters at the most.
	variables(PATH_TEMPLATE_CHARS_MAX),
	...["spiffe://a.example/b", "spiffe://a.example/b/*", "*", "anyone"],
	`spiffe://a.example/${long(SPIFFE_ID_BYTES_MAX - "spiffe://a.example/".length)}`,
	`spiffe://${long(255)}/a`,
	...["https://id.example#alice", "https://id.example#*", `https://id.example#${long(1_024)}`, `${long(1_024)}#a`],
	...["https://id.example#ü\u202e🙂", 'https://id.example#"\\%REQ(x)%', "https://id.example#(a+)+$", "other#alice"],
	...["GET", "CONNECT", "M-SEARCH", long(32, "A"), `A${long(31, "-")}`],
	...["sub", Array.from({ length: 4 }, () => long(64)).join("."), `https://x/${long(256, "!~")}`, "a:b/c-d_e"],
	...["Europe/Berlin", "00:00", "24:00", "23:59", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999+23:59"],
	...["true", 'request.method == "GET"', '"clerk" in user.groups', "18446744073709551615", "requests"],
];

function variables(length: number): string {
	let template = "";
	for (let index = 0; ; index++) {
		const name = `${String.fromCharCode(97 + (index % 26))}${index < 26 ? "" : Math.floor(index / 26).toString(36)}`;
		if (template.length + name.length + 3 > length) return template;
		template += `/{${name}}`;
	}
}
