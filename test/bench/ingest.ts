/**
 * Cost and latency of ingest: access-log entries over gRPC and outcomes over HTTP per second of CPU; the time until a request
 * can be queried; and the time from a due look to its rollback while ingest runs at full load.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { decide } from "../../src/decide/rollout/decide.js";
import { type Action, RULES } from "../../src/decide/rollout/decision.js";
import { initialStatus } from "../../src/decide/rollout/status.js";
import type { Evidence } from "../../src/infer/statistics/evidence.js";
import { ingestClient } from "../../src/observe/events/client.js";
import { EXPOSURE_SETTLES_MS } from "../../src/observe/events/receive/requests/settlingExposures.js";
import { metric as declaredMetric, experiment } from "../decide/rollout/example.js";
import { AccessLogStream } from "../observe/events/accessLogStream.js";
import { spawnIngest } from "../observe/events/child.js";
import { encode, httpCall, metric, query, unitsOf } from "../observe/events/rig.js";

const REQUESTS = 100_000;
const UNITS = 50_000;
const OUTCOME_POSTS = 400;
const OUTCOMES_PER_POST = 100;
const CALLERS = 8;
const EVIDENCE_CALLS = 30;
const EVIDENCE_EVERY_MS = 300;

/** User and system time of a process so far, in seconds: fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms. */
function cpuSeconds(pid: number): number {
	const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
	return (Number(fields[11]) + Number(fields[12])) / 100;
}

const directory = mkdtempSync(join(tmpdir(), "weir-bench-"));
const ingest = await spawnIngest(directory);
const pid = ingest.pid ?? 0;
const accessLogSocket = join(directory, "als.sock");
const httpSocket = join(directory, "http.sock");
const client = ingestClient(httpSocket, 60_000);
const asked = (): ReturnType<typeof query> => ({
	...query(
		metric("errors"),
		metric("p99", { threshold: { thresholdMs: 10, baseline: { arm: "control", thresholdMs: 10 }, frozenAtMs: 0 } }),
		metric("revenue"),
	),
	healthSinceMs: Date.now() - 10_000,
});

function load(requests: number): ChildProcess {
	const script = fileURLToPath(new URL("./ingestLoad.js", import.meta.url));
	return spawn(process.execPath, [script, accessLogSocket, String(requests), String(UNITS)], {
		stdio: ["ignore", "pipe", "inherit"],
	});
}

async function entriesPerCpuSecond(): Promise<number> {
	await client.evidence(query());
	const before = cpuSeconds(pid);
	const started = performance.now();
	const child = load(REQUESTS);
	const [printed] = child.stdout === null ? [""] : await once(child.stdout, "data");
	// An evidence call commits what is queued: its cost belongs to the entries.
	await client.evidence(query());
	const cpu = cpuSeconds(pid) - before;
	const seconds = (performance.now() - started) / 1e3;
	const entries = Number(printed);
	console.log(
		`${entries} entries in ${seconds.toFixed(1)} s: ${cpu.toFixed(2)} s CPU, ${((cpu / entries) * 2e6).toFixed(1)} µs per request (two entries)`,
	);
	return entries / cpu;
}

async function outcomesPerCpuSecond(): Promise<number> {
	let post = 0;
	const before = cpuSeconds(pid);
	const started = performance.now();
	const call = async (): Promise<void> => {
		while (post++ < OUTCOME_POSTS) {
			const rows = Array.from({ length: OUTCOMES_PER_POST }, (_, index) => ({
				metric: "revenue",
				value: Math.random(),
				unit: `user-${(post * OUTCOMES_PER_POST + index) % UNITS}`,
			}));
			const { status } = await httpCall(httpSocket, "POST", "/v1/outcomes", JSON.stringify(rows));
			if (status !== 200) throw new Error(`outcomes were answered with ${status}`);
		}
	};
	await Promise.all(Array.from({ length: CALLERS }, call));
	const cpu = cpuSeconds(pid) - before;
	const outcomes = OUTCOME_POSTS * OUTCOMES_PER_POST;
	const seconds = (performance.now() - started) / 1e3;
	console.log(
		`${outcomes} outcomes, ${OUTCOMES_PER_POST} a request, in ${seconds.toFixed(1)} s: ${cpu.toFixed(2)} s CPU`,
	);
	return outcomes / cpu;
}

