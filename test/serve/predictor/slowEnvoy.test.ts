/** Unfinished bodies of one client through a real Envoy: others are served, and no arm counts a failure. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:http2";
import t, { type Test } from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { type PredictorOptions, startPredictor } from "../../../src/serve/predictor/server.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { employmentModel } from "./doubles.js";

t.setTimeout(120_000);

const PATH = "/v2/models/plain/infer";
const FEATURES = [46, 21, 1, 0, 2, 0, 3, 1, 4, 2, 1, 2, 2, 2, 1, 1];
const BODY = JSON.stringify({ inputs: [{ name: "features", shape: [1, 16], datatype: "FP32", data: FEATURES }] });
const CONNECTIONS = 12;
const BODIES_EACH = 92;

/** Ends when all COUNT connections to PORT are open. */
const CONNECT_ALL = `
	const [count, port] = process.argv.slice(1).map(Number);
	let connected = 0;
	for (let i = 0; i < count; i++)
		require("node:net").connect(port, "127.0.0.1", () => ++connected === count && process.exit());
`;

const plainPredictor = async (t: Test, meter: NonNullable<PredictorOptions["meter"]>) => {
	const models = [{ name: "plain", path: employmentModel("plain") }];
	const predictor = await startPredictor({ models, address: "127.0.0.1", port: 0, workers: 1, meter });
	t.teardown(() => predictor.close());
	return predictor;
};

t.test(
	`${CONNECTIONS * BODIES_EACH} unfinished bodies on ${CONNECTIONS} connections do not block other clients`,
	async (t) => {
		const statuses = new Map<string, number>();
		let look = (): void => {};
		const predictor = await plainPredictor(t, {
			count: (_name, _help, { status = "-" } = {}) => {
				statuses.set(status, (statuses.get(status) ?? 0) + 1);
				look();
			},
			gauge() {},
			observe() {},
		});
		const resources = resourceSet({
			gateways: [gateway()],
			services: [service("m", [variant("v1", Number(new URL(predictor.url).port))])],
		});
		const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS });
		// An Envoy without CPU for a second counts an open connection as timed out.
		for (const cluster of plan.envoy.clusters) Object.assign(cluster, { connect_timeout: "60s" });
		const envoy = await startEnvoy(t, bootstrapOf(plan, NO_COLLECTORS));

		const crowded = CONNECTIONS * BODIES_EACH - 1_024;
		const ended = new Promise<void>((resolve) => {
			look = () => {
				if ((statuses.get("408") ?? 0) + (statuses.get("503") ?? 0) >= crowded) resolve();
			};
		});
		const answers: number[] = [];
		let check = (): void => {};
		const full = new Promise<void>((resolve) => {
			check = () => void (answers.length >= crowded && resolve());
		});
		for (let at = 0; at < CONNECTIONS; at++) {
			const session = connect(`http://127.0.0.1:${envoy.port()}`);
			t.teardown(() => session.destroy());
			session.on("error", () => {});
			for (let body = 0; body < BODIES_EACH; body++) {
				const stream = session.request(
					{ ":method": "POST", ":path": PATH, ":authority": "m.test", "content-type": "application/json" },
					{ endStream: false },
				);
				stream.on("error", () => {});
				stream.once("response", ({ ":status": status }) => {
					answers.push(status ?? 0);
					check();
				});
				stream.write("{");
			}
		}
		await ended;
		await full;
		t.same([...new Set(answers)], [408]);
		const other = request({
			host: "127.0.0.1",
			port: envoy.port(),
			path: PATH,
			method: "POST",
			headers: { host: "m.test", "content-type": "application/json" },
			agent: false,
		});
		other.end(BODY);
		const [{ statusCode }] = await once(other, "response");
		t.equal(statusCode, 200);
	},
);

t.test("the kernel queues many connections until they are accepted", async (t) => {
	const predictor = await plainPredictor(t, { count() {}, gauge() {}, observe() {} });
	// This thread accepts none while it waits for the other process: each connection is in the kernel's queue.
	execFileSync(process.execPath, ["-e", CONNECT_ALL, String(CONNECTIONS * BODIES_EACH), new URL(predictor.url).port], {
		timeout: 60_000,
	});
});
