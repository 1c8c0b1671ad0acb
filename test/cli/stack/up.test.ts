/** The whole stack under `weir up`: a real Envoy, real backends, kill -9 of its parts. Acknowledged outcomes and the allocation survive. */
import { execFileSync } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { startBackend } from "../backend.js";
import { askApi, fileOf, type RunningUp, temporaryDirectory, weir, weirUp } from "../command.js";
import { experimentText, gatewayText, openService, outcomeMetric } from "../documents.js";

const declaration = (v1: number, v2: number): string =>
	[
		gatewayText("port: 0, exposeArm: true"),
		openService("model", [v1, v2]),
		outcomeMetric("quality", "1s"),
		experimentText(
			"trial",
			"model",
			"challenger",
			`goal: {metric: quality, improveBy: {absolute: 1pp}}
  rollout: {steps: [50%, 100%], every: 1h, minUnits: 1000}`,
		),
	].join("---\n");

async function until<T>(
	what: string,
	check: () => Promise<T | null | undefined | false>,
	timeoutMs = 20_000,
): Promise<T> {
	const deadline = performance.now() + timeoutMs;
	for (;;) {
		const value = await check().catch(() => null);
		if (value) return value;
		if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
		await pause(50);
	}
}

const roleOf = (up: RunningUp, role: string): number =>
	Number(
		execFileSync("pgrep", ["-P", String(up.child.pid), "-f", role], { encoding: "utf8" })
			.trim()
			.split("\n")[0],
	);

async function ask(up: RunningUp, unit: string): Promise<{ arm: string | null; variant: string; status: number }> {
	const response = await fetch(up.ready.gateway, { headers: { "x-user-id": unit } });
	return { arm: response.headers.get("x-weir-arm"), variant: await response.text(), status: response.status };
}

async function post(
	up: RunningUp,
	rows: object[],
	key?: string,
): Promise<{ status: number; body: { accepted: number } }> {
	const { status, text } = await askApi(up.ready.api, "/v1/outcomes", {
		headers: { "content-type": "application/json", ...(key === undefined ? {} : { "idempotency-key": key }) },
		body: JSON.stringify(rows),
	});
	return { status, body: JSON.parse(text) as { accepted: number } };
}

t.setTimeout(180_000);

