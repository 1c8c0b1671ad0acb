/** IP addresses and URLs. The schemas are in host.ts. */

const BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const IPV4 = new RegExp(`^(?:${BYTE}[.]){3}${BYTE}$`);

/** Without a zone (`%eth0`), which differs between machines. */
export function isIp(address: string): boolean {
	return IPV4.test(address) || (/^[0-9A-Fa-f:.]+$/.test(address) && URL.canParse(`http://[${address}]`));
}

/**
 * Whether an address is loopback. Control's servers listen only there, or on a UNIX socket, until their peers are
 * authenticated. A Gateway may listen anywhere.
 */
export function isLoopback(address: string): boolean {
	return isIp(address) && (address.startsWith("127.") || /^(0{0,4}:){2,7}0{0,3}1$/.test(address));
}

/** The canonical form of an IP address: lower case, no leading zeros, IPv4-mapped IPv6 as IPv4. A name is unchanged. */
export function canonicalAddress(address: string): string {
	if (!address.includes(":")) return address;
	const plain = new URL(`http://[${address}]`).hostname.slice(1, -1);
	// IPv4 as IPv6 (RFC 4291 section 2.5.5.2); the URL standard writes its two groups in hex.
	const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(plain);
	return mapped === null ? plain : dotted(Number.parseInt(`${mapped[1]}`, 16), Number.parseInt(`${mapped[2]}`, 16));
}

const dotted = (high: number, low: number): string => [high >> 8, high & 255, low >> 8, low & 255].join(".");

/** A host as a URL writes it (RFC 3986 section 3.2.2), an IPv6 address without its brackets. */
export const bareHost = (host: string): string => host.replace(/^\[(.*)\]$/, "$1");

/** A host and port as a URL writes them. */
export const hostPort = (address: string, port: number): string =>
	`${address.includes(":") ? `[${address}]` : address}:${port}`;

/** As isLoopback, also for `localhost` and bracketed IPv6: not a name that DNS can resolve elsewhere. */
export function isLoopbackHost(host: string): boolean {
	return host.toLowerCase() === "localhost" || isLoopback(bareHost(host));
}

/** An absolute URL with one of these schemes (`https:`), without a fragment, and without credentials, which logs would show. */
export function isUrl(value: string, schemes: readonly string[]): boolean {
	if (!/^[!-~]{1,2048}$/.test(value) || !URL.canParse(value)) return false;
	const url = new URL(value);
	return schemes.includes(url.protocol) && url.username === "" && url.password === "" && !value.includes("#");
}
