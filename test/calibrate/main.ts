/**
 * `npm run calibrate [-- --quick] [--method PREFIX]`: checks the error rates of all methods on simulated data with known truth,
 * looked at many times while the allocation ramps, with the true effect on the line. Exit code 1 if an exact method errs
 * in more than alpha, or covers less than 1 − alpha, with 99 % evidence.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { merge, type Tally } from "./experiment.js";
import { methodOf } from "./methods.js";
import { powerTable } from "./power.js";
import type { Part } from "./run.worker.js";
import { SCENARIOS, type Scenario } from "./scenarios.js";
import { asymptoticTable, type Calibrated, exactTable, resultLine, verdict } from "./table.js";

const { values } = parseArgs({ options: { quick: { type: "boolean" }, method: { type: "string", default: "" } } });
const quick = values.quick ?? false;
/** Scenarios of the selected methods. */
const scenarios = SCENARIOS.filter(({ method }) => method.startsWith(values.method));
if (scenarios.length === 0) {
	const methods = [...new Set(SCENARIOS.map(({ method }) => method))];
	process.stderr.write(`no method begins with '${values.method}'; there are ${methods.join(", ")}\n`);
	process.exit(64);
}
const EXPERIMENTS = quick ? 500 : 4_000;
const LOOKS = quick ? 50 : 100;
const PART = 50;

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const progress = (line: string): void => void process.stderr.write(`${line}\n`);

/** Worker threads that run one part after another. */
class Pool {
	readonly #idle: Worker[];
	readonly #waiting: ((worker: Worker) => void)[] = [];

	constructor(threads: number) {
		this.#idle = Array.from({ length: threads }, () => new Worker(new URL("./run.worker.js", import.meta.url)));
	}

	async run(part: Part): Promise<Tally> {
		const worker = this.#idle.pop() ?? (await new Promise<Worker>((resolve) => this.#waiting.push(resolve)));
		return new Promise((resolve, reject) => {
			worker.once("error", reject);
			worker.once("message", (tally: Tally) => {
				worker.off("error", reject);
				const next = this.#waiting.shift();
				if (next === undefined) this.#idle.push(worker);
				else next(worker);
				resolve(tally);
			});
			worker.postMessage(part);
		});
	}

	async close(): Promise<void> {
		await Promise.all(this.#idle.map((worker) => worker.terminate()));
	}
}

async function calibrate(pool: Pool, scenario: Scenario): Promise<Calibrated> {
	const parts: Promise<Tally>[] = [];
	for (let first = 0; first < EXPERIMENTS; first += PART)
		parts.push(pool.run({ scenario, first, count: Math.min(PART, EXPERIMENTS - first), looks: LOOKS }));
	const tally = (await Promise.all(parts)).reduce(merge);
	return { scenario, exact: methodOf(scenario)?.exact ?? true, tally };
}

const pool = new Pool(Math.max(1, Math.min(8, availableParallelism())));
const results: Calibrated[] = [];
for (const [index, scenario] of scenarios.entries()) {
	const result = await calibrate(pool, scenario);
	results.push(result);
	const { above, below, missed } = result.tally.always;
	progress(
		`${index + 1}/${scenarios.length} ${scenario.name}, ${scenario.method}: ${above} above, ${below} below, ${missed} missed of ${EXPERIMENTS}`,
	);
}
await pool.close();

print(`\nExact methods: ${EXPERIMENTS} experiments, ${LOOKS} looks each, every look counts\n`);
for (const line of exactTable(results)) print(line);
print("\nAsymptotic methods: false claims of the worse side, by the units in the smaller arm from which looks count\n");
for (const line of asymptoticTable(results)) print(line);
print("\nPower: the share of experiments that prove a true effect, and the units of both arms that it took\n");
for (const line of powerTable(quick ? 200 : 1_000)) print(line);

const excess = results.filter((result) => result.exact && verdict(result) === "excess");
for (const { scenario } of excess) print(`EXCESS ${scenario.name}, ${scenario.method}, line ${scenario.line}`);
print(resultLine(results));
process.exitCode = excess.length === 0 ? 0 : 1;
