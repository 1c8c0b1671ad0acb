/** Control that cannot start closes what it has opened, so that the next one can use the state. */
import { join } from "node:path";
import t from "tap";
import { startControlRole } from "../../../src/cli/roles/control.js";
import { places } from "../../../src/cli/stack/places.js";
import { isAnswered } from "../../../src/trust/local/socket.js";
import { temporaryDirectory } from "../command.js";
import { roleContext } from "./roleContext.js";

t.test("a failed start leaves neither the state nor xDS open", async (t) => {
	const at = places(await temporaryDirectory(t));
	const context = roleContext(at, "control");
	// The API is opened last; xDS over TCP needs an identity.
	const tooLong = join(at.runDirectory, "x".repeat(200));
	await t.rejects(startControlRole({ ...context, at: { ...at, apiSocket: tooLong } }), { code: "invalid-argument" });
	await t.rejects(startControlRole({ ...context, xdsListen: { host: "127.0.0.1", port: 0 } }));
	t.equal(await isAnswered(at.adsSocket), false);
	const control = await startControlRole(context);
	await control.close();
});
