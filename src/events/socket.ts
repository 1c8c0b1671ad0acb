/** UNIX sockets: taking over a path that a dead process left behind, and keeping others out. */
import { chmodSync, existsSync, mkdirSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { WeirError } from "../error.js";

/** Longest path of a UNIX socket on Linux (sockaddr_un.sun_path, without its end mark). */
const SOCKET_PATH_BYTES_MAX = 107;

/** Makes the folder (0700) and removes a dead socket. Throws `already-exists` where somebody answers. */
export async function claimSocket(path: string): Promise<void> {
	if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
		throw new WeirError(
			"invalid-argument",
			`the socket path ${path} is too long`,
			"use a directory with a shorter name",
		);
	}
	mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
	if (!existsSync(path)) return;
	const alive = await new Promise<boolean>((resolve) => {
		const probe = connect(path);
		probe.once("connect", () => {
			probe.destroy();
			resolve(true);
		});
		probe.once("error", () => resolve(false));
	});
	if (alive) {
		throw new WeirError("already-exists", `another process listens on ${path}`, "stop it, or use another socket path");
	}
	unlinkSync(path);
}

/** Only the own user may connect. */
export function restrictSocket(path: string): void {
	chmodSync(path, 0o600);
}
