/** IP addresses and URLs. As fields of a declaration: host.ts. */

const BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const IPV4 = new RegExp(`^(?:${BYTE}[.]){3}${BYTE}$`);

/** Without a zone (`%eth0`), which means another link on each machine. */
export function isIp(address: string): boolean {
	return IPV4.test(address) || (/^[0-9A-Fa-f:.]+$/.test(address) && URL.canParse(`http://[${address}]`));
}

/**
 * Whether an address is this machine's own. Control's parts listen on nothing else (or a UNIX socket) until their
 * peers are authenticated; the Gateway is not one of them.
 */
export function isLoopback(address: string): boolean {
	return isIp(address) && (address.startsWith("127.") || /^(0{0,4}:){2,7}0{0,3}1$/.test(address));
}

/** An IP address in one spelling: lower case, without zeros, an IPv4 one also where it is written as IPv6. A name as it is. */
export function oneSpelling(address: string): string {
	if (!address.includes(":")) return address;
	const plain = new URL(`http://[${address}]`).hostname.slice(1, -1);
	// IPv4 as IPv6 (RFC 4291 section 2.5.5.2); the URL standard writes its two groups in hex.
	const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(plain);
	return mapped === null ? plain : dotted(Number.parseInt(`${mapped[1]}`, 16), Number.parseInt(`${mapped[2]}`, 16));
}

const dotted = (high: number, low: number): string => [high >> 8, high & 255, low >> 8, low & 255].join(".");

/** A host as a URL writes it (RFC 3986 section 3.2.2), an IPv6 address without its brackets. */
export const bareHost = (host: string): string => host.replace(/^\[(.*)\]$/, "$1");

/** The other way round, with a port. */
export const hostPort = (address: string, port: number): string =>
	`${address.includes(":") ? `[${address}]` : address}:${port}`;

/** As isLoopback, but also by name, or as a URL writes an IPv6 address: what DNS cannot lead elsewhere. */
export function isLoopbackHost(host: string): boolean {
	return host.toLowerCase() === "localhost" || isLoopback(bareHost(host));
}

/** An absolute URL with one of these schemes (`https:`), without credentials, which logs would show, and fragment. */
export function isUrl(value: string, schemes: readonly string[]): boolean {
	if (!/^[!-~]{1,2048}$/.test(value) || !URL.canParse(value)) return false;
	const url = new URL(value);
	return schemes.includes(url.protocol) && url.username === "" && url.password === "" && !value.includes("#");
}
