/** The embedded store's UNIX socket, which gets a process's spans if no standard variable names an endpoint. */

/** Environment variable with the socket path. */
export const TRACES_SOCKET = "WEIR_TRACES_SOCKET";

/** @returns null if no socket is set, or spans are switched off */
export function tracesSocket(environment: Readonly<Record<string, string | undefined>>): string | null {
	const path = environment[TRACES_SOCKET]?.trim();
	return path === undefined || path === "" || environment.OTEL_TRACES_EXPORTER?.trim() === "none" ? null : path;
}
