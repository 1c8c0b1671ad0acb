/**
 * NIST SP 800-207A, point 1: encryption in transit. Every TCP port that a part of the stack listens on speaks TLS 1.3 and
 * nothing else; the parts of one machine meet on UNIX sockets that only the owner can reach. Envoy also uses
 * TLS 1.3 to the servers of a protected Service, and only to servers that prove an id which the Service names.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { connect, createServer as createTlsServer } from "node:tls";
import t, { type Test } from "tap";
import { serverTls } from "../../src/trust/identity/nodeTls.js";
import { fileOf, temporaryDirectory, weir } from "../cli/command.js";
import { APP, PREDICTOR, plainly, startScene } from "./scene.js";

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

t.test("no listener of the stack accepts plain text or an old TLS version", async (t) => {
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
	t.ok(ports.includes(scene.gatewayPort) && ports.includes(scene.apiPort), "the two listeners of the stack are found");
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

/** A server that returns its raw TCP connections. */
async function bareServer(t: Test, taken: (socket: Socket) => void): Promise<number> {
	const sockets = new Set<Socket>();
	const server = createServer((socket) => {
		sockets.add(socket.once("close", () => sockets.delete(socket)).on("error", () => {}));
		taken(socket);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(async () => {
		for (const socket of sockets) socket.destroy();
		await new Promise((resolve) => server.close(resolve));
	});
	return (server.address() as AddressInfo).port;
}

/** Content types of the TLS records (RFC 8446 section 5.1) in the bytes, the last perhaps incomplete; null = not TLS. */
function recordTypes(bytes: Buffer): readonly number[] | null {
	const types: number[] = [];
	for (let at = 0; at + 5 <= bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
		const type = bytes.readUInt8(at);
		if (type < 20 || type > 23 || bytes.readUInt8(at + 1) !== 3) return null;
		types.push(type);
	}
	return types;
}

t.test("Envoy connects to the servers of a protected Service by TLS, and to these servers only", async (t) => {
	const wire = { there: [] as Buffer[], back: [] as Buffer[] };
	let modelPort = 0;
	// Between Envoy and the model server.
	const tapped = await bareServer(t, (socket) => {
		const onward = connectPlain(modelPort, "127.0.0.1").on("error", () => socket.destroy());
		socket.on("data", (bytes) => void wire.there.push(bytes)).pipe(onward);
		onward.on("data", (bytes) => void wire.back.push(bytes)).pipe(socket);
	});
	const plainBytes: Buffer[] = [];
	const plain = await bareServer(t, (socket) => {
		socket.on("data", (bytes) => {
			plainBytes.push(bytes);
			socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
		});
	});
	let impostorTakes: (socket: Socket) => void = (socket) => void socket.destroy();
	const impostor = await bareServer(t, (socket) => impostorTakes(socket));
	const servers = { tapped, plain, impostor };
	const scene = await startScene(t, {
		documents: () =>
			`${Object.entries(servers)
				.map(
					([name, port]) => `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: ${name}}
spec:
  hosts: [${name}.test]
  defaultVariant: v1
  identities: ["${PREDICTOR}"]
  variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: ${port}}]}]
---
`,
				)
				.join("")}apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: app-may}
spec: {action: allow, services: [model, tapped, plain, impostor], principals: ["${APP}"]}
---`,
	});
	modelPort = scene.modelPort;
	const shown = "Bearer of-the-user";
	const askAt = (name: keyof typeof servers) =>
		scene.ask({ as: "app", headers: { host: `${name}.test`, authorization: shown } });

	t.equal((await askAt("tapped")).status, 200);
	for (const [way, bytes] of [
		["what Envoy sends", Buffer.concat(wire.there)],
		["what it is answered", Buffer.concat(wire.back)],
	] as const) {
		const types = recordTypes(bytes);
		t.ok(types?.includes(23), `${way} is TLS with data in it: records of types ${types}`);
		for (const word of [shown, "tapped.test", "/v2/models", "features", "outputs", "HTTP/1.1"])
			t.notOk(bytes.includes(word), `${way} does not show ${word}`);
	}

	t.equal((await askAt("plain")).status, 503, "a server without TLS");
	const sent = recordTypes(Buffer.concat(plainBytes));
	t.ok(sent?.includes(22) && !sent.includes(23), `is sent a handshake and no data: records of types ${sent}`);

	// A certificate of the same CA, without the SPIFFE id that the Service names.
	const received: Buffer[] = [];
	let handshakes = 0;
	const own = createTlsServer(serverTls(scene.identities.unauthorised), (socket) => {
		socket.on("data", (bytes) => void received.push(bytes)).on("error", () => {});
	});
	own.on("tlsClientError", () => {});
	impostorTakes = (socket) => {
		handshakes++;
		own.emit("connection", socket);
	};
	t.equal((await askAt("impostor")).status, 503, "a server with another identity");
	t.ok(handshakes > 0, "it was connected");
	t.same(received, [], "and gets no bytes");
});

t.test("a protected Service on other machines must declare TLS to its servers", async (t) => {
	const directory = await temporaryDirectory(t);
	const validate = async (identities: string) => {
		const { code, stdout, stderr } = await weir([
			"validate",
			"-f",
			await fileOf(
				directory,
				"hop.yaml",
				`apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {port: 0, tls: {identity: mesh}}
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: app-may}
spec: {action: allow, services: [model], principals: ["${APP}"]}
---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: model}
spec:
  hosts: [model.test]
  defaultVariant: v1
${identities}
  variants: [{name: v1, endpoints: [{address: 10.1.2.3, port: 9001}]}]
`,
			),
		]);
		return [code, `${stdout}${stderr}`] as const;
	};
	const [refused, why] = await validate("");
	t.not(refused, 0);
	t.match(why, /hop.yaml:18:37: spec.variants\[0\].endpoints\[0\] is 10.1.2.3:9001.* in plain text.*write identities/);
	t.match(await validate(`  identities: ["${PREDICTOR}"]`), [0]);
	t.match(await validate("  identities: plaintext"), [0]);
});
