/**
 * Requests with `Expect: 100-continue` are counted like other requests, and are handled once. Idle connections are
 * closed by Envoy first.
 */
import { once } from "node:events";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import t from "tap";
import { createHttpServer } from "../../../src/serve/predictor/httpServer.js";

t.test("the handler gets each request once", async (t) => {
	const handled: (string | undefined)[] = [];
	const seen: (string | undefined)[] = [];
	const { server, close } = createHttpServer({
		guard: null,
		handle: ({ url }, response) => {
			handled.push(url);
			response.end();
		},
		meter: undefined,
		log: undefined,
		nowMs: Date.now,
	});
	// As connectionLimits.ts does for idle connections.
	server.on("request", ({ url }) => seen.push(url));
	await once(server.listen(0, "127.0.0.1"), "listening");
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
		close();
	});
	const { port } = server.address() as AddressInfo;
	for (const [path, headers] of [
		["/plain", {}],
		["/expecting", { expect: "100-continue" }],
	] as const) {
		// A missing response fails instead of hanging.
		const signal = AbortSignal.timeout(10_000);
		const asked = request({ host: "127.0.0.1", port, path, method: "POST", headers, signal }).end();
		const [answer] = await once(asked, "response");
		answer.resume();
	}
	t.same(seen, ["/plain", "/expecting"]);
	t.same(handled, seen);
});

const ENVOY_UPSTREAM_IDLE_MS = 3_600_000;

/** Checks Node's timeouts instead of waiting an hour: between requests, and before the first one. */
t.test("an idle connection outlasts Envoy's idle timeout, used before or not", (t) => {
	const { server, close } = createHttpServer({
		guard: null,
		handle: () => {},
		meter: undefined,
		log: undefined,
		nowMs: Date.now,
	});
	t.teardown(close);
	t.ok(server.keepAliveTimeout > ENVOY_UPSTREAM_IDLE_MS, `used: ${server.keepAliveTimeout} ms`);
	t.ok(server.headersTimeout > ENVOY_UPSTREAM_IDLE_MS, `unused: ${server.headersTimeout} ms`);
	t.equal(server.requestTimeout, 0);
	t.end();
});
