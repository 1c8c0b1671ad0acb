/**
 * Far more requests than the sidecar can take: what waits is bounded, the rest fails at once and closed, memory stays,
 * and when the flood is over everything works again. The sidecar is stopped for the first of it, so that the queue
 * surely fills however fast the machine is.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Test } from "tap";
import type { CalloutProtocol } from "../../src/compile/plan/compiledPlan.js";
import { CALLOUT_STREAMS_MAX } from "../../src/publish/sidecar/grpc/server.js";
import { pipelined } from "../envoy/pipeline.js";
import { flood } from "../soak/flood.js";
import { Tally } from "../soak/tally.js";
import { OVERLOADED } from "./cases.js";
import { Matrix } from "./matrix.js";
import { counted } from "./metrics.js";
import { startSidecarChild } from "./sidecarChild.js";
import { type Caller, get, idOf, type ServiceName, type Stage, sidecarStat, startStage } from "./stage.js";

/** Never awaited: long enough for a busy machine to bring the whole flood. */
const TIMEOUT_MS = 120_000;

/** What is refused at once is so by then, on a busy machine too. */
const SOON_MS = 5_000;

async function rssMiB(pid: number): Promise<number> {
	const [, kiB = "0"] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
	return Number(kiB) / 1_024;
}

/** So many requests, with so many open. */
async function load(stage: Stage, total: number, open: number, tally: Tally): Promise<void> {
	const turn: readonly (readonly [ServiceName, Caller])[] = [
		["guarded", "alice"],
		["guarded", "mallory"],
		["assigned", "alice"],
		["strict", "alice"],
	];
	let sent = 0;
	await flood({
		connect: (who) => stage.connect(who),
		open,
		// A protected Gateway takes 100 streams on each (GATEWAY_HARDENING): enough for all that shall be open.
		connections: 32,
		next: () => {
			if (sent === total) return null;
			const [service, who] = turn[sent++ % turn.length] ?? ["guarded", "alice"];
			return { service, who };
		},
		answered: (answer) => tally.add(answer),
	});
}

export async function sheds(t: Test, protocol: CalloutProtocol): Promise<void> {
	const stage = await startStage(t, protocol, { timeoutMs: TIMEOUT_MS, maxCalls: CALLOUT_STREAMS_MAX });
	const metrics = join(stage.directory, "metrics.sock");
	const sidecar = await startSidecarChild(t, {
		arguments: ["--table", stage.tableFile, "--socket", stage.socketPath, "--metrics-socket", metrics],
	});
	const matrix = new Matrix(stage, protocol);
	await matrix.works(t, "before");
	const stat = (name: string) => stage.envoy.stat(sidecarStat(protocol, name));

	const tally = new Tally(stage);
	sidecar.child.kill("SIGSTOP");
	const flooded = load(stage, 4_000, 2_400, tally);
	// All that may wait waits; the next is refused while it does. upstream_rq_pending_overflow doesn't tell so: it counts
	// what finds no place to wait for a connection, and a slow flood comes when all connections are open.
	const one = () => pipelined(() => stage.connect("alice"), [get("guarded")], { connections: 1 });
	const further: Promise<unknown>[] = [];
	let refused: Awaited<ReturnType<typeof one>>[number] | undefined;
	for (let tries = 1; refused === undefined && tries <= 5; tries++) {
		for (let looks = 1; (await stat("upstream_rq_active")) < CALLOUT_STREAMS_MAX; looks++) {
			await setTimeout(10);
			// A call from before the flood may have held a place until all of the flood that found none was refused.
			if (looks % 200 === 0) further.push(one());
		}
		// Or it holds it still and ends now: then this one waits in its place, and the next finds none.
		const asked = one();
		further.push(asked);
		[refused] = await Promise.race([asked, setTimeout(SOON_MS, [], { ref: false })]);
	}
	t.equal(refused?.status, 503);
	const late = protocol === "ext_proc" ? "http.gateway.edge.ext_proc.weir_process.message_timeouts" : null;
	const timeouts = await (late === null ? stat("upstream_rq_timeout") : stage.envoy.stat(late));
	t.equal(timeouts, 0, "what cannot wait is refused at once, while the rest still waits for its timeout");
	t.ok((await stat("upstream_rq_active")) <= CALLOUT_STREAMS_MAX, "what waits is bounded");
	sidecar.child.kill("SIGCONT");
	await Promise.all([flooded, ...further]);

	// And as fast as this machine can, with nothing stopped.
	await load(stage, 3_000, 1_500, tally);
	t.comment(`${protocol}: ${tally.text()}; slowest ${Math.round(tally.slowestMs)} ms`);
	t.same(tally.broken(), [], "no request passed without a right");
	const shed = await counted(metrics, "weir_sidecar_shed_total");
	const overflow = await stat("upstream_rq_pending_overflow");
	t.ok(shed + overflow > 0, `shed by the sidecar ${shed}, by Envoy ${overflow}`);
	const rss = await rssMiB(sidecar.pid);
	t.ok(rss < 200, `the sidecar holds ${Math.round(rss)} MiB`);
	await matrix.works(t, "right after the flood");
	t.equal(await sidecar.end("SIGTERM"), 0);
	const log = await stage.log();
	const line = refused === undefined ? undefined : log.get(idOf(refused));
	t.match(line?.details, OVERLOADED.signs[protocol].details);
	t.equal(line?.flags, OVERLOADED.signs[protocol].flags);
}
