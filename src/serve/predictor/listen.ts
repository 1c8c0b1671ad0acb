/**
 * Listening addresses of the predictor. Without an identity (mTLS) only the loopback or a UNIX socket is allowed, because
 * the predictor cannot check that requests came through the mesh.
 */
import type { Server } from "node:http";
import { type AddressInfo, isIPv4, isIPv6 } from "node:net";
import { isLoopback } from "../../declare/resources/address.js";
import { WeirError } from "../../error.js";

/**
 * Listen backlog. With Node's 511 a burst of connections hit Envoy's connect timeout (503). The kernel has its own limit
 * (Linux: net.core.somaxconn, 4,096).
 */
const PREDICTOR_BACKLOG = 4_096;

export type ListenAddress =
	| { readonly kind: "socket"; readonly path: string }
	| { readonly kind: "tcp"; readonly host: string; readonly port: number };

/**
 * @param address an IP address, `localhost`, or `unix:/path/to/socket`
 * @param port 0 = any free port; not used for a socket
 * @param identified the server requires mTLS
 * @throws WeirError `invalid-argument` for other addresses, and beyond the loopback without mTLS
 */
export function listenAddress(address: string, port: number, identified: boolean): ListenAddress {
	if (address.startsWith("unix:")) {
		const path = address.slice("unix:".length);
		if (!path.startsWith("/")) throw new WeirError("invalid-argument", `'${address}' is no absolute socket path`);
		return { kind: "socket", path };
	}
	const host = address === "localhost" ? "127.0.0.1" : address;
	if (!isLoopback(host) && !(identified && (isIPv4(host) || isIPv6(host)))) {
		throw new WeirError(
			"invalid-argument",
			`the predictor does not listen on '${address}'`,
			identified
				? "write an IP address, localhost or unix:/path"
				: "use 127.0.0.1, ::1 or unix:/path, or give it an identity: it cannot check without one that a request came through the mesh",
		);
	}
	if (!Number.isInteger(port) || port < 0 || port > 65_535) {
		throw new WeirError("invalid-argument", `${port} is no port`, "use 0 (any free port) to 65535");
	}
	return { kind: "tcp", host, port };
}

/**
 * Starts listening.
 * @returns `SCHEME://host:port`, or `unix:/path`
 * @throws WeirError `failed-precondition` if the address is in use or not allowed
 */
export function listen(server: Server, address: ListenAddress, scheme: "http" | "https"): Promise<string> {
	return new Promise((resolve, reject) => {
		const onError = (error: NodeJS.ErrnoException): void => {
			const where = address.kind === "socket" ? address.path : `${address.host}:${address.port}`;
			const hint = error.code === "EADDRINUSE" ? "another process listens there, or left its socket file behind" : "";
			reject(new WeirError("failed-precondition", `cannot listen on ${where}: ${error.code}`, hint, { cause: error }));
		};
		server.once("error", onError);
		const onListening = (): void => {
			server.off("error", onError);
			if (address.kind === "socket") {
				resolve(`unix:${address.path}`);
				return;
			}
			const { port } = server.address() as AddressInfo;
			resolve(`${scheme}://${isIPv6(address.host) ? `[${address.host}]` : address.host}:${port}`);
		};
		const backlog = PREDICTOR_BACKLOG;
		if (address.kind === "socket") server.listen({ path: address.path, backlog }, onListening);
		else server.listen({ port: address.port, host: address.host, backlog }, onListening);
	});
}
