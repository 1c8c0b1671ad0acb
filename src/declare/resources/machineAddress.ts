/**
 * Addresses that serve only the local machine: cloud metadata with credentials, and link-local. A declared Service or
 * gate must not reach them through Envoy or control (SSRF). Refused in declarations, and again by the webhook after DNS
 * resolution.
 */
import { isIp } from "./address.js";

const LINK_LOCAL = "a link-local address";
const METADATA = "an address of a cloud's metadata";

/** RFC 3927; RFC 4291 section 2.5.6; and the metadata addresses in the documentation of clouds. */
const OWN: readonly (readonly [address: string, bits: number, what: string])[] = [
	["169.254.0.0", 16, LINK_LOCAL],
	["fe80::", 10, LINK_LOCAL],
	// AWS: metadata, credentials of pods, time, DNS.
	["fd00:ec2::", 32, METADATA],
	// Google Cloud, IPv6-only machines.
	["fd20:ce::254", 128, METADATA],
	// Alibaba Cloud, Oracle Cloud, Azure.
	["100.100.100.200", 32, METADATA],
	["192.0.0.192", 32, METADATA],
	["168.63.129.16", 32, METADATA],
];

/** IPv6 prefixes (/96) that embed IPv4: mapped and compatible (RFC 4291 section 2.5.5), translated (RFC 6052). */
const EMBEDDING: ReadonlySet<bigint> = new Set(
	["::ffff:0:0", "::", "64:ff9b::"].map((prefix) => bitsOf(prefix) >> 32n),
);

const RANGES = OWN.map(([address, bits, what]) => {
	const size = address.includes(":") ? 128 : 32;
	const shift = BigInt(size - bits);
	return { size, shift, prefix: bitsOf(address) >> shift, what };
});

/**
 * @param address an IP address, with or without a zone; any other text gives null
 * @returns a description of the address; null = not such an address
 */
export function machineAddress(address: string): string | null {
	const { value, size } = bitsMeant(address) ?? { value: 0n, size: 0 };
	return RANGES.find((range) => range.size === size && value >> range.shift === range.prefix)?.what ?? null;
}

/**
 * Whether a connection to the address reaches the local machine: 127.0.0.0/8, ::1, and the unspecified addresses
 * (0.0.0.0, ::), also embedded in IPv6. Wider than isLoopback (address.ts), which limits listeners.
 * @param address as for machineAddress
 */
export function reachesLocalMachine(address: string): boolean {
	const { value, size } = bitsMeant(address) ?? { value: 0n, size: 0 };
	// ::1 and :: are of the IPv4-compatible ones: 0.0.0.1 and 0.0.0.0, of "this host on this network" (RFC 1122 section 3.2.1.3).
	return size === 32 && (value >> 24n === 127n || value >> 24n === 0n);
}

/** The bits of an address, for an embedded IPv4 address those of IPv4; null = no address. */
function bitsMeant(address: string): { readonly value: bigint; readonly size: 32 | 128 } | null {
	const plain = address.replace(/%.*$/, "");
	if (!isIp(plain)) return null;
	const bits = bitsOf(plain);
	const isIpv4 = !plain.includes(":") || EMBEDDING.has(bits >> 32n);
	return isIpv4 ? { value: bits & 0xffff_ffffn, size: 32 } : { value: bits, size: 128 };
}

function bitsOf(address: string): bigint {
	if (!address.includes(":")) return joined(address.split(".").map(BigInt), 8n);
	// The URL standard writes IPv6 in one way: groups in hex, the longest run of zeros as ::.
	const [before = "", after] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
	const [head, tail] = [before, after ?? ""].map((part) => part.split(":").filter((group) => group !== "")) as [
		string[],
		string[],
	];
	const zeros = Array.from({ length: 8 - head.length - tail.length }, () => "0");
	return joined(
		[...head, ...zeros, ...tail].map((group) => BigInt(`0x${group}`)),
		16n,
	);
}

function joined(parts: readonly bigint[], bits: bigint): bigint {
	return parts.reduce((whole, part) => (whole << bits) | part, 0n);
}
