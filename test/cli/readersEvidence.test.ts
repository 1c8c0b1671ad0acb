/** Control's api role asks ingest for readers, and its rollout role for the loop: ingest tells them apart. */
import { createServer } from "node:http";
import { join } from "node:path";
import t from "tap";
import { startApiRole } from "../../src/cli/roles/api.js";
import { startRolloutRole } from "../../src/cli/roles/rollout.js";
import { places } from "../../src/cli/stack/places.js";
import { EVIDENCE_PATHS } from "../../src/observe/events/client.js";
import { ApiClient } from "../../src/operate/api/apiClient.js";
import { ALL, file } from "../operate/state/employment.js";
import { temporaryDirectory } from "./command.js";
import { roleContext } from "./roleContext.js";

t.test("readers query the state of an Experiment, the loop queries looks", async (t) => {
	const at = places(join(await temporaryDirectory(t), "data"));
	const api = await startApiRole(roleContext(at, "api"));
	t.teardown(() => api.close());
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
	t.same(asked, [EVIDENCE_PATHS.readers]);
	const rollout = await startRolloutRole(roleContext(at, "rollout"));
	t.teardown(() => rollout.close());
	await look;
	t.same(new Set(asked.slice(1)), new Set([EVIDENCE_PATHS.loop]));
});
