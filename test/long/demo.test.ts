/**
 * The demo, many times: at least 19 of 20 runs end as they should, each in under two minutes at full pace; then each other mode
 * once. One at a time, because each needs the whole machine.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import t from "tap";

const DEMO = fileURLToPath(new URL("../../src/cli/demo/main.js", import.meta.url));
const RUNS = Number(process.env.WEIR_DEMO_RUNS ?? 20);
const RIGHT_SHARE = 0.95;
const FULL_PACE = 800;

interface DemoResult {
	readonly requests: number;
	readonly failed: number;
	readonly promoted: string;
	readonly rolledBack: readonly string[];
	readonly denied: number;
	readonly assignmentMismatches: number;
	readonly seconds: number;
	readonly requestsPerSecond: number;
}

async function demo(...args: readonly string[]): Promise<{ code: number | null; result: DemoResult; out: string }> {
	const child = spawn(process.execPath, [DEMO, ...args], { stdio: ["ignore", "pipe", "ignore"] });
	let out = "";
	child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
		out += chunk;
	});
	const [code] = (await once(child, "close")) as [number | null];
	const line = out.trim().split("\n").at(-1) ?? "";
	return { code, result: JSON.parse(line.replace(/^RESULT /, "")), out };
}

t.setTimeout(RUNS * 130_000 + 500_000);

t.test(`${RUNS} runs: the better model is promoted, the worse and the slow one are rolled back`, async (t) => {
	const seconds: number[] = [];
	let late = 0;
	let right = 0;
	for (let run = 1; run <= RUNS; run++) {
		const { code, result, out } = await demo();
		seconds.push(result.seconds);
		if (result.seconds * (result.requestsPerSecond / FULL_PACE) >= 120) late++;
		if (code === 0) right++;
		t.comment(`run ${run}: exit ${code} ${JSON.stringify(result)}`);
		if (code !== 0) t.comment(out);
		t.equal(result.failed, 0, "no request fails, whatever the verdicts");
		t.equal(result.assignmentMismatches, 0);
	}
	t.comment(`${right} of ${RUNS} right, slowest ${Math.max(...seconds)} s`);
	t.ok(right >= Math.floor(RUNS * RIGHT_SHARE), `${right} of ${RUNS} came out right`);
	t.equal(late, 0, "each under two minutes, at full pace");
});

t.test("--swap: main is rolled back", async (t) => {
	const { code, result } = await demo("--swap");
	t.equal(code, 0);
	t.equal(result.promoted, "");
	t.ok(result.rolledBack.includes("boosted-vs-logistic"));
});

t.test("--aa: nothing is promoted", async (t) => {
	const { code, result } = await demo("--aa");
	t.equal(code, 0);
	t.equal(result.promoted, "");
});

t.test("--no-delay: the slow copy is not rolled back for its latency, the others as ever", async (t) => {
	const { code, result } = await demo("--no-delay");
	t.equal(code, 0);
	t.equal(result.promoted, "boosted-vs-logistic");
	t.notOk(result.rolledBack.includes("slow-copy"));
});
