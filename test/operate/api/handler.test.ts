/** Settings of every API listener. */
import { createServer } from "node:http";
import t from "tap";
import { API_REQUEST_MS_MAX, withBounds } from "../../../src/operate/api/handler.js";

t.test("a request has a time to arrive, and its head a shorter one", async (t) => {
	const server = withBounds(createServer(), null);
	t.equal(server.requestTimeout, API_REQUEST_MS_MAX);
	t.equal(server.headersTimeout, 10_000);
});
