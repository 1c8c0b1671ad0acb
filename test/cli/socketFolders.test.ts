/** Folders of UNIX sockets: what is not the own user's alone is refused by all who listen in it or connect. */
import { chmod, mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { places } from "../../src/cli/stack/places.js";
import { followWorkload } from "../../src/identity/workloadClient.js";
import { claimSocket, requireAgentsFolder, requireOwnersFolder, requireOwnFolder } from "../../src/socket.js";
import { ApiClient } from "../../src/state/apiClient.js";
import { temporaryDirectory } from "./command.js";

const REFUSED = { code: "failed-precondition" };

/** The user that the process seems to be, for one call. */
function as<Result>(uid: number, run: () => Result): Result {
	const { getuid } = process;
	process.getuid = () => uid;
	try {
		return run();
	} finally {
		process.getuid = getuid ?? (() => uid);
	}
}

t.test("folders", async (t) => {
	const directory = await temporaryDirectory(t);
	const [own, open, link] = ["own", "open", "link"].map((name) => join(directory, name)) as [string, string, string];
	await mkdir(own, { mode: 0o700 });
	await mkdir(open);
	await symlink(own, link);
	const uid = process.getuid?.() ?? 0;

	t.doesNotThrow(() => requireOwnFolder(own));
	t.throws(() => requireOwnFolder(link), { ...REFUSED, message: /no directory, or a link/ });
	t.throws(() => requireOwnFolder(join(directory, "none")), { code: "not-found" });
	t.throws(() => as(uid + 1, () => requireOwnFolder(own)), { ...REFUSED, message: /another user/ });
	t.throws(() => as(uid + 1, () => requireOwnersFolder(own)), { ...REFUSED, message: /another user/ });
	t.doesNotThrow(() => as(0, () => requireOwnersFolder(own)), "root may ask anybody's");
	for (const mode of [0o710, 0o701, 0o770, 0o750, 0o777, 0o1777]) {
		await chmod(open, mode);
		t.throws(() => requireOwnFolder(open), { ...REFUSED, message: /other users can enter/ }, mode.toString(8));
		t.throws(() => as(0, () => requireOwnersFolder(open)), REFUSED, "root neither");
	}
	await chmod(open, 0o755);
	t.doesNotThrow(() => requireAgentsFolder(open), "a foreign agent's is for many");
	for (const mode of [0o775, 0o757]) {
		await chmod(open, mode);
		t.throws(() => requireAgentsFolder(open), { ...REFUSED, message: /can write/ }, mode.toString(8));
	}

	for (const folder of [open, link]) {
		const socket = join(folder, "api.sock");
		await t.rejects(claimSocket(socket), REFUSED, `to listen in ${folder}`);
		t.throws(() => places(own, folder), REFUSED, `to keep sockets in ${folder}`);
	}
	await t.rejects(
		new ApiClient(`unix:${join(open, "api.sock")}`).get(),
		{ message: /other users can enter/ },
		"to ask",
	);
	await t.rejects(
		followWorkload({ socketPath: join(open, "agent.sock"), firstWaitMs: 300 }),
		{ message: /can write/ },
		"to be told who one is",
	);
	t.ok(places(own).runDirectory, "the own one is good");
	t.ok(places(link).runDirectory, "data may be named by a link; its run folder is none");
});
