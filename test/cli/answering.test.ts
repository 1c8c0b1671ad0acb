/** Probes are told what calls are: by the age that it answers by, not by what the tables say of themselves. */
import { join } from "node:path";
import t from "tap";
import { startAnswering } from "../../src/cli/sidecar/answering.js";
import { askHealth } from "../sidecar/askHealth.js";
import { LogLines, tableOf } from "../sidecar/sampleTable.js";
import { temporaryDirectory } from "./command.js";

const [SERVING, NOT_SERVING] = [1, 2];

t.test("a process that does not know how old its table is does not serve", async (t) => {
	const socketPath = join(await temporaryDirectory(t), "sidecar.sock");
	let ageMs = 0;
	const log = Object.assign(new LogLines(), { error: (message: string) => void t.fail(message) });
	const { tables, close } = await startAnswering(
		{ socketPath },
		{ identity: null, peers: [], keysDirectory: null },
		log,
		async (tables) => {
			tables.put(tableOf(1));
			tables.confirm();
			return { ageMs: () => ageMs };
		},
	);
	t.teardown(close);
	t.equal(await askHealth(socketPath), SERVING, "from the first call on");
	ageMs = Number.POSITIVE_INFINITY;
	tables.lapse();
	t.equal(await askHealth(socketPath), NOT_SERVING);
	ageMs = 0;
	tables.confirm();
	t.equal(await askHealth(socketPath), SERVING);
});
