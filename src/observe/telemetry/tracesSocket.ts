/** Where a process of Weir sends spans when no standard variable names a place: the embedded store's UNIX socket. */

/** Environment variable of the socket, for those who start processes. */
export const TRACES_SOCKET = "WEIR_TRACES_SOCKET";

/** @returns null where none is named, or spans are switched off */
export function tracesSocket(environment: Readonly<Record<string, string | undefined>>): string | null {
	const path = environment[TRACES_SOCKET]?.trim();
	return path === undefined || path === "" || environment.OTEL_TRACES_EXPORTER?.trim() === "none" ? null : path;
}
