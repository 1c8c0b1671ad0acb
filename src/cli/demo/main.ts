/**
 * `npm run demo`: the main job on real input. Three Services with real models, real people's records, a real
 * Envoy; one challenger is promoted, two are rolled back, a client without rights is refused, and no request fails. Exit 0
 * only if all of that came out of the rules.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { reportPage } from "../../decide/report/page/page.js";
import type { Decision } from "../../decide/rollout/decision.js";
import type { ExperimentStatus } from "../../decide/rollout/status.js";
import { formatProblem } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { ApiClient } from "../../operate/api/apiClient.js";
import { reportFrom } from "../commands/report.js";
import { startStack } from "../stack/stack.js";
import { type Crowd, startCrowd } from "./crowdProcess.js";
import { DEMO_DOMAIN, experimentsYaml, PEOPLE, servicesYaml } from "./declaration.js";
import { type DemoMode, type DemoService, demoServices } from "./modes.js";
import type { PredictorOrders } from "./predictors.js";
import { Timeline } from "./timeline.js";
import { type Ending, faultsOf, figuresOf, verdictLines } from "./verdicts.js";

/** A machine that never gets quiet: go on all the same. */
const WARM_UP_MS_MAX = 20_000;
const POLL_MS = 250;
const PROGRESS_MS = 2_000;
/** An A/A run has no verdict to wait for; it ends after this long. */
const AA_MS = 60_000;
/** Limit of the whole run if all planned people come: an Experiment that is undecided then has failed. */
const GIVE_UP_MS = 112_000;

const PROTECTED =
	"protected: mTLS with short-lived SPIFFE ids from the app through Envoy to the models, which answer Envoy alone; " +
	"the API takes labels from their one sender; deny by default";

const program = new Command("demo")
	.option("--aa", "equal models: nothing may be promoted", false)
	.option("--swap", "the better model is the baseline: main is rolled back", false)
	.option("--no-delay", "take the slow challenger's delay away")
	.parse();
const options = program.opts<{ aa: boolean; swap: boolean; delay: boolean }>();
// The parts' own logs would stand between the lines of the timeline.
process.env.WEIR_LOG ??= "error";
process.exitCode = await demo({ aa: options.aa, swap: options.swap, noDelay: !options.delay });

async function demo(mode: DemoMode): Promise<number> {
	const services = demoServices(mode);
	const timeline = new Timeline((line) => process.stdout.write(`${line}\n`));
	const directory = await mkdtemp(join(tmpdir(), "weir-demo-"));
	const undo: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })];
	const interrupted = new Promise<never>((_, reject) => {
		process.once("SIGINT", () => reject(new WeirError("unavailable", "interrupted")));
		process.once("SIGTERM", () => reject(new WeirError("unavailable", "terminated")));
	});
	try {
		return await Promise.race([run(mode, services, timeline, directory, undo), interrupted]);
	} catch (thrown) {
		const error = WeirError.from(thrown);
		process.stderr.write(`weir: ${error.message}${error.hint === "" ? "" : `; ${error.hint}`}\n`);
		return 1;
	} finally {
		for (const step of undo.reverse()) await step().catch(() => {});
	}
}

async function run(
	mode: DemoMode,
	services: readonly DemoService[],
	timeline: Timeline,
	directory: string,
	undo: (() => Promise<unknown>)[],
): Promise<number> {
	const notice = (line: string) => timeline.print(line);
	const stack = await startStack({
		dataDirectory: directory,
		apiPort: 0,
		traceSamplingPercent: 1,
		notice,
		trustDomain: DEMO_DOMAIN,
		workloads: PEOPLE,
		children: ({ ids, socketOf }) => [
			{
				name: "predictors",
				module: fileURLToPath(new URL("predictors.js", import.meta.url)),
				args: [JSON.stringify(predictorOrders(services, directory, socketOf("predictor"), ids.envoy))],
			},
		],
		declare: (ready) => [
			{
				name: "services.yaml",
				text: servicesYaml(services, {
					ports: new Map(ready.predictors as [string, { v1: number; v2: number }][]),
					predictorId: `spiffe://${DEMO_DOMAIN}/weir/predictor`,
				}),
			},
		],
	});
	undo.push(() => stack.stop());
	const gatewayPort = Number(new URL(stack.gateways.demo ?? "").port);
	timeline.print(`the stack is up: Envoy ${stack.envoyVersion} at ${stack.gateways.demo}, API at ${stack.apiHttps}`);
	timeline.print(PROTECTED);

	const api = new ApiClient(stack.api);
	const crowd = startCrowd({
		gatewayPort,
		api: stack.apiHttps,
		services,
		app: stack.identity.socketOf("app"),
		labels: stack.identity.socketOf("labels"),
		outsider: stack.identity.socketOf("outsider"),
		envoyId: stack.identity.ids.envoy,
		controlId: stack.identity.ids.control,
	});
	undo.push(async () => crowd.kill());
	const rate = services.reduce((sum, { requestsPerSecond }) => sum + requestsPerSecond, 0);
	timeline.print(
		`people arrive: up to ${rate} requests/s over ${services.length} Services, each person asks 1 to 3 times; a client without rights asks too`,
	);
	const share = await warmUp(crowd);
	timeline.print(
		`the services run warm at ${(rate * share).toFixed(0)} requests/s: p90 of the last second is ${crowd.count().p90Ms.toFixed(0)} ms`,
	);
	const giveUpMs = GIVE_UP_MS / share;
	if (share < 1)
		timeline.print(
			`no more came without a queue on this machine, so the verdicts take longer: up to ${(giveUpMs / 60_000).toFixed(1)} min`,
		);

	const applied = await api.apply([{ name: "experiments.yaml", text: experimentsYaml(services) }], {
		dryRun: false,
	});
	if (applied.outcome === "refused") throw new WeirError("internal", applied.problems.map(formatProblem).join("\n"));
	const declaredAt = performance.now();
	const askedBefore = crowd.count().requests;
	timeline.print("the team declares three Experiments: steps 20 %, 50 %, 100 %, every 3 s");
	const decisions = await follow({ mode, services, api, crowd, timeline, giveUpMs });
	const declaredMs = performance.now() - declaredAt;
	const count = await crowd.stop();
	const ending: Ending = { services, statuses: await statuses(api), decisions, count };
	process.stdout.write(`\nShare of traffic on each challenger, one bar every 2 s:\n${timeline.picture().join("\n")}\n`);
	process.stdout.write(`\nVerdicts:\n${verdictLines(ending).join("\n")}\n`);
	await writeReports(api, services);
	process.stdout.write("\n");
	const wrong = faultsOf(ending);
	for (const one of wrong) process.stdout.write(`WRONG: ${one}\n`);
	const requestsPerSecond = Math.round((count.requests - askedBefore) / (declaredMs / 1_000));
	const result = { ...figuresOf(ending), requestsPerSecond, stayedAway: count.stayedAway };
	process.stdout.write(`RESULT ${JSON.stringify({ ...result, seconds: Number(timeline.seconds.toFixed(1)) })}\n`);
	return wrong.length === 0 ? 0 : 1;
}

