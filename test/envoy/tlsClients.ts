/** Connections to a Gateway with TLS, and requests over kept connections. */
import { type AgentOptions, request, Agent as TlsAgent } from "node:https";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";

interface Teardown {
	teardown(run: () => void): unknown;
}

/** Whether the handshake was done, or the connection ended before. */
export function connected(
	t: Teardown,
	port: number,
	options: ConnectionOptions,
): Promise<{ state: "open" | "closed"; socket: TLSSocket }> {
	return new Promise((resolve) => {
		const socket = connect({ host: "127.0.0.1", port, ...options });
		t.teardown(() => socket.destroy());
		socket.on("error", () => {});
		socket.once("secureConnect", () => resolve({ state: "open", socket }));
		socket.once("close", () => resolve({ state: "closed", socket }));
	});
}

/** Asks for paths of model.test, by default over one connection. @returns status or the error's code */
export function asker(
	t: Teardown,
	port: number,
	options: AgentOptions,
	onSocket: (socket: unknown) => void = () => {},
): (path: string) => Promise<string> {
	const agent = new TlsAgent({ keepAlive: true, maxSockets: 1, ...options });
	t.teardown(() => agent.destroy());
	return (path) =>
		new Promise((resolve) => {
			const headers = { host: "model.test" };
			const asked = request({ host: "127.0.0.1", port, path, headers, agent }, (response) => {
				response.resume().once("end", () => resolve(String(response.statusCode)));
			});
			asked.once("socket", onSocket);
			asked.once("error", (error: NodeJS.ErrnoException) => resolve(String(error.code))).end();
		});
}
