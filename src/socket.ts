/**
 * UNIX sockets, Weir's doors between its own processes: only the own user gets in, a dead process's file is no
 * obstacle, and a living one is never pushed aside. Node cannot ask who is at the other end (SO_PEERCRED); the kernel
 * answers before: into a folder of mode 0700 comes nobody but its owner, to listen or to connect, and root.
 */
import { lstatSync, type Stats } from "node:fs";
import { chmod, lstat, mkdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { WeirError } from "./error.js";
import { SOCKET_PATH_BYTES_MAX } from "./limits.js";

const refuse = (what: string, hint: string): never => {
	throw new WeirError("failed-precondition", what, hint);
};

/**
 * Sockets may lie in the folder: it is one, no link to one, the own user's, and nobody else may enter it.
 * @throws WeirError `failed-precondition` where it is not; `not-found` where there is none
 */
export function requireOwnFolder(folder: string): void {
	const found = statOf(folder);
	if (!found.isDirectory()) refuse(`${folder} is no directory, or a link`, "name the directory itself");
	if ((found.mode & 0o077) !== 0) refuse(`other users can enter ${folder}`, `chmod 700 ${folder}, or name another`);
	if (found.uid !== process.getuid?.()) refuse(`${folder} belongs to another user`, "use a directory of your own");
}

/**
 * The same for who connects; root may also ask another user's processes.
 * @throws WeirError as requireOwnFolder
 */
export function requireOwnersFolder(folder: string): void {
	if (process.getuid?.() !== 0) requireOwnFolder(folder);
	else if ((statOf(folder).mode & 0o077) !== 0) refuse(`other users can enter ${folder}`, `chmod 700 ${folder}`);
}

/**
 * A foreign agent's socket (SPIRE's) is for many users; but who may write in its folder could be the agent.
 * @throws WeirError `failed-precondition` where others than its owner can write there; `not-found` where there is none
 */
export function requireAgentsFolder(folder: string): void {
	if ((statOf(folder).mode & 0o022) !== 0) refuse(`others can write in ${folder}`, `chmod go-w ${folder}`);
}

function statOf(folder: string): Stats {
	const found = lstatSync(folder, { throwIfNoEntry: false });
	if (found === undefined) throw new WeirError("not-found", `there is no directory ${folder}`, "mkdir -m 700 it");
	return found;
}

/**
 * Makes the folder (0700) and removes the socket of a dead process.
 * @throws WeirError `invalid-argument` for a path too long, `failed-precondition` for a folder that is not the own
 * user's alone, `already-exists` where somebody answers or no socket lies
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
	requireOwnFolder(dirname(path));
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
