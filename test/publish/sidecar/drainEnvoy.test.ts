/**
 * A sidecar that stops while upstreams still work, on real Envoys: the requests that it has allowed are served, without
 * its changes to the response. A sidecar that is killed breaks them.
 */
import t from "tap";
import { openStreams } from "./openStreams.js";

for (const version of ["1.36.2", "1.40.0"]) {
	t.test(`a stopped sidecar and its allowed requests on Envoy ${version}`, async (t) => {
		await t.test("after SIGTERM an allowed request is served, although the sidecar is gone", async (t) => {
			const { sidecar, ask, held, release, envoy } = await openStreams(t, version);
			const answer = ask();
			await held(1);
			const before = performance.now();
			await sidecar.end("SIGTERM");
			t.ok(performance.now() - before < 1_900, "the sidecar waits for no upstream");
			t.equal(sidecar.child.exitCode, 0);
			release();
			t.same(await answer, { status: 200, arm: undefined });
			t.equal((await ask()).status, 503, "and new requests are refused");
			t.equal(await envoy.stat("http.gateway.edge.ext_proc.weir_process.streams_failed"), 1);
		});
		await t.test("after SIGKILL it is not: Envoy cannot know the sidecar's changes to the response", async (t) => {
			const { sidecar, ask, held, release } = await openStreams(t, version);
			const answer = ask();
			await held(1);
			await sidecar.end("SIGKILL");
			release();
			t.equal((await answer).status, 503);
		});
	});
}
