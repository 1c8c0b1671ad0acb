import { createServer, get, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import t from "tap";
import type { Evidence } from "../../../../../src/infer/statistics/evidence.js";
import { ACCESS_LOG_FLUSH_MS } from "../../../../../src/limits/index.js";
import { bootstrapOf, startEnvoy } from "../../../../envoy/harness.js";
import { experiment, resourceSet, service, variant } from "../../../../fixtures/resources.js";
import { metric, startLiveRig } from "../../rig.js";

/** `/fail` is 500, `/reset` breaks the connection, `/hang` never answers; else 200 with the request id that came. */
async function startVariant(): Promise<Server> {
	const server = createServer((request, response) => {
		if (request.url === "/reset") request.socket.destroy();
		else if (request.url !== "/hang") {
			response
				.writeHead(request.url === "/fail" ? 500 : 200, { "x-saw": String(request.headers["x-request-id"]) })
				.end();
		}
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	return server;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

t.test("a real Envoy's start and end entries become exposures, errors, latency and health", async (t) => {
	const v1 = await startVariant();
	const v2 = await startVariant();
	t.teardown(() => {
		for (const server of [v1, v2]) {
			server.closeAllConnections();
			server.close();
		}
	});
	let ahead = 0;
	const { rig, planOf, collectors } = await startLiveRig(t, { clock: () => Date.now() + ahead });
	const plan = planOf(
		resourceSet({
			services: [service("shop", [variant("v1", portOf(v1)), variant("v2", portOf(v2))])],
			experiments: [experiment("models", "shop", [1, 1])],
		}),
		{ allocationPpm: 800_000 },
	);
	const envoy = await startEnvoy(t, bootstrapOf(plan, collectors));
	t.comment(`Envoy ${envoy.version}`);
	const port = envoy.port();
	const call = (
		unit: string | readonly string[],
		path = "/",
	): Promise<{ status: number; headers: IncomingHttpHeaders }> =>
		new Promise((resolve, reject) => {
			const headers = { host: "shop.test", "x-user-id": typeof unit === "string" ? unit : [...unit] };
			get({ host: "127.0.0.1", port, path, headers }, (response) => {
				response.resume();
				response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers }));
			}).on("error", reject);
		});
	/** Asks until it is so: Envoy flushes its log every ACCESS_LOG_FLUSH_MS. */
	const until = async (so: (evidence: Evidence) => boolean): Promise<Evidence> => {
		const asked = [
			metric("errors", { windowMs: 5_000, settleMs: 5_000 }),
			metric("p99", {
				windowMs: 5_000,
				settleMs: 5_000,
				threshold: { thresholdMs: 4_000, baseline: { arm: "control", thresholdMs: 4_000 }, frozenAtMs: 0 },
			}),
			metric("revenue", { windowMs: 5_000, settleMs: 5_000 }),
		];
		const query = {
			experiment: "models",
			service: "shop",
			metrics: asked,
			healthSinceMs: 0,
			segments: [],
			interactsWith: [],
		};
		for (let tries = 0; ; tries++) {
			const evidence = await rig.ingest.evidence.evidence(query);
			if (so(evidence)) return evidence;
			if (tries > 100) throw new Error(`it never was so: ${JSON.stringify(evidence)}\n${rig.lines.join("\n")}`);
			await new Promise((resolve) => setTimeout(resolve, ACCESS_LOG_FLUSH_MS / 4));
		}
	};

	const units = new Map<string, string>();
	const requestIds: string[] = [];
	for (let index = 0; index < 60; index++) {
		const unit = `user-${index}`;
		const { headers } = await call(unit);
		const arm = String(headers["x-weir-arm"]).split("/")[1] ?? "";
		units.set(unit, arm);
		if (arm === "arm2") requestIds.push(String(headers["x-saw"]));
	}
	const inArm = (arm: string): readonly string[] => [...units].filter(([, own]) => own === arm).map(([unit]) => unit);
	t.ok(inArm("arm1").length > 5 && inArm("arm2").length > 5 && inArm("-").length > 0, "all three are there");
	const exposed = (evidence: Evidence): unknown => evidence.arms.map(({ arm, exposedUnits }) => [arm, exposedUnits]);
	const total = (evidence: Evidence): number => evidence.health.reduce((sum, { requests }) => sum + requests, 0);
	const first = await until(
		(evidence) =>
			total(evidence) === 60 &&
			evidence.arms.reduce((sum, arm) => sum + arm.exposedUnits, 0) === inArm("arm1").length + inArm("arm2").length,
	);
	t.same(exposed(first), [
		["arm1", inArm("arm1").length],
		["arm2", inArm("arm2").length],
	]);
	t.same(first.exposures[0]?.livePoints, { arm1: 400_000, arm2: 400_000 });
	t.equal(first.exposures[0]?.planVersion, plan.version);
	t.same(first.health, [
		{ variant: "v1", requests: 60 - inArm("arm2").length, failures: 0 },
		{ variant: "v2", requests: inArm("arm2").length, failures: 0 },
	]);

	// A request that hangs is an exposure before it ends.
	let fresh = 1_000;
	while ((await call(`probe-${fresh}`)).headers["x-weir-arm"] !== "models/arm2") fresh++;
	const [failing = "", resetting = ""] = inArm("arm2");
	const hung = get({
		host: "127.0.0.1",
		port,
		path: "/hang",
		headers: { host: "shop.test", "x-user-id": `probe-${fresh}` },
	});
	hung.on("error", () => undefined);
	t.equal((await call(failing, "/fail")).status, 500);
	t.equal((await call(resetting, "/reset")).status, 503);
	t.equal((await call(["twice", "twice"])).headers["x-weir-arm"], undefined);
	t.equal((await rig.post(requestIds.map((requestId) => ({ metric: "revenue", value: 3, requestId })))).status, 200);
	const probes = fresh - 1_000 + 1;
	const ended = await until((evidence) => total(evidence) === 63 + probes);
	t.equal(ended.health.find(({ variant: name }) => name === "v2")?.failures, 2, "500 and a broken connection");
	hung.destroy();
	const left = await until((evidence) => total(evidence) === 64 + probes);
	t.equal(
		left.health.find(({ variant: name }) => name === "v2")?.failures,
		2,
		"a client that leaves is not the Variant's ill health",
	);
	t.equal(left.droppedEntries, 0);
	t.equal(left.conflictingUnits, 0);

	ahead = 20_000;
	const closed = await until(() => true);
	const arm2 = closed.arms.find(({ arm }) => arm === "arm2");
	t.equal(arm2?.maturedUnits, arm2?.exposedUnits);
	const n = arm2?.exposedUnits ?? 0;
	t.equal(arm2?.metrics.errors?.n, n);
	t.ok(
		Math.abs((arm2?.metrics.errors?.mean ?? 0) - 1.5 / n) < 1e-9,
		"1 of 2 for three units, among them the one that hung",
	);
	t.equal(arm2?.metrics.p99?.mean, 0);
	t.match(arm2?.metrics.revenue, { n: requestIds.length, mean: 3, m2: 0 }, "joined by request id");
	const quantile = await rig.ingest.evidence.baselineQuantile({
		experiment: "models",
		service: "shop",
		quantile: 0.5,
		sinceMs: 0,
		untilMs: Date.now() + 60_000,
	});
	t.equal(quantile?.requests, closed.health.find(({ variant: name }) => name === "v1")?.requests);
	t.ok((quantile?.valueMs ?? 0) > 0 && (quantile?.valueMs ?? 1e9) < 1_000);
});
