/**
 * Cost of a claim as the unit on an open Service: Envoy's CPU per request above the same Experiment with a header, and the
 * part of the filters that try Weir's own rules on each token. Rounds alternate; figures are medians of the differences.
 * Run: `node dist/test/bench/claimUnits.js`; the last line is `RESULT {"headerUs":…,"claimUs":…,"rulesUs":…}`.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import type { CompiledPlan } from "../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import type { GatewayTls, UnitSource } from "../../src/declare/resources/resource.js";
import { mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { AUDIENCE, createMinter, ISSUER } from "../compile/envoy/secure/tokens.js";
import { experiment, gateway, resourceSet, service, tokenIssuer, variant } from "../fixtures/resources.js";
import { CLIENT, HOST } from "./callout/declaration.js";
import { clientTls, type Form, withoutFilters } from "./callout/form.js";
import { alternate, medianAboveUs, medianUs, startLoad } from "./callout/rounds.js";
import { startPlan } from "./callout/sidecar.js";

const ROUNDS = 15;
const REQUESTS = 5_000;
const WARM_UP = 4_000;
/** Enough that both Variants are met; fewer than Envoy's cache of verified tokens holds. */
const USERS = 64;
const HEADER: UnitSource = { from: "header", header: "x-user-id" };
const CLAIM: UnitSource = { from: "claim", claim: "sub" };
const ALL = (bootstrap: object): object => bootstrap;
const UNTRIED = (bootstrap: object): object => withoutFilters(bootstrap, (name) => name.startsWith("weir.claims"));
const FORMS = {
	header: { unit: HEADER, reach: ALL },
	claim: { unit: CLAIM, reach: ALL },
	claimUntried: { unit: CLAIM, reach: UNTRIED },
} as const;

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

function planOf(unit: UnitSource, tls: GatewayTls, ports: readonly number[], keysFile: string): CompiledPlan {
	const resources = resourceSet({
		gateways: [gateway({ tls, exposeArm: false, tokens: [tokenIssuer(ISSUER, [AUDIENCE], keysFile)] })],
		services: [
			service(
				"bench",
				ports.map((port, index) => variant(`v${index + 1}`, port)),
				{ hosts: [HOST], access: "open" },
			),
		],
		experiments: [experiment("e", "bench", [1, 1], { unit, stepsPpm: [500_000] })],
	});
	return compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, mode: "native" });
}

const cleanups: (() => Promise<void>)[] = [];
try {
	const directory = await mkdtemp(join(tmpdir(), "weir-claim-units-"));
	cleanups.push(() => rm(directory, { recursive: true, force: true }));
	const keysFile = join(directory, "jwks.json");
	const minter = createMinter(Date.now());
	await writeFile(keysFile, JSON.stringify(minter.jwks));
	const lines = Array.from({ length: USERS }, (_, user) => `Bearer ${minter.token({ sub: `user-${user}` })}`);
	const tls = await mutualTls({ teardown: (run) => cleanups.push(run) });
	const client = clientTls(tls.ca.certificate, await tls.ca.issue({ spiffeId: spiffe(CLIENT) }));
	const load = await startLoad(
		client,
		lines.map((line) => `authorization: ${line}`),
	);
	cleanups.push(() => load.stop());
	const forms: Form[] = [];
	for (const [name, { unit, reach }] of Object.entries(FORMS)) {
		const plan = planOf(unit, tls.gateway, load.ports, keysFile);
		const headersOf = (user: number) => ({ authorization: lines[user % USERS] ?? "" });
		const proves = { access: false, assignment: true };
		const form = await startPlan(directory, { name, plan, proves, headersOf, reach }, client);
		cleanups.push(() => form.stop());
		forms.push(form);
	}
	say(`Envoy ${forms[0]?.envoy.version}, one worker each; ${ROUNDS} rounds of ${REQUESTS} requests per form`);
	say("CPU µs per request, nothing + Envoy");
	const costs = await alternate(load, forms, { rounds: ROUNDS, requests: REQUESTS, warmUp: WARM_UP, say });
	const rounded = (value: number) => Number(value.toFixed(1));
	const result = {
		headerUs: rounded(medianUs(costs, "header", "envoy")),
		claimUs: rounded(medianAboveUs(costs, "claim", "header")),
		rulesUs: rounded(medianAboveUs(costs, "claim", "claimUntried")),
	};
	say(`RESULT ${JSON.stringify(result)}`);
} finally {
	for (const cleanup of cleanups.reverse()) await cleanup();
}
