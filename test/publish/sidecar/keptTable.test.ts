/** `weir sidecar` that starts without control uses the saved tables; each worker has its own file. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { temporaryDirectory } from "../../cli/command.js";
import { startSidecarChild } from "../../failure/sidecarChild.js";
import { serviceTable } from "./calloutTable.js";
import { checkClient } from "./checkClient.js";
import { versioned } from "./sampleTable.js";

t.setTimeout(60_000);

const { version, table } = versioned({
	gateways: [],
	services: [serviceTable("open", { access: { open: true, policies: [] } })],
});
const saved = () => JSON.stringify({ format: 1, version, table, confirmedAtMs: Date.now() });

t.test("two workers each restore the table from their own file", async (t) => {
	const data = join(await temporaryDirectory(t), "data");
	await mkdir(data, { mode: 0o700 });
	const files = ["sidecar-table.json", "sidecar-table-1.json", "sidecar-table-2.json"];
	for (const name of files) await writeFile(join(data, name), saved(), { mode: 0o600 });
	const socketPath = join(data, "s.sock");
	const sidecar = await startSidecarChild(t, {
		arguments: ["--data", data, "--socket", socketPath, "--workers", "2"],
	});
	for (let round = 0; round < 8; round++) {
		const client = checkClient(socketPath);
		const { dynamicMetadata } = await client.check({ method: "GET", path: "/", host: "open.test" });
		t.equal(dynamicMetadata?.plan, version);
		client.close();
	}
	const kept = (await readdir(data)).filter((name) => name.startsWith("sidecar-table"));
	t.same(kept.sort(), files.slice(0, 2).sort(), "files of removed workers are not used");
	await sidecar.end("SIGTERM");
});
