/** The UNIX socket of the ADS server: only the own user gets in, and a dead process's file is no obstacle. */
import { chmod, lstat, mkdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { WeirError } from "../error.js";

/** Makes the folder (0700) and removes the socket of a dead process. Throws `already-exists` where somebody answers. */
export async function claimSocket(path: string): Promise<void> {
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

export function restrictSocket(path: string): Promise<void> {
	return chmod(path, 0o600);
}
