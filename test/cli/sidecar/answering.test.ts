/** Health checks are answered as calls are: after a standstill a process is not serving until control has answered. */
import { join } from "node:path";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import t from "tap";
import { startAnswering } from "../../../src/cli/sidecar/answering.js";
import type { DiscoveryRequest, DiscoveryResponse } from "../../../src/gen/envoy/service/discovery/v3/discovery_pb.js";
import { tableJson } from "../../../src/publish/sidecar/tableReader.js";
import { askHealth } from "../../publish/sidecar/askHealth.js";
import { folderOf, offer, startControl } from "../../publish/sidecar/feedScene.js";
import { LogLines, tableOf } from "../../publish/sidecar/sampleTable.js";

type Call = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

const [SERVING, NOT_SERVING] = [1, 2];
const { version, table } = tableOf(1);

t.test("health is NOT_SERVING after a standstill until control has answered", async (t) => {
	const folder = await folderOf(t);
	const [socketPath, ads] = [join(folder, "s.sock"), join(folder, "ads.sock")];
	const answersTable = (call: Call): void => {
		call.write(offer("1", version, tableJson(table)));
	};
	let asked: (call: Call) => void = answersTable;
	await startControl(t, ads, (call) => {
		call.on("error", () => {});
		asked(call);
	});
	const log = Object.assign(new LogLines(), { error: (message: string) => void t.fail(message) });
	const answering = await startAnswering(
		{
			address: { socketPath },
			source: { control: { socketPath: ads }, file: join(folder, "table.json"), instance: "one" },
			identity: null,
			peers: [],
		},
		log,
	);
	t.teardown(() => answering.close());
	t.equal((await answering.listen()).plan, version, "it listens when it has a table");
	t.equal(await askHealth(socketPath), SERVING, "from the first call on");

	const again = new Promise<Call>((resolve) => {
		asked = resolve;
	});
	const now = Date.now;
	t.intercept(Date, "now", { value: () => now() + 60_000 });
	const call = await again;
	while ((await askHealth(socketPath)) !== NOT_SERVING);
	t.equal(answering.report().ageMs, Number.POSITIVE_INFINITY);
	answersTable(call);
	while ((await askHealth(socketPath)) !== SERVING);
	t.equal(answering.report().ageMs, 0);
});
