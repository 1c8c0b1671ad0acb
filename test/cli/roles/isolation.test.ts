/**
 * An Envoy with an older bootstrap refuses the rules of one namespace: those of others stay in force. With control's own roles and
 * a real Envoy.
 */

import { symlinkSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { startControlRole } from "../../../src/cli/roles/control.js";
import { collectorsOf, places } from "../../../src/cli/stack/places.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import type { StatusAnswer } from "../../../src/operate/api/wire.js";
import { type RunningEnvoy, startEnvoy } from "../../envoy/harness.js";
import { startVariants } from "../../envoy/variantServer.js";
import { answerOf } from "../../fixtures/answerOf.js";
import { freePort } from "../../trust/identity/mesh.js";
import { temporaryDirectory } from "../command.js";
import { roleContext } from "./roleContext.js";

t.setTimeout(120_000);

/** Longer than RE2's default of 100 instructions, shorter than ours. */
const LONG = `/${"a".repeat(120)}/{id}`;

interface Rules {
	readonly namespace: string;
	/** A namespace names no other's endpoints. */
	readonly ports: Readonly<Record<string, number>>;
	/** Rules of the one policy that allows. */
	readonly where: string;
	/** Rules of the Service's default Variant. */
	readonly name?: string;
}

const declared = ({ namespace, ports, where, name = "svc" }: Rules): string => `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  hosts: [${name}.${namespace}.test]
  defaultVariant: v1
  variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: ${ports[namespace]}}]}]
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: ${name}, namespace: ${namespace}}
spec: {action: allow, services: [${name}], principals: [anyone], ${where}}
`;

const gateway = (port: number): string => `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge, namespace: mesh}
spec: {port: ${port}}
`;

/** The bootstrap of an Envoy that started with an older version. */
function older(bootstrap: object): object {
	const { layered_runtime: _, ...rest } = bootstrap as Record<string, unknown>;
	return rest;
}

/**
 * @param more namespaces beside `evil` and `users`
 * @param port of the Gateway, which is then probed; 0 = Envoy picks one, and nothing is probed
 */
async function scene(t: Test, more: readonly string[] = [], port = 0) {
	const directory = await temporaryDirectory(t);
	const at = places(join(directory, "data"));
	const namespaces = ["evil", "users", ...more];
	const upstreams = await startVariants(t, namespaces.length);
	const ports = Object.fromEntries(namespaces.map((name, index) => [name, upstreams[index]?.port ?? 0]));
	const lines: string[] = [];
	let control = await startControlRole(roleContext(at, "control", lines));
	t.teardown(() => control.close());
	const client = new ApiClient(`unix:${at.apiSocket}`);
	const apply = async (...texts: readonly string[]): Promise<number> => {
		const answer = await client.apply([{ name: "a.yaml", text: texts.join("---\n") }], { dryRun: false });
		if (answer.outcome !== "applied") throw new Error(JSON.stringify(answer));
		return answer.revision;
	};
	await apply(gateway(port), declared({ namespace: "evil", ports, where: "pathPrefixes: [/a]" }));
	await apply(declared({ namespace: "evil", name: "old", ports, where: "pathPrefixes: [/a]" }));
	await apply(declared({ namespace: "users", ports, where: "pathPrefixes: [/a, /b]" }));
	const bootstrap = (adminSocket: string) =>
		dynamicBootstrap(at.adsSocket, {
			collectors: collectorsOf(at, 0),
			nodeId: "weir-gateway",
			adminSocket,
			sidecarSocket: at.sidecarSocket,
		});
	/** Waits until the report of Envoys meets the condition. */
	const until = async (condition: (answer: StatusAnswer, revision: number) => boolean): Promise<StatusAnswer> => {
		for (;;) {
			// In this order, so that the status is no older than the acknowledged revision.
			const { proxies } = await client.proxies();
			const status = await client.status();
			if (condition(status, proxies[0]?.revision ?? -1)) return status;
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
	};
	return {
		client,
		apply,
		ports,
		lines,
		until,
		startEnvoy: (make: (bootstrap: object) => object) =>
			startEnvoy(t, (socket) => {
				if (port !== 0) symlinkSync(socket, at.envoyAdminSocket);
				return make(bootstrap(socket));
			}),
		restartControl: async () => {
			await control.close();
			control = await startControlRole(roleContext(at, "control", lines));
		},
	};
}

const get = async (envoy: RunningEnvoy, host: string, path: string): Promise<string> => {
	const { status, text } = await answerOf({ port: envoy.port("mesh/edge"), path, headers: { host } });
	return `${status}${status === 503 ? ` ${text.trim()}` : ""}`;
};

const CLOSED = "503 closed: configuration-refused";

t.test("one namespace's refused rules close its changed Services, and delay no other namespace", async (t) => {
	const {
		client,
		apply,
		ports,
		until,
		startEnvoy: start,
		restartControl,
		lines,
	} = await scene(t, [], await freePort());
	const envoy = await start(older);
	const answers = async (): Promise<readonly string[]> =>
		Promise.all([
			get(envoy, "svc.evil.test", "/a"),
			get(envoy, "old.evil.test", "/a"),
			get(envoy, "svc.users.test", "/a"),
			get(envoy, "svc.users.test", "/b"),
		]);
	await until((_, revision) => revision === 3);
	t.same(await answers(), ["200", "200", "200", "200"]);

	// Refused; then others revoke a right. No older rule of the refused Service is served.
	const evil = declared({ namespace: "evil", ports, where: `pathTemplates: ["${LONG}"]` });
	await apply(evil);
	const revoked = await apply(declared({ namespace: "users", ports, where: "pathPrefixes: [/a]" }));
	const status = await until((_, revision) => revision === revoked);
	t.same(await answers(), [CLOSED, "200", "200", "403"]);
	t.match(status, { refusals: [], lag: null });
	t.match(status.closed, [{ node: "weir-gateway", service: "evil/svc", why: /regex|program size/i }]);
	t.equal(status.closed.length, 1);
	t.match(await client.raw("GET", "/readyz"), { status: 200, text: /^ready\nnote: closed Services, .*: 1 / });
	const { records } = await client.audit(0, 100, "refused");
	t.match(records.at(-1), { verb: "take", objects: ["configuration of Service evil/svc"], result: "refused" });
	t.match(lines.join("\n"), /a Service is closed: its configuration was refused/);

	// xds dies meanwhile: no Service is closed or opened by that.
	await restartControl();
	await until((answer, revision) => revision === revoked && answer.closed.length === 1);
	const given = await apply(declared({ namespace: "users", ports, where: "pathPrefixes: [/b]" }));
	await until((_, revision) => revision === given);
	t.same(await answers(), [CLOSED, "200", "403", "200"]);

	// The next revision of the refused Service is tried in full: still refused, then accepted.
	const again = await apply(declared({ namespace: "evil", ports, where: `pathTemplates: ["${LONG}", /b]` }));
	await until((_, revision) => revision === again);
	t.same(await answers(), [CLOSED, "200", "403", "200"]);
	await apply(declared({ namespace: "evil", ports, where: "pathTemplates: [/b]" }));
	await until((answer) => answer.closed.length === 0);
	t.same(await answers(), ["403", "200", "403", "200"]);
	t.equal(await get(envoy, "svc.evil.test", "/b"), "200");
	t.match(await client.raw("GET", "/readyz"), { status: 200, text: "ready\n" });
});

t.test("of many namespaces that change in one apply only the refused one stays closed", async (t) => {
	const innocent = ["n1", "n2", "n3", "n4", "n5"];
	const { apply, ports, client, until, startEnvoy: start } = await scene(t, innocent);
	const envoy = await start(older);
	const all = (where: string, evil: string): readonly string[] => [
		...[...innocent, "users"].map((namespace) => declared({ namespace, ports, where })),
		declared({ namespace: "evil", ports, where: evil }),
	];
	const first = await apply(...all("pathPrefixes: [/a]", "pathPrefixes: [/a]"));
	await until((_, revision) => revision === first);
	const second = await apply(...all("pathPrefixes: [/b]", `pathTemplates: ["${LONG}"]`));
	const { closed } = await until((_, revision) => revision === second);
	t.same(
		closed.map(({ service }) => service),
		["evil/svc"],
	);
	for (const name of innocent) t.equal(await get(envoy, `svc.${name}.test`, "/b"), "200", name);
	t.equal(await get(envoy, "svc.evil.test", "/a"), CLOSED);
	const refused = await envoy.stat("http.gateway.mesh/edge.rds.weir/mesh/edge.update_rejected");
	t.ok(refused >= 1 && refused <= 2 * Math.ceil(Math.log2(7)) + 1, `${refused} were refused`);
	t.match((await client.proxies()).proxies[0], { types: { routes: { state: "SYNCED", error: "" } } });
});

t.test("many refused Services keep no other one closed, and each has its own error message", async (t) => {
	const names = Array.from({ length: 20 }, (_, at) => `n${String(at).padStart(2, "0")}`);
	const refused = names.filter((_, at) => at % 2 === 1);
	const { apply, ports, until, startEnvoy: start } = await scene(t, names);
	const envoy = await start(older);
	const all = (where: (name: string) => string): readonly string[] =>
		names.map((namespace) => declared({ namespace, ports, where: where(namespace) }));
	const first = await apply(...all(() => "pathPrefixes: [/a]"));
	await until((_, revision) => revision === first);
	const secret = (name: string): string => `pathTemplates: ["/secret-of-${name}-${"a".repeat(110)}/{id}"]`;
	const second = await apply(...all((name) => (refused.includes(name) ? secret(name) : "pathPrefixes: [/b]")));
	const { closed } = await until((_, revision) => revision === second);
	t.same(
		closed.map(({ service }) => service).sort(),
		refused.map((name) => `${name}/svc`),
	);
	for (const { service, why } of closed) {
		const others = names.filter((name) => !service.startsWith(name) && why.includes(`secret-of-${name}-`));
		t.same(others, [], service);
	}
	t.ok(closed.every(({ service, why }) => why.includes(`secret-of-${service.slice(0, 3)}-`)));
	for (const name of names)
		t.equal(await get(envoy, `svc.${name}.test`, "/b"), refused.includes(name) ? CLOSED : "200", name);
	const mended = await apply(...all(() => "pathPrefixes: [/b]"));
	await until((answer, revision) => revision === mended && answer.closed.length === 0);
	for (const name of refused) t.equal(await get(envoy, `svc.${name}.test`, "/b"), "200", name);
});

t.test("an Envoy that restarts with a new bootstrap gets the full configuration, and nothing is closed", async (t) => {
	const { apply, ports, until, startEnvoy: start } = await scene(t);
	const envoy = await start(older);
	await until((_, revision) => revision === 3);
	const revision = await apply(declared({ namespace: "evil", ports, where: `pathTemplates: ["${LONG}"]` }));
	await until((answer) => answer.closed.length === 1);
	await envoy.stop();
	await until((answer) => answer.closed.length === 0);
	const newer = await start((bootstrap) => bootstrap);
	await until((_, acknowledged) => acknowledged === revision);
	t.equal(await get(newer, "svc.evil.test", LONG.replace("{id}", "1")), "200");
});

t.test(
	"if one of two Envoys refuses, the other serves all, and no rollout of a closed Service is acknowledged",
	async (t) => {
		const { apply, ports, client, startEnvoy: start, until } = await scene(t);
		const refusing = await start(older);
		const taking = await start((bootstrap) => ({ ...bootstrap, node: { id: "another", cluster: "weir" } }));
		const both = (revision: number): Promise<StatusAnswer> => {
			const isThere = async (): Promise<boolean> =>
				(await client.proxies()).proxies.filter((one) => one.revision === revision).length === 2;
			return until(() => true).then(async (status) => {
				while (!(await isThere())) await new Promise((resolve) => setTimeout(resolve, 20));
				return status;
			});
		};
		await both(3);
		const experiment = (namespace: string): string => `apiVersion: weir.dev/v1alpha1
kind: Layer
metadata: {name: main, namespace: ${namespace}}
spec: {}
---
apiVersion: weir.dev/v1alpha1
kind: Metric
metadata: {name: done, namespace: ${namespace}}
spec: {type: rate, source: outcome, direction: up, window: 1m}
---
apiVersion: weir.dev/v1alpha1
kind: Experiment
metadata: {name: try, namespace: ${namespace}}
spec:
  service: svc
  layer: {name: main}
  unit: {header: x-user-id}
  arms: [{name: control, variant: v1, weight: 1, baseline: true}, {name: other, variant: v1, weight: 1}]
  goal: {metric: done, improveBy: {absolute: 0.5pp}}
  rollout: {steps: [10%, 100%], every: 1h, minUnits: 1000}
`;
		const revision = await apply(
			declared({ namespace: "evil", ports, where: `pathTemplates: ["${LONG}"]` }),
			experiment("evil"),
			experiment("users"),
		);
		await both(revision);
		t.equal(await get(refusing, "svc.evil.test", `/${"a".repeat(120)}/1`), CLOSED);
		t.equal(await get(taking, "svc.evil.test", `/${"a".repeat(120)}/1`), "200");
		const acknowledged = async (name: string): Promise<number | null> =>
			(await client.status()).experiments.find((one) => one.experiment === name)?.last?.acknowledgedAtMs ?? null;
		await until((answer) => answer.experiments.some(({ last }) => (last?.acknowledgedAtMs ?? null) !== null));
		t.ok(await acknowledged("users/try"));
		t.equal(await acknowledged("evil/try"), null);
		await refusing.stop();
		await until((answer) => answer.closed.length === 0);
		await until((answer) => answer.experiments.every(({ last }) => (last?.acknowledgedAtMs ?? null) !== null));
		t.ok(await acknowledged("evil/try"), "when every connected Envoy has it");
	},
);
