/**
 * UNIX sockets between Weir's processes, for the own user only. Node cannot read SO_PEERCRED, so the folder is the access
 * control: with mode 0700 only its owner and root can listen or connect. The parent folders are checked too, because a user
 * who can rename there could replace the folder (like StrictModes of OpenSSH).
 */
import { lstatSync, readlinkSync, type Stats } from "node:fs";
import { chmod, lstat, mkdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { dirname, join, resolve, sep } from "node:path";
import { WeirError } from "../../error.js";
import { SOCKET_PATH_BYTES_MAX } from "../../limits/index.js";

const refuse = (what: string, hint: string): never => {
	throw new WeirError("failed-precondition", what, hint);
};

/**
 * Requires a folder (no link) of the own user that other users can neither enter nor replace.
 * @throws WeirError `failed-precondition`; `not-found` if there is none
 */
export function requireOwnFolder(folder: string): void {
	const found = statOf(folder);
	if (!found.isDirectory()) refuse(`${folder} is no directory, or a link`, "name the directory itself");
	if ((found.mode & 0o077) !== 0) refuse(`other users can enter ${folder}`, `chmod 700 ${folder}, or name another`);
	if (found.uid !== process.getuid?.()) refuse(`${folder} belongs to another user`, "use a directory of your own");
	requireSafeParents(folder, { users: [found.uid], groups: [process.getgid?.() ?? ROOT] });
}

/**
 * The same check for clients; root may also connect to another user's processes.
 * @throws WeirError as requireOwnFolder
 */
export function requireOwnersFolder(folder: string): void {
	if (process.getuid?.() !== ROOT) {
		requireOwnFolder(folder);
		return;
	}
	const { mode, uid, gid } = statOf(folder);
	if ((mode & 0o077) !== 0) refuse(`other users can enter ${folder}`, `chmod 700 ${folder}`);
	requireSafeParents(folder, { users: [uid], groups: [gid] });
}

/**
 * The check for the socket of another agent (SPIRE), which many users may use: a user who can write in its folder could
 * impersonate the agent.
 * @throws WeirError `failed-precondition` if other users can write in the folder or replace it; `not-found` if there is none
 */
export function requireAgentsFolder(folder: string): void {
	const { mode, uid } = statOf(folder);
	if ((mode & 0o022) !== 0) refuse(`others can write in ${folder}`, `chmod go-w ${folder}`);
	requireSafeParents(folder, { users: [uid, process.getuid?.() ?? ROOT], groups: [process.getgid?.() ?? ROOT] });
}

const ROOT = 0;
/** MAXSYMLINKS of Linux. */
const LINKS_MAX = 40;

/** Besides root: the users who may own parent folders and links, and the groups that may write in them. */
export interface Trusted {
	readonly users: readonly number[];
	readonly groups: readonly number[];
}

/**
 * Why other users could replace entries of this folder or the target of this link; null = they could not. In a sticky
 * folder (/tmp) users can rename only their own entries. Writable by the own group is safe: with user-private groups
 * (Debian, Ubuntu, Fedora) it has one member, and mkdir creates mode 0775.
 */
export function parentFault(
	{ uid, gid, mode }: Pick<Stats, "uid" | "gid" | "mode">,
	kind: "folder" | "link",
	{ users, groups }: Trusted,
): "belongs to another user" | "lets other users write" | null {
	if (uid !== ROOT && !users.includes(uid)) return "belongs to another user";
	// A link's mode has no meaning.
	if (kind === "link" || (mode & 0o1000) !== 0) return null;
	const open = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && !groups.includes(gid));
	return open ? "lets other users write" : null;
}

/** Checks every folder and link on the path, as the kernel resolves it. */
function requireSafeParents(folder: string, trusted: Trusted): void {
	let at: string = sep;
	const left = resolve(folder).split(sep).filter(Boolean);
	for (let links = 0; left.length > 0; ) {
		check(at, statOf(at), "folder");
		const next = join(at, left.shift() ?? "");
		const found = statOf(next);
		if (!found.isSymbolicLink()) {
			at = next;
			continue;
		}
		check(next, found, "link");
		if (++links > LINKS_MAX) refuse(`${folder} lies behind too many links`, "name the directory itself");
		const target = resolve(at, readlinkSync(next));
		left.unshift(...target.split(sep).filter(Boolean));
		at = sep;
	}

	function check(place: string, found: Stats, kind: "folder" | "link"): void {
		const fault = parentFault(found, kind, trusted);
		if (fault === null) return;
		const cure = fault === "lets other users write" ? `chmod go-w ${place}, or chmod +t ${place}; or ` : "";
		refuse(
			`${place} ${fault}, who could put another directory in place of ${folder}`,
			`${cure}name a directory elsewhere`,
		);
	}
}

function statOf(folder: string): Stats {
	const found = lstatSync(folder, { throwIfNoEntry: false });
	if (found === undefined) throw new WeirError("not-found", `there is no directory ${folder}`, "mkdir -m 700 it");
	return found;
}

/**
 * Creates the folder (0700) and removes the socket of a dead process.
 * @throws WeirError `invalid-argument` for a path that is too long, `failed-precondition` for a folder that other users can
 *   enter, `already-exists` if a process listens there or the file is no socket
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
	if (await isAnswered(path))
		throw new WeirError("already-exists", `another process listens on ${path}`, "stop it, or use another path");
	if (!found.isSocket()) throw new WeirError("already-exists", `${path} is not a socket`, "use another path");
	await rm(path);
}

/** Whether a process listens on the socket path. */
export function isAnswered(path: string): Promise<boolean> {
	return new Promise((resolve) => {
		const probe = connect(path, () => {
			probe.destroy();
			resolve(true);
		});
		probe.once("error", () => resolve(false));
	});
}

/** Only the own user may connect. */
export function restrictSocket(path: string): Promise<void> {
	return chmod(path, 0o600);
}
