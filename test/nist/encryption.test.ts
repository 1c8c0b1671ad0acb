/**
 * NIST SP 800-207A, point 1: encryption in transit. Every TCP port that a part of the stack listens on speaks TLS 1.3 and
 * nothing else; the parts of one machine meet on UNIX sockets that only the owner can reach.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import t from "tap";
import { APP, plainly, startScene } from "./scene.js";

t.setTimeout(180_000);

/** All processes below one, itself included. */
function family(pid: number): number[] {
	const children = execFileSync("sh", ["-c", `pgrep -P ${pid} || true`], { encoding: "utf8" })
		.split("\n")
		.filter(Boolean);
	return [pid, ...children.flatMap((child) => family(Number(child)))];
}

/** TCP ports on which a process listens, by its sockets and /proc/net/tcp. */
function listeningPorts(pid: number): number[] {
	const inodes = new Set(
		readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
			try {
				return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
			} catch {
				return []; // closed meanwhile
			}
		}),
	);
	return ["tcp", "tcp6"].flatMap((family) =>
		readFileSync(`/proc/${pid}/net/${family}`, "utf8")
			.trim()
			.split("\n")
			.slice(1)
			.map((line) => line.trim().split(/\s+/))
			.filter((columns) => columns[3] === "0A" && inodes.has(columns[9] ?? ""))
			.map((columns) => Number.parseInt((columns[1] ?? "").split(":")[1] ?? "0", 16)),
	);
}

/** The protocol of a handshake that offers at most `maxVersion`, or why there was none. */
const handshake = (port: number, maxVersion: "TLSv1.2" | "TLSv1.3"): Promise<string> =>
	new Promise((resolve) => {
		const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, maxVersion }, () => {
			resolve(socket.getProtocol() ?? "none");
			socket.destroy();
		});
		socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
	});

t.test("no part of the stack understands plain text, or an old TLS", async (t) => {
	const scene = await startScene(t, {
		documents: () => `apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: app-may}
spec: {action: allow, services: [model], principals: ["${APP}"]}
---`,
	});
	t.equal((await scene.ask({ as: "app" })).status, 200);
	const ports = family(scene.up.child.pid ?? 0).flatMap(listeningPorts);
	const named = [scene.gatewayPort, scene.apiPort, scene.modelPort];
	t.ok(ports.includes(scene.gatewayPort) && ports.includes(scene.apiPort), "the two doors of the stack are found");
	for (const port of new Set([...ports, ...named])) {
		const answer = await plainly(port);
		t.type(answer, "string", `port ${port} does not answer plain HTTP (${answer})`);
		t.equal(await handshake(port, "TLSv1.3"), "TLSv1.3", `port ${port}`);
		t.match(await handshake(port, "TLSv1.2"), /PROTOCOL|ALERT|ECONNRESET|VERSION/i, `port ${port} takes no TLS 1.2`);
	}
	const data = join(scene.directory, "data");
	for (const directory of [data, join(data, "run"), join(data, "run", "identity")])
		t.equal(statSync(directory).mode & 0o077, 0, `only the owner can enter ${directory}`);
});
