/**
 * Envoy's CPU per request for a plain route, an Experiment, an access log, and an observed Experiment with 1 % traced requests.
 * One Envoy per form, alternating rounds; figures are medians of the rounds.
 * Run: `node dist/test/bench/native.js`; the last line is `RESULT {"ratio":…,"ratioObserved":…,"collectorUs":…}`.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import type { Collectors } from "../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { bootstrapOf, launchEnvoy, type RunningEnvoy } from "../envoy/harness.js";
import { experiment, gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import type { LoadOrder, LoadReport } from "./native/load.js";
import { median } from "./native/median.js";
import { cpuUs } from "./native/processCpu.js";

const ROUNDS = 13;
const REQUESTS = 10_000;
const WARM_UP = 5_000;

const FORMS = ["plain", "experiment", "plainLogged", "observed"] as const;
type Form = (typeof FORMS)[number];

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

function start(module: string, ...args: readonly string[]): ChildProcess {
	return fork(new URL(`./native/${module}.js`, import.meta.url), args);
}

const directory = await mkdtemp(join(tmpdir(), "weir-bench-"));
const children: ChildProcess[] = [];
const envoys: RunningEnvoy[] = [];
try {
	const load = start("load");
	children.push(load);
	const [{ ports }] = (await once(load, "message")) as [{ ports: readonly number[] }];
	const plan = (form: Form, collectors: Collectors) =>
		compile(
			resourceSet({
				gateways: [gateway({ exposeArm: false })],
				services: [
					service(
						"bench",
						ports.map((port, index) => variant(`v${index + 1}`, port)),
					),
				],
				experiments: form.startsWith("plain") ? [] : [experiment("e", "bench", [1, 1], { stepsPpm: [500_000] })],
			}),
			EMPTY_STATUS,
			{ collectors },
		);
	const sinkSocket = join(directory, "sink.sock");
	const sink = start("sink", sinkSocket);
	children.push(sink);
	await once(sink, "message");

	const observed: Collectors = {
		accessLogSocket: join(directory, "als.sock"),
		tracesSocket: join(directory, "otlp.sock"),
		traceSamplingPercent: 1,
	};
	const planFile = join(directory, "plan.json");
	const { version, table } = plan("observed", observed);
	await writeFile(planFile, JSON.stringify({ version, table }));
	const ingest = start(
		"ingest",
		join(directory, "data"),
		observed.accessLogSocket ?? "",
		observed.tracesSocket ?? "",
		planFile,
	);
	children.push(ingest);
	await once(ingest, "message");

	const collectorsOf: Readonly<Record<Form, Collectors>> = {
		plain: NO_COLLECTORS,
		experiment: NO_COLLECTORS,
		plainLogged: { ...NO_COLLECTORS, accessLogSocket: sinkSocket },
		observed,
	};
	const running = new Map<Form, RunningEnvoy>();
	for (const form of FORMS) {
		const envoy = await launchEnvoy(bootstrapOf(plan(form, collectorsOf[form]), collectorsOf[form]));
		envoys.push(envoy);
		running.set(form, envoy);
	}
	say(`Envoy ${envoys[0]?.version}, one worker each; ${ROUNDS} rounds of ${REQUESTS} requests per form`);

	/** Envoy's CPU microseconds per request of one round. */
	const round = async (form: Form, requests: number): Promise<number> => {
		const envoy = running.get(form);
		if (envoy === undefined) throw new Error(`no Envoy for ${form}`);
		const before = await cpuUs(envoy.pid);
		load.send({ port: envoy.port(), host: "bench.test", requests } satisfies LoadOrder);
		const [{ ok }] = (await once(load, "message")) as [LoadReport];
		if (ok !== requests) throw new Error(`${form}: ${requests - ok} of ${requests} requests failed`);
		return ((await cpuUs(envoy.pid)) - before) / requests;
	};
	/** CPU of ingest once everything it was sent has been stored. */
	const settled = async (entries: number): Promise<number> => {
		for (let attempt = 0; attempt < 200; attempt++) {
			ingest.send("settle");
			const [report] = (await once(ingest, "message")) as [{ entries: number }];
			if (report.entries >= entries) return cpuUs(ingest.pid ?? 0);
			// Envoy sends its buffer every 200 ms; nothing announces the last one.
			await new Promise((resolve) => setTimeout(resolve, 100));
		}
		throw new Error("ingest has not stored every entry");
	};

	for (const form of FORMS) await round(form, WARM_UP);
	const ingestBefore = await settled(2 * WARM_UP);
	const us: Record<Form, number[]> = { plain: [], experiment: [], plainLogged: [], observed: [] };
	for (let index = 1; index <= ROUNDS; index++) {
		for (const form of FORMS) us[form].push(await round(form, REQUESTS));
		say(`round ${index} of ${ROUNDS}: ${FORMS.map((form) => `${form} ${us[form].at(-1)?.toFixed(1)}`).join(", ")} µs`);
	}
	const ingestUs = (await settled(2 * (WARM_UP + ROUNDS * REQUESTS))) - ingestBefore;

	const ratios = (form: Form) => us[form].map((value, index) => value / (us.plain[index] ?? Number.NaN));
	for (const form of FORMS) {
		say(
			`${form.padEnd(12)} ${median(us[form]).toFixed(1)} µs per request, ${median(ratios(form)).toFixed(3)} times plain`,
		);
	}
	const rounded = (value: number) => Number(value.toFixed(3));
	const result = {
		ratio: rounded(median(ratios("experiment"))),
		ratioObserved: rounded(median(ratios("observed"))),
		collectorUs: Number((ingestUs / (ROUNDS * REQUESTS)).toFixed(1)),
	};
	say(`RESULT ${JSON.stringify(result)}`);
} finally {
	await Promise.all(envoys.map((envoy) => envoy.stop()));
	for (const child of children) child.disconnect();
	await Promise.all(children.map((child) => child.exitCode ?? once(child, "exit")));
	await rm(directory, { recursive: true, force: true });
}
