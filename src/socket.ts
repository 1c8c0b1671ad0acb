/**
 * UNIX sockets, Weir's doors between its own processes: only the own user gets in, a dead process's file is no
 * obstacle, and a living one is never pushed aside.
 */
import { chmod, lstat, mkdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { WeirError } from "./error.js";
import { SOCKET_PATH_BYTES_MAX } from "./limits.js";

/**
 * Makes the folder (0700) and removes the socket of a dead process.
 * @throws WeirError `invalid-argument` for a path too long, `already-exists` where somebody answers or no socket lies
 */
export async function claimSocket(path: string): Promise<void> {
	if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
		throw new WeirError(
			"invalid-argument",
			`the socket path ${path} is too long`,
			"use a directory with a shorter name",
		);
	}
	await mkdir(dirname(path), { recursive: true, mode: 0o700 });
	const found = await lstat(path).catch(() => null);
	if (found === null) return;
	const alive = await new Promise<boolean>((resolve) => {
		const probe = connect(path, () => {
			probe.destroy();
			resolve(true);
		});
		probe.once("error", () => resolve(false));
	});
	if (alive)
		throw new WeirError("already-exists", `another process listens on ${path}`, "stop it, or use another path");
	if (!found.isSocket()) throw new WeirError("already-exists", `${path} is not a socket`, "use another path");
	await rm(path);
}

/** Only the own user may connect. */
export function restrictSocket(path: string): Promise<void> {
	return chmod(path, 0o600);
}
