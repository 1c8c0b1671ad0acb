/** More ext_proc streams at once than one connection carries and than Envoy's default breaker lets through. */
import t from "tap";
import { CALLOUT_STREAMS_MAX } from "../../../src/publish/sidecar/grpc/server.js";
import { openStreams } from "./openStreams.js";

const STREAMS = 1_500;
const WAVE = 50;

t.test(`${STREAMS} requests wait for a slow upstream, and each is answered`, async (t) => {
	const { ask, held, release, envoy } = await openStreams(t);
	const answers: ReturnType<typeof ask>[] = [];
	// In waves: the test is about the number of open streams, not their rate.
	while (answers.length < STREAMS) {
		for (let index = 0; index < WAVE; index++) answers.push(ask());
		await Promise.race([held(answers.length), Promise.all(answers)]);
	}
	t.ok(STREAMS > CALLOUT_STREAMS_MAX);
	t.equal(await envoy.stat("cluster.weir_sidecar_streams.upstream_rq_active"), STREAMS);
	t.equal(await envoy.stat("cluster.weir_sidecar_streams.upstream_cx_active"), 2, "over another connection");
	release();
	const statuses = new Map<string, number>();
	for (const { status, arm } of await Promise.all(answers)) {
		const key = `${status} ${arm}`;
		statuses.set(key, (statuses.get(key) ?? 0) + 1);
	}
	t.same([...statuses.values()], [STREAMS], "all alike");
	t.match([...statuses.keys()][0], /^200 e\/arm[12]$/);
	t.equal(await envoy.stat("cluster.weir_sidecar_streams.upstream_rq_pending_overflow"), 0);
});
