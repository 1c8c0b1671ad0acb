/**
 * CPU per request, of Envoy and sidecar, of each value that a rule names, natively and by a callout. Rules that do not match
 * stand before the matching one. Rounds alternate; figures are medians. Run: `node dist/test/bench/ruleCost.js`; the last line is
 * `RESULT {"callerUs":…,"listUs":…,"pathUs":…,"groupUs":…,"templateUs":…,"sidecarUs":…,"calloutUs":…,"equalAt":…}`.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import type { CompiledPlan } from "../../src/compile/plan/compiledPlan.js";
import type { Mode } from "../../src/compile/table/execution.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import type { AccessPolicy, GatewayTls } from "../../src/declare/resources/resource.js";
import { LISTED_VALUES_MAX } from "../../src/limits/index.js";
import { mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { AUDIENCE, createMinter, ISSUER } from "../compile/envoy/secure/tokens.js";
import { accessPolicy, CALLOUT, gateway, resourceSet, service, tokenIssuer, variant } from "../fixtures/resources.js";
import { CLIENT, HOST } from "./callout/declaration.js";
import { clientTls, type Form } from "./callout/form.js";
import { alternate, medianAboveUs, startLoad } from "./callout/rounds.js";
import { startPlan } from "./callout/sidecar.js";

const ROUNDS = 11;
const REQUESTS = 2_000;
const WARM_UP = 2_000;
const RULES = 500;

interface Class {
	/** Named by one rule. */
	readonly values: number;
	/** None fits the load's requests. */
	readonly rules: readonly AccessPolicy[];
}

const each = (values: number, rule: (index: number) => AccessPolicy, count = RULES): Class => ({
	values,
	rules: Array.from({ length: count }, (_, index) => rule(index)),
});
const caller = (index: number): string => spiffe(`caller-${index}`);
/** As many as are native beside the one that allows. */
const group = each(
	5,
	(index) =>
		accessPolicy(`a-${index}`, "allow", ["bench"], {
			principals: [spiffe(CLIENT)],
			groups: [`group-${index}`],
			methods: ["GET", "POST"],
			pathPrefixes: ["/v2/models"],
		}),
	LISTED_VALUES_MAX - 1,
);
const CLASSES: Readonly<Record<string, Class>> = {
	caller: each(1, (index) => accessPolicy(`a-${index}`, "allow", ["bench"], { principals: [caller(index)] })),
	list: {
		values: RULES,
		rules: [
			accessPolicy("a", "allow", ["bench"], { principals: Array.from({ length: RULES }, (_, index) => caller(index)) }),
		],
	},
	path: each(3, (index) =>
		accessPolicy(`a-${index}`, "deny", ["bench"], {
			methods: ["GET"],
			pathPrefixes: [`/t/${index}`, `/u/${index}/x`],
		}),
	),
	group,
	template: each(3, (index) =>
		accessPolicy(`a-${index}`, "deny", ["bench"], {
			users: [`${ISSUER}#other-${index}`],
			pathTemplates: [`/t/${index}/{x}/y`, `/u/{a}/${index}`],
		}),
	),
};

/** Envoy takes rules by name: the one that allows is the last. */
const ALLOWS = accessPolicy("z", "allow", ["bench"], {
	principals: [spiffe(CLIENT)],
	groups: ["doctors"],
	methods: ["GET", "POST"],
	pathPrefixes: ["/v2/models"],
});

const FORMS: readonly { readonly name: string; readonly rules: readonly AccessPolicy[]; readonly mode: Mode }[] = [
	{ name: "one", rules: [], mode: "native" },
	...Object.entries(CLASSES).map(([name, { rules }]) => ({ name, rules, mode: "native" as const })),
	{ name: "sidecar-one", rules: [], mode: "callout" },
	{ name: "sidecar", rules: group.rules, mode: "callout" },
];

function planOf(
	{ rules, mode }: (typeof FORMS)[number],
	tls: GatewayTls,
	port: number,
	keysFile: string,
): CompiledPlan {
	const resources = resourceSet({
		gateways: [gateway({ tls, tokens: [tokenIssuer(ISSUER, [AUDIENCE], keysFile)] })],
		services: [
			// A machine whose cores are all busy must fail no request.
			service("bench", [variant("v1", port)], {
				hosts: [HOST],
				access: null,
				callout: { ...CALLOUT, timeoutMs: 2_000 },
			}),
		],
		accessPolicies: [...rules, ALLOWS],
	});
	return compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, mode });
}

const say = (line: string): boolean => process.stdout.write(`${line}\n`);
const cleanups: (() => Promise<void>)[] = [];
try {
	const directory = await mkdtemp(join(tmpdir(), "weir-rule-cost-"));
	cleanups.push(() => rm(directory, { recursive: true, force: true }));
	const keysFile = join(directory, "jwks.json");
	const minter = createMinter(Date.now());
	await writeFile(keysFile, JSON.stringify(minter.jwks));
	const authorization = `Bearer ${minter.token({ sub: "user", groups: ["staff", "doctors"], tenant: "clinic", scope: "read" })}`;
	const tls = await mutualTls({ teardown: (run) => cleanups.push(run) });
	const client = clientTls(tls.ca.certificate, await tls.ca.issue({ spiffeId: spiffe(CLIENT) }));
	const load = await startLoad(client, [`authorization: ${authorization}`]);
	cleanups.push(() => load.stop());

	const forms: Form[] = [];
	for (const declared of FORMS) {
		const { name } = declared;
		const plan = planOf(declared, tls.gateway, load.ports[0] ?? 0, keysFile);
		const proves = { access: true, assignment: false };
		const form = await startPlan(directory, { name, plan, proves, headersOf: () => ({ authorization }) }, client);
		cleanups.push(() => form.stop());
		forms.push(form);
	}

	say(`Envoy ${forms[0]?.envoy.version}, one worker each; ${ROUNDS} rounds of ${REQUESTS} requests per form`);
	say("CPU µs per request, sidecar + Envoy");
	const costs = await alternate(load, forms, { rounds: ROUNDS, requests: REQUESTS, warmUp: WARM_UP, say });
	const perValue = (name: string, from: string, { rules, values }: Class): number =>
		medianAboveUs(costs, name, from) / (rules.length * values);
	const native = Object.entries(CLASSES).map(([name, one]) => [name, perValue(name, "one", one)] as const);
	const slopes = [...native, ["sidecar", perValue("sidecar", "sidecar-one", group)] as const];
	for (const [name, us] of slopes) say(`${name.padEnd(8)} ${us.toFixed(3)} µs a value`);
	const callout = medianAboveUs(costs, "sidecar-one", "one");
	const result = {
		...Object.fromEntries(slopes.map(([name, us]) => [`${name}Us`, Number(us.toFixed(3))])),
		calloutUs: Number(callout.toFixed(1)),
		equalAt: Math.round(callout / Math.max(...native.map(([, us]) => us))),
	};
	say(`RESULT ${JSON.stringify(result)}`);
} finally {
	for (const cleanup of cleanups.reverse()) await cleanup();
}
