/** Two roles in one process: counted once, published past a key file that blocks, and gone with their parent. */
import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import t from "tap";
import { readMetrics } from "../../src/cli/roles/metrics.js";
import { places } from "../../src/cli/stack/places.js";
import { ApiClient } from "../../src/operate/api/apiClient.js";
import { readPrometheusText } from "../observe/telemetry/prometheusText.js";
import { MAIN, temporaryDirectory } from "./command.js";

const PUBLISHED = "weir_xds_plans_published_total";

t.test("api and xds", async (t) => {
	const directory = await temporaryDirectory(t);
	const child = fork(MAIN, ["control", "--roles", "api,xds", "--data", directory], {
		stdio: ["ignore", "ignore", "ignore", "ipc"],
	});
	t.teardown(() => child.kill("SIGKILL"));
	const said = once(child, "message");
	const at = places(directory);
	const client = new ApiClient(`unix:${at.apiSocket}`);
	const ready = (): Promise<unknown> => client.raw("GET", "/readyz");
	// Not its word that it is ready: xds waits with that for something to publish.
	while (
		await ready().then(
			() => false,
			() => true,
		)
	);
	const shown = async (): Promise<number | undefined> => {
		const { text } = await client.raw("GET", "/metrics");
		return readPrometheusText(text).get(PUBLISHED)?.samples.get(`${PUBLISHED}{role="api+xds"}`);
	};
	const counted = async (): Promise<unknown> => {
		const own = (await readMetrics(at.xdsMetricsSocket))?.metrics as readonly { name: string; values: object[] }[];
		return own.find(({ name }) => name === PUBLISHED)?.values;
	};
	t.match(await ready(), { status: 200 }, "of nothing, nothing is published");
	const pipe = join(directory, "keys.json");
	execFileSync("mkfifo", [pipe]);
	const gateway = `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {port: 0, tls: {identity: mesh}, tokens: [{issuer: "https://id.test", audiences: [a], jwksFile: ${pipe}}]}
`;
	t.match(await client.apply([{ name: "g.yaml", text: gateway }], { dryRun: false }), { outcome: "applied" });
	while ((await shown()) === undefined);
	t.equal(await shown(), 1);
	t.match(await counted(), [{ value: 1 }]);
	await said;
	child.disconnect();
	t.same(await once(child, "exit"), [0, null]);
});
