/**
 * CPU per request, of Envoy and sidecar, of each rule that both can evaluate: the figures of `weir explain`. Rounds alternate.
 * Run: `node dist/test/bench/explainCost.js`; the last line is `RESULT {"accessNativeUs":…,"accessCalloutUs":…,
 * "experimentNativeUs":…,"experimentCalloutUs":…,"bothNativeUs":…,"bothToldArmUs":…,"bothCalloutUs":…,"bothCalloutProcUs":…}`.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { CLIENT, type Declared, planOf } from "./callout/declaration.js";
import { clientTls, type Form } from "./callout/form.js";
import { alternate, medianAboveUs, startLoad, totalUs } from "./callout/rounds.js";
import { startPlan } from "./callout/sidecar.js";
import { median } from "./native/median.js";

const ROUNDS = 11;
const REQUESTS = 5_000;
const WARM_UP = 5_000;

const access = { access: true, experiment: false } as const;
const assignment = { access: false, experiment: true } as const;
const both = { access: true, experiment: true } as const;
const FORMS = {
	plain: { access: false, experiment: false, sidecar: "nothing" },
	accessNative: { ...access, sidecar: "nothing" },
	accessCallout: { ...access, sidecar: "everything" },
	experimentNative: { ...assignment, sidecar: "nothing" },
	experimentCallout: { ...assignment, sidecar: "everything" },
	bothNative: { ...both, sidecar: "nothing" },
	bothToldArm: { ...both, sidecar: "verdict" },
	bothCallout: { ...both, sidecar: "everything" },
	bothCalloutProc: { ...both, sidecar: "everything", protocol: "ext_proc" },
} as const satisfies Record<string, Declared>;

const say = (line: string): boolean => process.stdout.write(`${line}\n`);
const cleanups: (() => Promise<void>)[] = [];
try {
	const directory = await mkdtemp(join(tmpdir(), "weir-explain-cost-"));
	cleanups.push(() => rm(directory, { recursive: true, force: true }));
	const tls = await mutualTls({ teardown: (run) => cleanups.push(run) });
	const client = clientTls(tls.ca.certificate, await tls.ca.issue({ spiffeId: spiffe(CLIENT) }));
	const load = await startLoad(client);
	cleanups.push(() => load.stop());

	const forms: Form[] = [];
	for (const [name, declared] of Object.entries(FORMS)) {
		const plan = planOf(declared, tls.gateway, load.ports);
		const proves = { access: declared.access, assignment: declared.experiment };
		const form = await startPlan(directory, { name, plan, proves }, client);
		cleanups.push(() => form.stop());
		forms.push(form);
	}

	say(`Envoy ${forms[0]?.envoy.version}, one worker each; ${ROUNDS} rounds of ${REQUESTS} requests per form`);
	say("CPU µs per request, sidecar + Envoy");
	const costs = await alternate(load, forms, { rounds: ROUNDS, requests: REQUESTS, warmUp: WARM_UP, say });
	const above = (name: string) => medianAboveUs(costs, name, "plain");
	const names = Object.keys(FORMS).filter((name) => name !== "plain");
	say(`plain route: ${median(totalUs(costs, "plain")).toFixed(1)} µs per request`);
	for (const name of names) say(`${name.padEnd(18)} ${above(name).toFixed(1)} µs above it`);
	const result = Object.fromEntries(names.map((name) => [`${name}Us`, Number(above(name).toFixed(1))]));
	say(`RESULT ${JSON.stringify(result)}`);
} finally {
	for (const cleanup of cleanups.reverse()) await cleanup();
}
