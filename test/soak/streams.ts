/** Many ext_proc requests, each in its own stream, and the state of the connection to the sidecar. */
import type { Test } from "tap";
import { startSidecarChild } from "../failure/sidecarChild.js";
import { type StageOptions, sidecarStat, startStage } from "../failure/stage.js";
import { flood } from "./flood.js";
import { Tally } from "./tally.js";

export interface StreamsResult {
	readonly answered: number;
	readonly failed: number;
	/** RST_STREAM frames that Envoy sent to the sidecar. */
	readonly resets: number;
	/** Connections to the sidecar. */
	readonly connections: number;
	/** Connections that the sidecar ended with GOAWAY. */
	readonly closedByNotice: number;
	readonly perSecond: number;
	readonly text: string;
}

/** @param requests how many, one stream each; with 32 open at any time */
export async function runStreams(t: Test, requests: number, options: StageOptions): Promise<StreamsResult> {
	const stage = await startStage(t, "ext_proc", { timeoutMs: 5_000, ...options });
	const sidecar = await startSidecarChild(t, { arguments: ["--table", stage.tableFile, "--socket", stage.socketPath] });
	const tally = new Tally(stage);
	let sent = 0;
	const startMs = performance.now();
	await flood({
		connect: (who) => stage.connect(who),
		open: 32,
		next: () => (sent++ < requests ? { service: "guarded", who: "alice" } : null),
		answered: (answer) => tally.add(answer),
	});
	const tookMs = performance.now() - startMs;
	const stat = (name: string) => stage.envoy.stat(sidecarStat("ext_proc", name));
	const answered = tally.count("guarded alice 200");
	const result = {
		answered,
		failed: requests - answered,
		resets: await stat("http2.tx_reset"),
		connections: await stat("upstream_cx_total"),
		closedByNotice: await stat("upstream_cx_close_notify"),
		perSecond: Math.round((requests / tookMs) * 1_000),
		text: tally.text(),
	};
	t.comment(`${requests} streams, ${JSON.stringify(result)}`);
	t.same(tally.broken(), []);
	await sidecar.end();
	return result;
}
