/** xds serves where what it sends cannot be kept on the disk, and says so. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { startApiRole } from "../../src/cli/roles/api.js";
import { startXdsRole } from "../../src/cli/roles/xds.js";
import { places } from "../../src/cli/stack/places.js";
import { ApiClient } from "../../src/state/api/apiClient.js";
import { AdsClient } from "../xds/adsClient.js";
import { temporaryDirectory } from "./command.js";
import { roleContext } from "./roleContext.js";

t.test("a file lies where the folder should be", async (t) => {
	const at = places(join(await temporaryDirectory(t), "data"));
	await writeFile(at.sentViewsDirectory, "");
	const api = await startApiRole(roleContext(at, "api"));
	t.teardown(() => api.close());
	const text = "apiVersion: weir.dev/v1alpha1\nkind: Gateway\nmetadata: {name: edge}\nspec: {port: 0}\n";
	await new ApiClient(`unix:${at.apiSocket}`).apply([{ name: "a.yaml", text }], { dryRun: false });
	const lines: string[] = [];
	const xds = await startXdsRole(roleContext(at, "xds", lines));
	t.teardown(() => xds.close());
	t.match(lines.join(""), /what was sent to Envoys cannot be written or read on disk/);
	const client = new AdsClient(`unix:${at.adsSocket}`);
	t.teardown(() => client.close());
	client.ask("listeners", [], undefined, { node: "edge" });
	t.equal((await client.next()).resources.length, 1);
});
