/** What every door of the API has. */
import { createServer } from "node:http";
import t from "tap";
import { withBounds } from "../../src/state/api/handler.js";

t.test("Node's own time for a whole request, which runs while a body waits for its turn, cuts none", async (t) => {
	const server = withBounds(createServer(), null);
	t.equal(server.requestTimeout, 0);
	t.equal(server.headersTimeout, 10_000);
});
