/**
 * A retry that finds no connection hides no bypass, nor does a request that is judged and sent to nobody: what Envoys count as
 * answered, on each tested version.
 */

import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import t, { type Test } from "tap";
import { watchedListeners } from "../../src/access/bypass/watched.js";
import { staticBootstrap } from "../../src/compiler/bootstrap.js";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { localAdmin } from "../../src/probe/envoyPage.js";
import { JudgedCounts } from "../../src/probe/judgedCounts.js";
import { type Reading, readReading } from "../../src/probe/reading.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { startEnvoy } from "../envoy/harness.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../fixtures/resources.js";

t.setTimeout(120_000);

/** Says "go on" where it is asked to, and hints early at `/hints`. */
async function startUpstream(t: Test): Promise<number> {
	const server = createServer((asked, answer) => {
		if (asked.url === "/hints") answer.writeEarlyHints({ link: "</a.css>; rel=preload" });
		asked.resume().on("end", () => answer.end("ok"));
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => server.close());
	return (server.address() as AddressInfo).port;
}

const RBAC_OFF = { "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute" };

/** Nobody judges what comes to this Service. */
const unjudged =
	(name: string) =>
	(bootstrap: object): object =>
		JSON.parse(JSON.stringify(bootstrap), (key, value) =>
			key === "virtual_hosts"
				? (value as readonly { name: string; typed_per_filter_config: object }[]).map((host) =>
						host.name === name
							? { ...host, typed_per_filter_config: { ...host.typed_per_filter_config, "weir.allow": RBAC_OFF } }
							: host,
					)
				: value,
		);

/** Nobody listens there. */
const DEAD_PORT = 1;

async function scene(t: Test, version: string) {
	const port = await startUpstream(t);
	const retries = { attempts: 2, on: ["connect-failure"], perTryTimeoutMs: 0 };
	const services = [
		service("leaks", [variant("v1", port)], { access: null }),
		service("half", [variant("v1", port, DEAD_PORT)], { access: null, retries }),
		service("whole", [variant("v1", port)], { access: null }),
		service("dead", [variant("v1", DEAD_PORT)], { access: null, retries }),
		service("none", [variant("v1")], { access: null }),
	];
	const names = services.map(({ metadata }) => metadata.name);
	const plan = compile(
		resourceSet({
			gateways: [gateway({})],
			services,
			accessPolicies: [accessPolicy("all", "allow", names, { principals: ["anyone"] })],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	let admin = "";
	const envoy = await startEnvoy(
		t,
		(adminSocket) => {
			admin = adminSocket;
			return unjudged("leaks")(staticBootstrap(plan.envoy, { collectors: NO_COLLECTORS, adminSocket, nodeId: "test" }));
		},
		{ version },
	);
	const ask = (name: string, path = "/", headers: Readonly<Record<string, string>> = {}): Promise<number> =>
		new Promise((resolve, reject) => {
			const call = request({
				...{ host: "127.0.0.1", port: envoy.port(), path, agent: false, method: "POST" },
				headers: { host: `${name}.test`, ...headers },
			});
			call.on("error", reject).on("response", (answer) => {
				answer.resume().on("end", () => resolve(answer.statusCode ?? 0));
			});
			call.end("x");
		});
	const many = async (times: number, name: string, ...more: [string?, Readonly<Record<string, string>>?]) => {
		const statuses = new Set<number>();
		for (let time = 0; time < times; time++) statuses.add(await ask(name, ...more));
		return [...statuses];
	};
	const counts = new JudgedCounts(() => true);
	let before: Reading | null = null;
	const alarms = async () => {
		const after = await readReading(localAdmin(admin));
		const told = await counts.alarms(watchedListeners(plan.table), before, after);
		before = after;
		return told;
	};
	await alarms();
	return { envoy, many, alarms };
}

for (const version of ["1.40.0", "1.38.3", "1.36.2"])
	t.test(`Envoy ${version}`, async (t) => {
		const { envoy, many, alarms } = await scene(t, version);
		t.ok((await many(20, "half")).includes(200));
		t.ok((await envoy.stat("vhost.half.route.edge.upstream_rq_retry")) >= 1, "the dead endpoint was met");
		t.same(await many(2, "dead"), [503]);
		t.same(await many(2, "none"), [503]);
		t.same(await many(3, "whole", "/", { expect: "100-continue" }), [200]);
		t.same(await many(3, "whole", "/hints"), [200]);
		t.ok((await envoy.stat("vhost.whole.route.edge.upstream_rq_1xx")) >= 6, "interim answers came");
		t.same(await alarms(), [], "all were judged, and answered once each");
		for (const [name, status] of [
			["half", 200],
			["dead", 503],
			["none", 503],
		] as const) {
			t.ok((await many(20, name)).includes(status));
			t.same(await many(5, "leaks"), [200]);
			t.match(await alarms(), [{ alarm: "served-unjudged", served: 5 }], `beside ${name}`);
		}
	});
