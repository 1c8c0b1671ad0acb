/** A client's sampling flag decides whether a request is traced, else `--trace-sampling`; on every tested Envoy. */
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { compile } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { startOtlpReceiver } from "../../../src/observe/telemetry/otlpReceiver.js";
import { SpanStore } from "../../../src/observe/telemetry/spanStore.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { inThisTier } from "../../envoy/tierVersions.js";
import { resourceSet, service, variant } from "../../fixtures/resources.js";
import { startUpstream } from "../../fixtures/upstream.js";

const CLIENTS_SPAN = "00f067aa0ba902b7";
const EACH = 100;
const OTLP_WAIT_MS = 20_000;

const traceIdOf = (kind: number, index: number): string =>
	`${kind}${index}`.padStart(32, "0af7651916cd43dd8448eb211c80319c");

for (const [version, percent] of inThisTier([
	["1.40.0", 1],
	["1.38.3", 1],
	["1.36.2", 1],
	["1.40.0", 0],
	["1.40.0", 100],
] as const))
	t.test(`Envoy ${version}, ${percent} %`, { timeout: 60_000 }, async (t) => {
		const directory = await mkdtemp(join(tmpdir(), "weir-decision-"));
		t.teardown(() => rm(directory, { recursive: true, force: true }));
		const store = new SpanStore();
		const tracesSocket = join(directory, "otlp.sock");
		const receiver = await startOtlpReceiver({ address: `unix:${tracesSocket}`, store });
		t.teardown(() => receiver.close());
		const port = await startUpstream(t, ({ headers }, response) => {
			response.setHeader("x-traceparent", headers.traceparent ?? "");
			response.setHeader("x-tracestate", headers.tracestate ?? "");
			response.end();
		});
		const collectors = { accessLogSocket: null, tracesSocket, traceSamplingPercent: percent };
		const plan = compile(resourceSet({ services: [service("open", [variant("v1", port)])] }), EMPTY_STATUS, {
			collectors,
		});
		const envoy = await startEnvoy(t, bootstrapOf(plan, collectors), { version });
		const ask = (headers: Readonly<Record<string, string>>) =>
			new Promise<{ readonly id: string; readonly parent: string; readonly state: string }>((resolve, reject) => {
				const asked = request(
					{ host: "127.0.0.1", port: envoy.port(), headers: { host: "open.test", ...headers } },
					(answer) => {
						answer.resume();
						const text = (name: string) => String(answer.headers[name] ?? "");
						const seen = { id: text("x-request-id"), parent: text("x-traceparent"), state: text("x-tracestate") };
						answer.on("end", () => resolve(seen));
					},
				);
				asked.on("error", reject).end();
			});
		const isStored = async (id: string): Promise<boolean> => {
			for (const until = Date.now() + OTLP_WAIT_MS; Date.now() < until; await pause(50))
				if (store.find(id).length > 0) return true;
			return false;
		};

		for (const [kind, flags] of ["01", "00"].entries()) {
			const answers = [];
			for (let index = 0; index < EACH; index++) {
				const traceparent = `00-${traceIdOf(kind, index)}-${CLIENTS_SPAN}-${flags}`;
				answers.push(await ask({ traceparent, tracestate: "theirs=1" }));
			}
			const wrong = answers.filter(
				({ parent, state }, index) =>
					!new RegExp(`^00-${traceIdOf(kind, index)}-[0-9a-f]{16}-${flags}$`).test(parent) || state !== "theirs=1",
			);
			t.same(wrong.slice(0, 3), [], `-${flags} goes on as -${flags}`);
		}
		for (let index = 0; index < EACH; index++)
			if (!(await isStored(traceIdOf(0, index)))) t.fail(`${index} has no span, its client wanted one`);

		const own = [];
		for (let index = 0; index < 4 * EACH; index++) own.push(await ask({}));
		const sampled = own.filter(({ parent }) => parent.endsWith("-01"));
		t.ok(own.every(({ parent }) => /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/.test(parent)));
		// 1 % of 400 is 4, and 25 or more come once in 10¹² runs.
		if (percent === 1) t.ok(sampled.length < 25, `${sampled.length} of ${own.length}`);
		else t.equal(sampled.length, percent === 0 ? 0 : own.length);
		for (const { id, parent } of sampled.slice(0, 25))
			t.ok((await isStored(parent.slice(3, 35))) && (await isStored(id)), "stored, and found by its request id too");

		for (let index = 0; index < EACH; index++)
			t.same(store.find(traceIdOf(1, index)), [], "what its client does not trace has no span");
		t.ok(
			own.every(({ id }) => /^[0-9a-f]{8}-[0-9a-f]{4}-4/.test(id)),
			"no id makes a further Envoy trace",
		);
	});
