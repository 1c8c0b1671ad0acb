/**
 * The rules of a large Service change all the time on a real Envoy with the default timeout: requests to other Services do not
 * wait for them, and new rules are soon in force.
 */

import { Agent } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { AccessPolicy } from "../../../src/declare/resources/resource.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { startVariants } from "../../envoy/variantServer.js";
import { answerOf } from "../../fixtures/answerOf.js";
import { accessPolicy, CALLOUT, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { startSidecarProcess } from "../../publish/sidecar/sidecarProcess.js";

t.setTimeout(300_000);

const RULES = 3_000;
const CALLERS = 25;
/**
 * The machine is shared, and 200 ms are soon over while a process waits for a core: rounds of two changes until one loses no
 * request. A sidecar that reads rules in one piece loses some at each change. Counted steps are in
 * test/publish/sidecar/aheadRules.test.ts and test/compile/access/ruleTree.test.ts.
 */
const ROUNDS = 40;
/** How long a denial may wait: a second for the compilation and the file, more on a shared machine. */
const IN_FORCE_MS = 5_000;

const rule = (at: number): Partial<AccessPolicy["spec"]> => ({
	principals: Array.from({ length: CALLERS }, (_, caller) => `spiffe://t.test/c${at}-${caller}`),
	pathPrefixes: ["/v2"],
	methods: ["GET"],
});

t.test("no request to another Service fails while one of 3,000 rules changes", async (t) => {
	const [upstream] = await startVariants(t, 1);
	const plan = (version: number) =>
		compile(
			resourceSet({
				gateways: [gateway({})],
				services: ["large", "small"].map((name) =>
					service(name, [variant("v1", upstream?.port ?? 0)], {
						access: null,
						callout: { ...CALLOUT, access: "sidecar" },
					}),
				),
				accessPolicies: [
					accessPolicy("all", "allow", ["small"], { principals: ["anyone"] }),
					accessPolicy("now", "allow", ["large"], { principals: ["anyone"], pathPrefixes: [`/n${version}`] }),
					...Array.from({ length: RULES }, (_, at) => accessPolicy(`p${at}`, "allow", ["large"], rule(at))),
				],
			}),
			EMPTY_STATUS,
			{ collectors: NO_COLLECTORS },
		);
	const first = plan(0);
	const sidecar = await startSidecarProcess(t, first);
	const envoy = await startEnvoy(t, bootstrapOf(first, undefined, sidecar.socketPath));
	const agent = new Agent({ keepAlive: true, maxSockets: 16 });
	t.teardown(() => agent.destroy());
	const status = (name: string, path: string): Promise<number | string> =>
		answerOf({ port: envoy.port("edge"), path, headers: { host: `${name}.test` }, agent }).then(
			({ status }) => status,
			String,
		);
	const comesTo = async (path: string, wanted: number): Promise<number> => {
		const from = performance.now();
		while ((await status("large", path)) !== wanted && performance.now() - from < IN_FORCE_MS) await pause(20);
		return performance.now() - from;
	};
	await comesTo("/n0", 200);
	let lost = -1;
	let version = 0;
	for (let round = 1; round <= ROUNDS && lost !== 0; round++) {
		// Before any request waits: the compiler is in this process, as the clients are.
		const plans = [plan(version + 1), plan(version + 2)];
		const seen = new Map<number | string, number>();
		let running = true;
		const load = Array.from({ length: 4 }, async () => {
			while (running) {
				const answer = await status("small", "/");
				seen.set(answer, (seen.get(answer) ?? 0) + 1);
				await pause(10);
			}
		});
		for (const next of plans) {
			await sidecar.change(next);
			const tookMs = await comesTo(`/n${++version}`, 200);
			t.comment(`in force after ${tookMs.toFixed(0)} ms`);
			t.ok(tookMs < IN_FORCE_MS);
			t.not(await status("large", `/n${version - 1}`), 200, "a removed permission is denied");
		}
		running = false;
		await Promise.all(load);
		lost = [...seen].reduce((sum, [answer, count]) => sum + (answer === 200 ? 0 : count), 0);
		t.comment(`round ${round}: ${JSON.stringify([...seen])}`);
	}
	t.equal(lost, 0);
});
