/** A certificate is read once for its connection, and again after a rotation of the server's identity. */
import { once } from "node:events";
import { Agent, createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import t from "tap";
import { httpPeerSpiffeId, serverTls } from "../../../src/trust/identity/nodeTls.js";
import type { Identity } from "../../../src/trust/identity/svid.js";
import { id, identityOf } from "../../publish/xds/identityOf.js";
import { createDevelopmentCa } from "./developmentCa.js";

const newCa = () => createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 3_600_000 });

/** The same identity, with a count of the certificates it reads. */
function counting(own: Identity) {
	const listeners = new Set<() => void>();
	let read = 0;
	const identity: Identity = {
		current: () => own.current(),
		onRotated: (listener) => {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		idOf: (certificate) => {
			read++;
			return own.idOf(certificate);
		},
	};
	const rotate = (): void => {
		for (const listener of [...listeners]) listener();
	};
	return { identity, rotate, read: () => read, following: () => listeners.size };
}

t.test("the certificate of an HTTP/1.1 connection is read once for all its requests", async (t) => {
	const ca = await newCa();
	const { identity, rotate, read, following } = counting(await identityOf(ca, id("weir/control")));
	const server = createServer(serverTls(identity), (request, response) =>
		response.end(httpPeerSpiffeId(request, identity) ?? "unauthenticated"),
	);
	await once(server.listen(0, "127.0.0.1"), "listening");
	t.teardown(() => server.close());
	const agentOf = async (path: string): Promise<Agent> => {
		const own = await ca.issue({ spiffeId: id(path) });
		const shown = { cert: own.certificate, key: own.privateKey, ca: ca.certificate };
		const agent = new Agent({ keepAlive: true, maxSockets: 1, ...shown, checkServerIdentity: () => undefined });
		t.teardown(() => agent.destroy());
		return agent;
	};
	const ask = async (agent: Agent, headers = {}): Promise<string> => {
		const { port } = server.address() as AddressInfo;
		const [answer] = await once(request({ port, host: "127.0.0.1", agent, headers }).end(), "response");
		let text = "";
		for await (const part of answer) text += part;
		return text;
	};
	const app = await agentOf("app");
	for (let index = 0; index < 3; index++) t.equal(await ask(app), id("app"));
	t.equal(read(), 1);
	t.equal(await ask(app, { "x-request-id": "a" }), "unauthenticated", "each request is checked");
	t.equal(await ask(await agentOf("other")), id("other"), "another connection is another's");
	t.equal(read(), 2);
	rotate();
	for (let index = 0; index < 3; index++) t.equal(await ask(app), id("app"));
	t.equal(read(), 3, "by the new trust domain");
	rotate();
	t.equal(following(), 0, "nothing is left of it");
});