interface Followed {
	readonly mode: DemoMode;
	readonly services: readonly DemoService[];
	readonly api: ApiClient;
	readonly crowd: Crowd;
	readonly timeline: Timeline;
	readonly giveUpMs: number;
}

/** Prints each decision as it is made. @returns all, once each Experiment has its verdict or the time is up */
async function follow({ mode, services, api, crowd, timeline, giveUpMs }: Followed): Promise<readonly Decision[]> {
	const startedAt = performance.now();
	const seen = new Map<string, number>();
	const decisions: Decision[] = [];
	const nextAtMs = new Map<string, number>();
	let lastProgress = 0;
	for (;;) {
		await pause(POLL_MS);
		for (const { experiment } of services) {
			const page = await api.decisions(experiment, seen.get(experiment) ?? 0);
			for (const decision of page.decisions) {
				seen.set(experiment, decision.sequence);
				decisions.push(decision);
				nextAtMs.set(experiment, decision.atMs + (decision.outcome.expectedMs ?? 0));
				timeline.decision(decision);
			}
		}
		const experiments = await statuses(api);
		const elapsed = performance.now() - startedAt;
		if (elapsed - lastProgress > PROGRESS_MS) {
			lastProgress = elapsed;
			timeline.progress(crowd.count(), experiments, nextAtMs);
		}
		const settled = services.every(({ experiment, expected }) => {
			const phase = experiments[experiment]?.phase;
			return expected === null || (phase !== "Running" && phase !== "Promoting");
		});
		if (mode.aa ? elapsed > AA_MS : settled) break;
		if (timeline.seconds * 1_000 > giveUpMs) {
			timeline.print("time is up without all verdicts");
			break;
		}
	}
	return decisions;
}

/**
 * Waits until as many people come as will: thresholds are frozen from what is measured then, and a team does not start
 * in a storm.
 * @returns the share of those meant to come who do
 */
async function warmUp(crowd: Crowd): Promise<number> {
	const start = performance.now();
	while (crowd.count().stage === "warming" && performance.now() - start < WARM_UP_MS_MAX) await pause(POLL_MS);
	return crowd.settle();
}

/** One page per Experiment, which stay when the demo's own directory goes. What the run came to does not depend on them. */
async function writeReports(api: ApiClient, services: readonly DemoService[]): Promise<void> {
	process.stdout.write("\nReports, to open in a browser:\n");
	try {
		const directory = await mkdtemp(join(tmpdir(), "weir-demo-reports-"));
		for (const { experiment } of services) {
			const file = join(directory, `${experiment.replaceAll("/", ".")}.html`);
			await writeFile(file, reportPage(await reportFrom(api, experiment)));
			process.stdout.write(`  ${file}\n`);
		}
	} catch (thrown) {
		process.stdout.write(`  none: ${WeirError.from(thrown).message}\n`);
	}
}

async function statuses(api: ApiClient): Promise<Readonly<Record<string, ExperimentStatus>>> {
	return Object.fromEntries((await api.status()).experiments.map(({ experiment, status }) => [experiment, status]));
}

function predictorOrders(
	services: readonly DemoService[],
	directory: string,
	identity: string,
	client: string,
): PredictorOrders {
	return { services, identity, client, directory };
}
