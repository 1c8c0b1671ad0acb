/** An Envoy that starts before anything is declared ends with an error that says what to do. */
import { join } from "node:path";
import t from "tap";
import { startEnvoy } from "../../../src/cli/stack/envoyProcess.js";
import { NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { envoyBinary } from "../../envoy/harness.js";
import { temporaryDirectory } from "../command.js";

t.setTimeout(120_000);

/** Longer each time, for a machine on which Envoy has not asked control yet. */
const PATIENCE_MS = [1_000, 5_000, 30_000];

t.test("an Envoy without a published configuration gets that error, and one without control another", async (t) => {
	const directory = await temporaryDirectory(t);
	const socket = join(directory, "ads.sock");
	const adminSocket = join(directory, "admin.sock");
	const binary = (await envoyBinary()).path;
	const bootstrap = dynamicBootstrap(socket, { collectors: NO_COLLECTORS, nodeId: "one", adminSocket });
	const endOf = (readyTimeoutMs: number): Promise<{ message?: string; hint?: string }> =>
		startEnvoy({ binary, bootstrap, directory, adminSocket, readyTimeoutMs }).then(
			() => t.fail("it is ready"),
			(error) => error,
		);
	const alone = await endOf(1_000);
	t.match(alone.message, /^Envoy was not ready in time: /);
	t.notMatch(alone.message, /published/);
	const server = new XdsServer();
	await server.listen({ socketPath: socket });
	t.teardown(() => server.close());
	let end: { message?: string; hint?: string } = {};
	for (const ms of PATIENCE_MS) {
		end = await endOf(ms);
		if (end.message?.includes("published")) break;
	}
	t.match(end, {
		message: /^Envoy was not ready in time: control has published nothing to it/,
		hint: "declare a Gateway first (weir apply)",
	});
});
