/** The publisher inside control: its lag, the audit of a refusal, a key file that blocks, and its end with the parent. */
import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import t from "tap";
import { Publisher } from "../../../src/cli/roles/publisher.js";
import { places } from "../../../src/cli/stack/places.js";
import { PUBLICATION_LAG_MS } from "../../../src/limits/index.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import type { AuditedRefusal } from "../../../src/operate/audit/auditRefusal.js";
import { Store } from "../../../src/operate/state/store/store.js";
import { METRIC } from "../../operate/employment.js";
import { mutualApi, operator } from "../../operate/mutualApi.js";
import { AdsClient } from "../../publish/xds/adsClient.js";
import { MAIN, temporaryDirectory } from "../command.js";
import { roleContext } from "./roleContext.js";

const gateway = (more = ""): string => `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {port: 0${more}}
`;

t.setTimeout(60_000);

t.test("lag is reported from the time publication stops", async (t) => {
	const { store, owner, as } = await mutualApi(t, { admins: [operator("ann")], lag: () => publisher.lag() });
	await owner.apply([{ name: "m.yaml", text: METRIC }], { dryRun: false });
	let storePlan = (): void => {};
	const held = new Promise<void>((resolve) => {
		storePlan = resolve;
	});
	const begun = new Promise<void>((resolve) => {
		const keepPlan = (): Promise<void> => {
			resolve();
			return held;
		};
		t.intercept(store, "keepPlan", { value: keepPlan });
	});
	const publisher = await Publisher.start(roleContext(places(await temporaryDirectory(t)), "control"), store, () => {});
	t.teardown(() => publisher.close());
	await begun;
	t.match(await owner.raw("GET", "/readyz"), { status: 200 }, "a plan may be on its way");
	const now = performance.now.bind(performance);
	t.intercept(performance, "now", { value: () => now() + PUBLICATION_LAG_MS + 2_000 });
	const lag = /^state revision 1, nothing published for 7 s$/m;
	t.match(await owner.raw("GET", "/readyz"), { status: 503, text: lag });
	t.match((await (await as("ann")).status()).lag, lag);
	storePlan();
	await publisher.first;
	t.match(await owner.raw("GET", "/readyz"), { status: 200, text: "ready\n" });
	t.equal((await owner.status()).lag, null);
});

t.test("a configuration that an Envoy refuses is audited", async (t) => {
	const at = places(await temporaryDirectory(t));
	const store = new Store(at.dataDirectory);
	t.teardown(() => store.close());
	store.apply([{ name: "g.yaml", text: gateway() }], { by: "ann", dryRun: false, nowMs: 1 });
	let audit = (_: AuditedRefusal): void => {};
	const audited = new Promise<AuditedRefusal>((resolve) => {
		audit = resolve;
	});
	const publisher = await Publisher.start(roleContext(at, "control"), store, audit);
	t.teardown(() => publisher.close());
	const envoy = new AdsClient(`unix:${at.adsSocket}`);
	t.teardown(() => envoy.close());
	envoy.ask("listeners", [], undefined, { node: "edge" });
	envoy.ask("listeners", [], await envoy.next(), { error: "no such filter" });
	t.match(await audited, { subject: "edge", verb: "take", object: "listeners", why: "no such filter" });
});

t.test("control publishes past a key file that blocks, and ends with its parent", async (t) => {
	const directory = await temporaryDirectory(t);
	const child = fork(MAIN, ["control", "--data", directory], { stdio: ["ignore", "ignore", "ignore", "ipc"] });
	t.teardown(() => child.kill("SIGKILL"));
	await once(child, "message");
	const client = new ApiClient(`unix:${places(directory).apiSocket}`);
	const metrics = async (): Promise<string> => String((await client.raw("GET", "/metrics")).text);
	t.notMatch(await metrics(), /^weir_xds_plans_published_total/m, "of nothing, nothing is published");
	const pipe = join(directory, "keys.json");
	execFileSync("mkfifo", [pipe]);
	const tokens = `, tls: {identity: mesh}, tokens: [{issuer: "https://id.test", audiences: [a], jwksFile: ${pipe}}]`;
	t.match(await client.apply([{ name: "g.yaml", text: gateway(tokens) }], { dryRun: false }), { outcome: "applied" });
	while (!/^weir_xds_plans_published_total\{role="control"\} 1$/m.test(await metrics()));
	child.disconnect();
	t.same(await once(child, "exit"), [0, null]);
});
