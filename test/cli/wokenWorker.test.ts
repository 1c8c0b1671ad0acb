/**
 * A worker of `weir sidecar --workers 2` that hung while tables were acknowledged without it: when it goes on, it answers by none of the
 * older ones, neither what waited for it nor what comes before it has caught up.
 */
import t from "tap";
import { startWoken, verdict } from "./wokenScene.js";

t.setTimeout(120_000);

/** More than there are workers: the primary hands connections round. */
const CONNECTIONS = 6;
const ROUNDS = 4;
/** Of each connection, while one of the workers hangs. */
const CALLS = 5;

t.test("what was acknowledged while a worker hung is what it answers by when it goes on", async (t) => {
	const { sidecar, pids, publish, connect } = await startWoken(t, 2);
	t.equal(pids.length, 2);
	for (let round = 0; round < ROUNDS; round++) {
		const clients = connect(CONNECTIONS);
		const [before, now] = round % 2 === 0 ? (["allow", "deny"] as const) : (["deny", "allow"] as const);
		t.same(new Set(await Promise.all(clients.map(verdict))), new Set([before]));
		const hangs = pids[round % 2] ?? 0;
		process.kill(hangs, "SIGSTOP");
		await publish(before);
		await publish(now);
		const calls = Array.from({ length: CALLS }, () => clients.map(verdict)).flat();
		// The other one has answered, so that what the one that hangs was asked lies there too.
		await Promise.any(calls);
		process.kill(hangs, "SIGCONT");
		const said = await Promise.all(calls);
		t.notOk(said.includes(before), `${said.filter((one) => one === before).length} by an older table`);
		t.ok(said.includes(now), "the other one answers meanwhile");
		for (;;) {
			const again = await Promise.all(clients.map(verdict));
			t.notOk(again.includes(before));
			if (again.every((one) => one === now)) break;
		}
	}
	t.equal(await sidecar.end("SIGTERM"), 0);
});
