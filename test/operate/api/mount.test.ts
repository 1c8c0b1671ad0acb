/** Paths of mounted routes in the audit log. */
import type { IncomingMessage, ServerResponse } from "node:http";
import t from "tap";
import { forward } from "../../../src/operate/api/mount.js";
import type { Rights } from "../../../src/operate/state/rights/rights.js";

t.test("the audit log keeps no escaped query and no token of a path", async (t) => {
	const seen: unknown[] = [];
	const rights = {
		demand: (_call: unknown, _needs: unknown, _verb: string, of: readonly string[]) => seen.push(...of),
	};
	for (const url of ["/metrics/%3ft=secret/more", "/metrics?t=secret", "/metrics/ada@example.com"])
		await forward(
			rights as unknown as Rights,
			["/metrics", () => undefined],
			{ url, method: "GET", headers: {} } as IncomingMessage,
			{} as ServerResponse,
			{} as Parameters<typeof forward>[4],
		);
	t.same(seen, ["/metrics/%3f(masked)", "/metrics", "/metrics/(masked)"]);
});
