/**
 * UNIX sockets, Weir's doors between its own processes: only the own user gets in, a dead process's file is no
 * obstacle, and a living one is never pushed aside. Node cannot ask who is at the other end (SO_PEERCRED); the kernel
 * answers before: into a folder of mode 0700 comes nobody but its owner, to listen or to connect, and root. And nobody may
 * put another folder in its place: whoever may rename in a folder above it could (OpenSSH's StrictModes look there too).
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
 * Sockets may lie in the folder: it is one, no link to one, the own user's, nobody else may enter it or put another in
 * its place.
 * @throws WeirError `failed-precondition` where it is not; `not-found` where there is none
 */
export function requireOwnFolder(folder: string): void {
	const found = statOf(folder);
	if (!found.isDirectory()) refuse(`${folder} is no directory, or a link`, "name the directory itself");
	if ((found.mode & 0o077) !== 0) refuse(`other users can enter ${folder}`, `chmod 700 ${folder}, or name another`);
	if (found.uid !== process.getuid?.()) refuse(`${folder} belongs to another user`, "use a directory of your own");
	requireSafeParents(folder, { users: [found.uid], groups: [process.getgid?.() ?? ROOT] });
}

/**
 * The same for who connects; root may also ask another user's processes.
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
 * A foreign agent's socket (SPIRE's) is for many users; but who may write in its folder could be the agent.
 * @throws WeirError `failed-precondition` where others than its owner can write there, or put another in its place;
 *   `not-found` where there is none
 */
export function requireAgentsFolder(folder: string): void {
	const { mode, uid } = statOf(folder);
	if ((mode & 0o022) !== 0) refuse(`others can write in ${folder}`, `chmod go-w ${folder}`);
	requireSafeParents(folder, { users: [uid, process.getuid?.() ?? ROOT], groups: [process.getgid?.() ?? ROOT] });
}

const ROOT = 0;
/** As Linux follows at most, MAXSYMLINKS. */
const LINKS_MAX = 40;

/** Who may own what lies on the way, root apart, and whose groups may write there. */
export interface Trusted {
	readonly users: readonly number[];
	readonly groups: readonly number[];
}

/**
 * Why others could put something else in place of what lies in this folder, or at the end of this link; null = they
 * could not. A sticky folder (/tmp) lets everybody rename their own alone, and its owner all. A folder for the own group
 * is good: under user-private groups (Debian, Ubuntu, Fedora) that is the user alone, and mode 0775 what mkdir makes.
 */
export function parentFault(
	{ uid, gid, mode }: Pick<Stats, "uid" | "gid" | "mode">,
	kind: "folder" | "link",
	{ users, groups }: Trusted,
): "belongs to another user" | "lets other users write" | null {
	if (uid !== ROOT && !users.includes(uid)) return "belongs to another user";
	// The mode of a link says nothing.
	if (kind === "link" || (mode & 0o1000) !== 0) return null;
	const open = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && !groups.includes(gid));
	return open ? "lets other users write" : null;
}

/** Goes the way that the kernel goes, from the root through every link, to the folder's parent. */
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
