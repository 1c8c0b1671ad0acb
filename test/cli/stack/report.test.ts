/** `weir report`, `weir plan` and the access record log over the whole stack, from real requests through a real Envoy. */

import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import type { Report } from "../../../src/decide/report/report.js";
import type { ExperimentState } from "../../../src/decide/rollout/experimentState.js";
import { elementsOf } from "../../decide/report/wellFormed.js";
import { answerOf } from "../../fixtures/answerOf.js";
import { startBackend } from "../backend.js";
import { askApi, fileOf, temporaryDirectory, weir, weirUp } from "../command.js";
import { experimentText, gatewayText, openService, outcomeMetric, policyText, serviceText } from "../documents.js";

const PEOPLE = 60;

// A dozen commands in sequence, each in its own process.
t.setTimeout(120_000);

t.test("report and plan work for a running Experiment", async (t) => {
	const port = await startBackend(t);
	const directory = await temporaryDirectory(t);
	const file = await fileOf(
		directory,
		"experiment.yaml",
		[
			gatewayText(),
			openService("shop", [port, port]),
			serviceText("guarded", [port]),
			policyText("anyone", "guarded", "principals: [anyone], methods: [DELETE]"),
			outcomeMetric("bought", "6s"),
			outcomeMetric("errors", "100ms").replace("source: outcome", "source: errors, direction: down"),
			experimentText(
				"cheaper",
				"shop",
				"cheap",
				`goal: {metric: bought, improveBy: {absolute: 1pp}}
  guardrails: [{metric: errors, margin: {absolute: 1pp}}]
  rollout: {steps: [100%], every: 1h, minUnits: 1000}`,
			),
		].join("---\n"),
	);
	const up = await weirUp(file, `${directory}/data`, ["--decision-log", "all", "--trace-sampling", "100"]);
	t.teardown(async () => void (await up.stop()));
	const { gateways } = JSON.parse(await readFile(`${directory}/data/addresses.json`, "utf8"));
	const units = Array.from({ length: PEOPLE }, (_, index) => `person-${index}`);
	for (const unit of units) await (await fetch(gateways.edge, { headers: { "x-user-id": unit } })).text();
	const outcomes = units.map((unit, index) => ({ unit, metric: "bought", value: index % 2 }));
	const posted = await askApi(up.ready.api, "/v1/outcomes", {
		headers: { "content-type": "application/json", "idempotency-key": "one" },
		body: JSON.stringify({ outcomes }),
	});
	t.equal(posted.status, 200, posted.text);

	// Until all units are measured.
	for (let tries = 0; ; tries++) {
		const { text } = await askApi(up.ready.api, "/v1/experiments/cheaper/standing");
		const { evidence } = JSON.parse(text) as ExperimentState;
		const measured = (evidence?.arms ?? []).reduce((sum, { metrics }) => sum + (metrics.bought?.n ?? 0), 0);
		if (measured === PEOPLE) break;
		if (tries > 300) throw new Error(`only ${measured} people are measured: ${text}\n${up.log()}`);
		await pause(100);
	}

	await t.test("report prints text, JSON and an HTML page", async (t) => {
		const { code, stdout, stderr } = await weir(["report", "cheaper", "--api", up.ready.api, "--json"]);
		t.equal(code, 0, stderr);
		const report: Report = JSON.parse(stdout.toString());
		t.match(report, {
			name: "cheaper",
			evidence: { from: "store" },
			answer: { state: "Still measuring", sentence: /too few people for a result yet/ },
			decisions: [{ sequence: 1, action: "start" }],
		});
		t.same(
			report.claims.map(({ metric, role }) => [metric, role]),
			[
				["errors", "guardrail"],
				["bought", "goal"],
			],
		);

		const path = `${directory}/report.html`;
		const words = await weir(["report", "cheaper", "--api", up.ready.api, "--html", path]);
		t.equal(words.code, 0, words.stderr);
		t.match(words.stdout.toString(), /^cheaper: Still measuring\n.*\nNext: .*\n/);
		t.match(words.stdout.toString(), /Page: .*report\.html/);
		const page = await readFile(path, "utf8");
		t.ok(elementsOf(page.slice("<!DOCTYPE html>\n".length)).length > 100);
		t.match(page, /too few people for a result yet/);

		const unknown = await weir(["report", "dearer", "--api", up.ready.api]);
		t.equal(unknown.code, 1);
		t.match(unknown.stderr, /no Experiment 'dearer'/);
		const nowhere = await weir(["report", "cheaper", "--api", up.ready.api, "--html", `${directory}/no/such.html`]);
		t.equal(nowhere.code, 64);
		t.match(nowhere.stderr, /cannot write/);
	});

	await t.test("plan works from the experiment's own evidence, and from flags alone", async (t) => {
		const planned = await weir(["plan", "-f", file, "--api", up.ready.api, "--json"]);
		t.equal(planned.code, 0, planned.stderr);
		const json = JSON.parse(planned.stdout.toString());
		t.match(json, {
			experiment: "cheaper",
			facts: {
				traffic: { from: /^Experiment cheaper, / },
				baselines: { errors: { mean: 0, from: /^Experiment cheaper, \d+ units$/ }, bought: { from: /cheaper/ } },
			},
			running: { units: Number, summary: /too few people/ },
			plan: { alphaEach: 0.05 },
		});
		const page = await weir(["plan", "-f", file, "--api", up.ready.api]);
		t.match(page.stdout.toString(), /^Running: \d+ people measured so far\./m);

		const flags = ["--offline", "--traffic", "9000,6000,5000", "--baseline", "bought=12%", "--baseline", "errors=0.2%"];
		const offline = await weir(["plan", "-f", file, ...flags, "--effect", "bought=3pp", "--days", "14"]);
		t.equal(offline.code, 0, offline.stderr);
		const text = offline.stdout.toString();
		t.match(text, /^New people a day: 9,000, 6,000, 5,000 \(--traffic\)$/m);
		t.match(text, /^bought +goal +>1pp better +3pp better +[\d,]+ /m);
		t.notMatch(text, /Not known/);

		const nothing = await weir(["plan", "-f", file, "--offline"]);
		t.equal(nothing.code, 1);
		t.match(nothing.stdout.toString(), /--baseline bought=MEAN/);
		const refused = await weir(["plan", "-f", file, "--offline", "--experiment", "dearer"]);
		t.equal(refused.code, 64);
		t.match(refused.stderr, /dearer.*--experiment: cheaper/);
	});

	await t.test(
		"with --decision-log all allowed requests have a record too, and a denied one names its trace",
		async (t) => {
			const { port } = new URL(gateways.edge);
			t.match(await answerOf({ port, path: "/refused", headers: { host: "guarded.test" } }), { status: 403 });
			interface Record {
				readonly path: string;
				readonly traceId: string | null;
			}
			// Envoy sends its access log after the answer, batch by batch.
			const recorded = async (query: string): Promise<Record> => {
				for (;;) {
					const { text } = await askApi(up.ready.api, `/v1/requests?${query}`);
					const [record]: readonly Record[] = JSON.parse(text).decisions;
					if (record !== undefined) return record;
					await pause(100);
				}
			};
			t.match(await recorded("kind=allowed&service=shop"), { kind: "allowed", path: "/", status: 200 });
			const { traceId } = await recorded("kind=denied");
			t.match(traceId, /^[0-9a-f]{32}$/);
			// Its span may come later than its record.
			let text = "";
			while (!text.includes("weir-envoy"))
				text = (await weir(["trace", traceId ?? "", "--api", up.ready.api])).stdout.toString();
			t.match(text, traceId ?? "none", "and it is the trace of Envoy's span");
		},
	);
});
