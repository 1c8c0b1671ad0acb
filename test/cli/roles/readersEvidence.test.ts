/** Control asks ingest for readers on one path, and for the rollout loop on another. */
import { createServer } from "node:http";
import { join } from "node:path";
import t from "tap";
import { startControlRole } from "../../../src/cli/roles/control.js";
import { places } from "../../../src/cli/stack/places.js";
import { EVIDENCE_PATHS } from "../../../src/observe/events/client.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import { ALL, file } from "../../operate/employment.js";
import { temporaryDirectory } from "../command.js";
import { roleContext } from "./roleContext.js";

t.test("readers query the state of an Experiment, the loop queries looks", async (t) => {
	const at = places(join(await temporaryDirectory(t), "data"));
	const control = await startControlRole(roleContext(at, "control"));
	t.teardown(() => control.close());
	const asked: string[] = [];
	let looked = (): void => undefined;
	const look = new Promise<void>((resolve) => {
		looked = resolve;
	});
	const ingest = createServer((request, response) => {
		const path = request.url ?? "";
		asked.push(path);
		response.writeHead(503).end("{}");
		if (path === EVIDENCE_PATHS.loop) looked();
	});
	await new Promise<void>((resolve) => ingest.listen(at.ingestSocket, resolve));
	t.teardown(() => ingest.close());
	const client = new ApiClient(`unix:${at.apiSocket}`);
	t.match(await client.apply(file(ALL), { dryRun: false }), { outcome: "applied" });
	t.match(await client.standing("boosted"), { evidence: null });
	await look;
	t.same(new Set(asked), new Set([EVIDENCE_PATHS.readers, EVIDENCE_PATHS.loop]));
});