/** Time from a start entry's sending to the first evidence that counts its unit. Envoy's own flush comes on top. */
async function queryableMs(): Promise<number> {
	const times: number[] = [];
	const stream = new AccessLogStream(accessLogSocket);
	const exposed = ({ arms }: Evidence): number => arms.reduce((sum, arm) => sum + arm.exposedUnits, 0);
	// Waiting entries of the load would be counted as the requested units.
	await sleep(2 * EXPOSURE_SETTLES_MS);
	for (const unit of unitsOf("control", 20, "queryable")) {
		const before = exposed(await client.evidence(query()));
		const started = performance.now();
		await stream.write(encode([{ kind: "start", unit, requestId: unit, startMs: Date.now() }]));
		while (exposed(await client.evidence(query())) === before);
		times.push(performance.now() - started);
	}
	await stream.end();
	return quantile(times, 0.5);
}

const ERRORS = declaredMetric("errors", { type: "rate", source: "errors", direction: "down" });
const HARMED = { ...experiment(["boosted"]), metadata: { ...experiment().metadata, name: "models" } };
const DECIDED = {
	...HARMED,
	spec: { ...HARMED.spec, goal: null, guardrails: [{ metric: "errors", margin: { kind: "absolute", value: 0.005 } }] },
} as const;

/** Units whose requests all fail in one arm and none in the other, which causes a rollback. */
async function harm(): Promise<void> {
	const stream = new AccessLogStream(accessLogSocket);
	for (const [arm, status] of [
		["control", 200],
		["boosted", 500],
	] as const) {
		const entries = unitsOf(arm, 2_000, "harm").flatMap((unit) => {
			const common = { unit, requestId: randomUUID(), startMs: Date.now(), status };
			return [
				{ ...common, kind: "start" as const },
				{ ...common, kind: "end" as const },
			];
		});
		await stream.write(encode(entries));
	}
	await stream.end();
}

/** One look of the rollout: evidence, analysis, decision. */
async function look(): Promise<Action> {
	const evidence = await client.evidence(asked());
	const nowMs = Date.now();
	const status = initialStatus(DECIDED.spec.rollout.stepsPpm, nowMs);
	return decide({ rules: RULES, experiment: DECIDED, metrics: { errors: ERRORS }, status, evidence, nowMs }).action;
}

/** The 95th percentile of EVIDENCE_CALLS looks, some time apart, while entries come in as fast as ingest takes them. */
async function rollbackDelayMs(): Promise<number> {
	const child = load(0);
	const exited = once(child, "exit");
	const times: number[] = [];
	const started = performance.now();
	for (let index = 1; index <= EVIDENCE_CALLS; index++) {
		await sleep(EVIDENCE_EVERY_MS);
		const due = performance.now();
		const action = await look();
		times.push(performance.now() - due);
		if (action !== "roll-back") throw new Error(`a look decided '${action}', not to roll back`);
	}
	child.kill("SIGTERM");
	const [printed] = child.stdout === null ? [""] : await once(child.stdout, "data");
	await exited;
	const seconds = (performance.now() - started) / 1e3;
	const median = quantile(times, 0.5).toFixed(0);
	console.log(
		`a look under full load (${Math.round(Number(printed) / seconds)} entries/s): median ${median} ms, slowest ${Math.max(...times).toFixed(0)} ms`,
	);
	return quantile(times, 0.95);
}

function quantile(values: readonly number[], q: number): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}

try {
	console.log(`ingest is process ${pid}; warming up`);
	const warmUp = load(10_000);
	await once(warmUp, "exit");
	const entries = await entriesPerCpuSecond();
	const outcomes = await outcomesPerCpuSecond();
	const queryable = await queryableMs();
	console.log(
		`from a start entry to its being queryable: median ${queryable.toFixed(1)} ms, Envoy's flush not counted`,
	);
	await harm();
	while ((await look()) !== "roll-back");
	const delay = await rollbackDelayMs();
	const result = {
		entriesPerCpuSecond: Math.round(entries),
		outcomesPerCpuSecond: Math.round(outcomes),
		rollbackDelayMs: Math.round(delay),
		queryableMs: Math.round(queryable * 10) / 10,
	};
	console.log(`RESULT ${JSON.stringify(result)}`);
} finally {
	const exited = once(ingest, "exit");
	ingest.kill("SIGTERM");
	await exited;
	rmSync(directory, { recursive: true, force: true });
}
