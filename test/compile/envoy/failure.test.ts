/** Failing Variants on a real Envoy: a request never gets the other arm's Variant. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { bootstrapOf, type RunningEnvoy, startEnvoy } from "../../envoy/harness.js";
import { alone, headerValues, rawGet } from "../../envoy/pipeline.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { experiment, resourceSet, service, variant } from "../../fixtures/resources.js";

const healthy = await startVariantServer("v1");
/** Resets every connection on its first request. */
const broken = await startVariantServer("v2", (socket) => socket.resetAndDestroy());
t.teardown(async () => {
	await Promise.all([healthy, broken, checked, failing, late].map((server) => server.close()));
});
/** The upstream of Services with health checks, which would disturb the counts of other upstreams. */
const checked = await startVariantServer("v1");
const failing = await startVariantServer("v2", (socket) =>
	socket.write("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"),
);
/** Not ready at its first two checks: its model is loading. */
let checks = 0;
const late = await startVariantServer("v2", (socket, head) => {
	const ready = !head.startsWith("GET /health ") || ++checks > 2;
	socket.write(`HTTP/1.1 ${ready ? "200 OK" : "500 No"}\r\ncontent-length: 0\r\nx-variant: v2\r\n\r\n`);
});
const good = variant("v1", healthy.port);
const bad = variant("v2", broken.port);
const none = variant("v2");
const byName = { name: "v2", endpoints: [{ address: "localhost", port: healthy.port, locality: null }] };
const healthCheck = { path: "/health", intervalMs: 100, timeoutMs: 1000, healthyThreshold: 1, unhealthyThreshold: 1 };

const services = [
	service("retrying", [good, bad], {
		retries: { attempts: 2, on: ["reset", "connect-failure", "5xx"], perTryTimeoutMs: 0 },
	}),
	service("empty-fails", [good, none], { noEndpoint: "fail" }),
	service("empty-default", [good, none], { noEndpoint: "default-variant" }),
	service("unhealthy", [variant("v1", checked.port), variant("v2", failing.port)], { healthCheck }),
	service("late", [variant("v1", checked.port), variant("v2", late.port)], { healthCheck }),
	service("by-name", [good, byName]),
];
const plan = compile(
	resourceSet({
		services,
		// Everyone is in arm2 on Variant v2.
		experiments: services.map(({ metadata }) =>
			experiment(`all-${metadata.name}`, metadata.name, [0, 1], { stepsPpm: [1_000_000] }),
		),
	}),
	EMPTY_STATUS,
	{ collectors: NO_COLLECTORS },
);
const envoy = await startEnvoy(t, bootstrapOf(plan));

const get = (host: string, unit: string | null = "u1") =>
	alone(envoy.port(), rawGet(`${host}.test`, unit === null ? [] : [Buffer.from(`x-user-id: ${unit}`)]));

/** Polls Envoy's statistics: nothing announces a health verdict. */
async function becomes(of: RunningEnvoy, stat: string, value: number): Promise<void> {
	for (let attempt = 0; attempt < 200; attempt++) {
		if ((await of.stat(stat)) === value) return;
		await new Promise((resolve) => setTimeout(resolve, 25));
	}
	throw new Error(`${stat} did not become ${value}`);
}

t.test("retries stay in the Variant: v1 never sees a request of v2's arm", async (t) => {
	const [v1, v2] = [healthy.requests(), broken.requests()];
	const answer = await get("retrying");
	t.equal(answer.status, 503);
	t.equal(broken.requests() - v2, 3, "one try and two retries");
	t.equal(healthy.requests(), v1, "v1 saw nothing");
	t.equal(headerValues(await get("retrying", null), "x-variant")[0], "v1", "the default Variant serves on");
});

t.test("a Variant without endpoints: 503 with noEndpoint: fail", async (t) => {
	const v1 = healthy.requests();
	t.equal((await get("empty-fails")).status, 503);
	t.equal(healthy.requests(), v1);
});

t.test("a Variant without endpoints: the default Variant with noEndpoint: default-variant", async (t) => {
	const answer = await get("empty-default");
	t.equal(answer.status, 200);
	t.same(headerValues(answer, "x-variant"), ["v1"]);
});

t.test("an unhealthy Variant answers 503, and no other Variant replaces it", async (t) => {
	await becomes(envoy, "cluster.unhealthy/v1.membership_healthy", 1);
	await becomes(envoy, "cluster.unhealthy/v2.membership_healthy", 0);
	const v1 = await healthyRequestsOf("unhealthy");
	const answer = await get("unhealthy");
	t.equal(answer.status, 503);
	t.same(headerValues(answer, "x-weir-arm"), ["all-unhealthy/arm2"], "and still names the arm");
	t.equal(await healthyRequestsOf("unhealthy"), v1);
	t.equal((await get("unhealthy", null)).status, 200);
});

t.test("a Variant that was not ready at first is found ready before its first request", async (t) => {
	await becomes(envoy, "cluster.late/v2.membership_healthy", 1);
	t.ok(checks > 2, "it was asked again at the declared interval, not after Envoy's 60 s");
	t.same(headerValues(await get("late"), "x-variant"), ["v2"]);
});

t.test("endpoints by DNS name are found", async (t) => {
	await becomes(envoy, "cluster.by-name/v2.membership_total", 1);
	const v1 = await envoy.stat("cluster.by-name/v1.upstream_rq_total");
	t.equal((await get("by-name")).status, 200);
	t.equal(await envoy.stat("cluster.by-name/v2.upstream_rq_total"), 1);
	t.equal(await envoy.stat("cluster.by-name/v1.upstream_rq_total"), v1);
});

/** Requests that Envoy sent to v1 of the Service, health checks not counted. */
function healthyRequestsOf(name: string): Promise<number> {
	return envoy.stat(`cluster.${name}/v1.upstream_rq_completed`);
}