t.test("the stack under weir up works and survives kill -9", async (t) => {
	const directory = await temporaryDirectory(t);
	const file = await fileOf(
		directory,
		"weir.yaml",
		declaration(await startBackend(t, "v1"), await startBackend(t, "v2")),
	);
	const data = `${directory}/data`;
	let up = await weirUp(file, data);
	t.teardown(async () => void (await up.stop("SIGKILL")));
	t.match(up.ready.gateway, /^http:\/\/127\.0\.0\.1:\d+$/);

	const expected = new Map<string, string>();
	await t.test("Envoy assigns as `weir assign` does, and the arm's Variant answers", async (t) => {
		const ids = Array.from({ length: 60 }, (_, index) => `person-${index}`);
		const { stdout } = await weir(["assign", "-f", file, "--experiment", "trial"], ids.join("\n"));
		for (const line of stdout.toString().trim().split("\n")) {
			const [id, arm] = line.split("\t") as [string, string];
			expected.set(id, arm);
		}
		for (const id of ids) {
			const { arm, variant } = await ask(up, id);
			t.equal(arm, `trial/${expected.get(id)}`);
			t.equal(variant, expected.get(id) === "challenger" ? "v2" : "v1");
		}
	});

	await t.test("metrics are Prometheus text of all roles", async (t) => {
		const { text } = await askApi(up.ready.api, "/metrics");
		for (const role of ["control", "ingest"]) t.match(text, `role="${role}"`);
	});

	await t.test("every Envoy is in sync", async (t) => {
		const status = await until("synced", async () => {
			const { stdout } = await weir(["proxy-status", "--api", up.ready.api]);
			return /SYNCED/.test(stdout.toString()) && !/STALE|NOT SENT/.test(stdout.toString()) && stdout.toString();
		});
		t.match(status, /routes\s+SYNCED/);
	});

	await t.test("an acknowledged outcome survives kill -9 of ingest, which restarts by itself", async (t) => {
		const rows = [...expected].map(([unit]) => ({ metric: "quality", unit, value: 1 }));
		const exposed = [...expected.values()].filter((arm) => ["control", "challenger"].includes(arm)).length;
		t.same((await post(up, rows, "first")).status, 200);
		await until("every exposure is committed", async () => {
			const { text } = await askApi(up.ready.api, "/metrics");
			const of = [...text.matchAll(/^weir_ingest_exposures_total\{.*\} (\d+)$/gm)].map(([, count]) => Number(count));
			return of.reduce((sum, count) => sum + count, 0) === exposed;
		});
		process.kill(roleOf(up, "main.js ingest"), "SIGKILL");
		const again = await until("ingest is back", async () => {
			const answer = await post(up, rows, "first");
			return answer.status === 200 && answer;
		});
		t.equal(again.body.accepted, rows.length, "the replay of its key finds the first answer");
		t.equal((await post(up, rows.slice(1), "first")).status, 409, "the same key with another body");
	});

	await t.test("Envoy serves while control is dead", async (t) => {
		process.kill(roleOf(up, "main.js control"), "SIGKILL");
		for (const [id, arm] of expected) {
			const answer = await ask(up, id);
			t.same([answer.status, answer.arm], [200, `trial/${arm}`]);
		}
		await until("api is back", async () => (await askApi(up.ready.api, "/healthz")).status === 200);
	});

	await t.test("operators' verbs are recorded, and decisions recompute", async (t) => {
		await until("rollout has recorded something", async () => {
			const { stdout } = await weir(["decisions", "trial", "--api", up.ready.api]);
			return /start/.test(stdout.toString());
		});
		t.equal((await weir(["pause", "trial", "--api", up.ready.api, "--reason", "lunch"])).code, 0);
		t.match((await weir(["status", "--api", up.ready.api])).stdout.toString(), /trial\s+Paused/);
		t.equal((await weir(["pause", "trial", "--api", up.ready.api])).code, 1, "paused twice is refused");
		t.equal((await weir(["resume", "trial", "--api", up.ready.api])).code, 0);
		const { stdout, code } = await weir(["decisions", "trial", "--api", up.ready.api, "--recompute"]);
		t.equal(code, 0, stdout.toString());
		t.match(stdout.toString(), /lunch.*\n +a person's act: nothing to recompute/);
	});

	await t.test("after kill -9 of everything the next start has outcomes, decisions and allocation", async (t) => {
		t.equal((await weir(["abort", "trial", "--api", up.ready.api])).code, 0);
		const pids = ["main.js ca", "main.js control", "main.js ingest", "main.js envoy"].map((role) => roleOf(up, role));
		up.child.kill("SIGKILL");
		for (const pid of pids) {
			try {
				process.kill(pid, "SIGKILL");
			} catch {
				// it ended with its parent
			}
		}
		await up.stop("SIGKILL");
		up = await weirUp(file, data);
		t.match((await weir(["status", "--api", up.ready.api])).stdout.toString(), /trial\s+Aborted/);
		const replay = await post(
			up,
			[...expected].map(([unit]) => ({ metric: "quality", unit, value: 1 })),
			"first",
		);
		t.same([replay.status, replay.body.accepted], [200, expected.size]);
		const { arm, variant } = await ask(up, "person-1");
		t.same([arm, variant], [null, "v1"], "an aborted experiment assigns no unit");
	});

	await t.test("an approved change of others stays when the stack restarts with the older file", async (t) => {
		const api = ["--api", up.ready.api];
		const changed = await fileOf(directory, "changed.yaml", declaration(1, 2).replace("window: 1s", "window: 2s"));
		const policy = await fileOf(
			directory,
			"policy.yaml",
			[
				"kind: RoleBinding\nmetadata: {name: others}\nspec: {verbs: [approve], subjects: ['group:others'], namespaces: [default]}\n",
				"kind: ApprovalPolicy\nmetadata: {name: two}\nspec: {verbs: [apply], namespaces: [default]}\n",
			]
				.map((document) => `apiVersion: weir.dev/v1alpha1\n${document}`)
				.join("---\n"),
		);
		for (const name of [changed, policy]) t.equal((await weir(["apply", "-f", name, ...api])).code, 0);
		t.equal(await up.stop("SIGTERM"), 0, "SIGTERM ends it in order");
		up = await weirUp(file, data);
		t.match(
			up.log(),
			/weir: starting with what is declared already: .*Metric quality of the file differ, and the change needs another's approval: nothing of it is in force; ask/,
		);
		t.same(JSON.parse((await askApi(up.ready.api, "/v1/approvals")).text), { requests: [] }, "nothing is asked for");
		t.match((await askApi(up.ready.api, "/v1/resources?format=yaml")).text, /window: 2s/);
	});

	t.equal(await up.stop("SIGTERM"), 0, "SIGTERM ends it in order");
});
