/** Folders of UNIX sockets: listeners and clients refuse a folder that other users can enter. */
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { places } from "../../../src/cli/stack/places.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import { followWorkload } from "../../../src/trust/identity/workloadClient.js";
import {
	claimSocket,
	parentFault,
	requireAgentsFolder,
	requireOwnersFolder,
	requireOwnFolder,
} from "../../../src/trust/local/socket.js";
import { temporaryDirectory } from "../../cli/command.js";

const REFUSED = { code: "failed-precondition" };

/** Fakes the user of the process for one call. */
function as<Result>(uid: number, run: () => Result): Result {
	const { getuid } = process;
	process.getuid = () => uid;
	try {
		return run();
	} finally {
		process.getuid = getuid ?? (() => uid);
	}
}

t.test("a socket folder is accepted only if no other user can enter it", async (t) => {
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
	t.doesNotThrow(() => as(0, () => requireOwnersFolder(own)), "root may use any owner's folder");
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
	await writeFile(join(open, "asked.sock"), "");
	await t.rejects(
		new ApiClient(`unix:${join(open, "asked.sock")}`).get(),
		{ message: /other users can enter/ },
		"to ask",
	);
	await t.rejects(
		followWorkload({ socketPath: join(open, "agent.sock"), firstWaitMs: 300 }),
		{ message: /can write/ },
		"to get an identity",
	);
	t.ok(places(own).runDirectory, "the own one is good");
	t.ok(places(link).runDirectory, "a link may point to the data; its run folder is not a link");
});

t.test("a folder below a parent in which others may rename is refused", async (t) => {
	const directory = await temporaryDirectory(t);
	const parent = join(directory, "parent");
	const [own, agents] = ["own", "agents"].map((name) => join(parent, "deep", name)) as [string, string];
	await mkdir(own, { recursive: true, mode: 0o700 });
	await mkdir(agents, { mode: 0o755 });
	await chmod(own, 0o700);
	const uid = process.getuid?.() ?? 0;
	const gid = process.getgid?.() ?? 0;
	const refused = {
		...REFUSED,
		message: new RegExp(`${parent} lets other users write`),
		hint: /chmod go-w .*chmod \+t/,
	};
	const all = [
		() => requireOwnFolder(own),
		() => requireOwnersFolder(own),
		() => as(0, () => requireOwnersFolder(own)),
		() => requireAgentsFolder(agents),
	];
	for (const mode of [0o700, 0o755, 0o775, 0o2775, 0o1777, 0o1775]) {
		await chmod(parent, mode);
		for (const ask of all) t.doesNotThrow(ask, mode.toString(8));
	}
	for (const mode of [0o777, 0o757, 0o2777, 0o702]) {
		await chmod(parent, mode);
		for (const ask of all) t.throws(ask, refused, mode.toString(8));
		await t.rejects(claimSocket(join(own, "api.sock")), refused, "to listen");
		t.throws(() => places(own), refused, "to keep data");
		await writeFile(join(own, "asked.sock"), "");
		await t.rejects(new ApiClient(`unix:${join(own, "asked.sock")}`).get(), { message: refused.message }, "to ask");
	}
	await chmod(parent, 0o775);
	const { getgid } = process;
	process.getgid = () => gid + 1;
	t.throws(() => requireOwnFolder(own), refused, "writable for a group that is not the own one");
	process.getgid = getgid ?? (() => gid);

	const link = join(directory, "link");
	await symlink(parent, link);
	await symlink(join("..", directory.split("/").at(-1) ?? "", "link"), join(directory, "again"));
	const through = [join(link, "deep", "own"), join(directory, "again", "deep", "own")];
	for (const path of through) t.doesNotThrow(() => requireOwnFolder(path), "through links");
	await chmod(parent, 0o777);
	for (const path of through) t.throws(() => requireOwnFolder(path), refused, "to where they lead");

	const trusted = { users: [uid + 1], groups: [7] };
	const faults: readonly (readonly [number, number, number, "folder" | "link", string | null])[] = [
		[0, 0, 0o40755, "folder", null],
		[uid + 1, 7, 0o40775, "folder", null],
		[uid + 1, 8, 0o40775, "folder", "lets other users write"],
		[uid + 1, 8, 0o41775, "folder", null],
		[0, 7, 0o40757, "folder", "lets other users write"],
		[uid + 2, 7, 0o40755, "folder", "belongs to another user"],
		[uid + 2, 7, 0o41777, "folder", "belongs to another user"],
		[uid + 2, 7, 0o120777, "link", "belongs to another user"],
		[uid + 1, 8, 0o120777, "link", null],
	];
	for (const [uid, gid, mode, kind, fault] of faults)
		t.equal(parentFault({ uid, gid, mode }, kind, trusted), fault, `${uid}:${gid} ${mode.toString(8)}`);
});
