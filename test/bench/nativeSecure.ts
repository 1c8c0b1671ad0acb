/**
 * CPU per request, of Envoy and sidecar, of native access rules against one full ext_authz callout: mTLS, a cached token,
 * 20 rules and an Experiment. Rounds alternate; figures are medians.
 * Run: `node dist/test/bench/nativeSecure.js`; the last line is `RESULT {"ratio":…,"nativeUs":…,"calloutUs":…}`.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import type { CompiledPlan } from "../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import type { AccessPolicy, GatewayTls } from "../../src/declare/resources/resource.js";
import { mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { AUDIENCE, createMinter, ISSUER } from "../compile/envoy/secure/tokens.js";
import {
	accessPolicy,
	CALLOUT,
	experiment,
	gateway,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../fixtures/resources.js";
import { CLIENT, HOST } from "./callout/declaration.js";
import { clientTls, type Form } from "./callout/form.js";
import { alternate, startLoad, totalUs } from "./callout/rounds.js";
import { startPlan } from "./callout/sidecar.js";
import { median } from "./native/median.js";

/** Rounds differ by half on a shared machine: the median wants many. */
const ROUNDS = 21;
const REQUESTS = 4_000;
const WARM_UP = 4_000;
const RULES = 20;
/** Fewer than one payer's limit of concurrent verifications in the sidecar. */
const USERS = 64;
const MODES = { native: "native", callout: "callout" } as const;

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

/** The one that allows is in the middle; every fifth forbids. */
function rules(): readonly AccessPolicy[] {
	return Array.from({ length: RULES }, (_, index) => {
		const others = { methods: ["GET", "POST"], pathPrefixes: [`/v2/models/m${index % 7}`] };
		if (index === RULES / 2) {
			return accessPolicy("clients", "allow", ["bench"], {
				principals: [spiffe(CLIENT), spiffe("batch")],
				groups: ["doctors"],
				methods: ["GET", "POST"],
				pathPrefixes: ["/v2/models"],
			});
		}
		if (index % 5 === 0) {
			return accessPolicy(`no-${index}`, "deny", ["bench"], { ...others, groups: [`group-${index}`] });
		}
		return accessPolicy(`rule-${index}`, "allow", ["bench"], {
			...others,
			principals: [spiffe(`caller-${index}`)],
			groups: [`group-${index}`],
		});
	});
}

function planOf(form: keyof typeof MODES, tls: GatewayTls, ports: readonly number[], keysFile: string): CompiledPlan {
	const resources = resourceSet({
		gateways: [gateway({ tls, exposeArm: false, tokens: [tokenIssuer(ISSUER, [AUDIENCE], keysFile)] })],
		services: [
			service(
				"bench",
				ports.map((port, index) => variant(`v${index + 1}`, port)),
				// A machine whose cores are all busy must fail no request.
				{ hosts: [HOST], access: null, callout: { ...CALLOUT, timeoutMs: 2_000 } },
			),
		],
		experiments: [experiment("e", "bench", [1, 1], { stepsPpm: [500_000] })],
		accessPolicies: rules(),
	});
	return compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, mode: MODES[form] });
}

const cleanups: (() => Promise<void>)[] = [];
try {
	const directory = await mkdtemp(join(tmpdir(), "weir-native-secure-"));
	cleanups.push(() => rm(directory, { recursive: true, force: true }));
	const keysFile = join(directory, "jwks.json");
	const minter = createMinter(Date.now());
	await writeFile(keysFile, JSON.stringify(minter.jwks));
	const tokens = Array.from({ length: USERS }, (_, index) =>
		minter.token({
			sub: `user-${index}`,
			groups: ["staff", "doctors"],
			tenant: "clinic",
			scope: "models:read profile",
		}),
	);
	const tls = await mutualTls({ teardown: (run) => cleanups.push(run) });
	const client = clientTls(tls.ca.certificate, await tls.ca.issue({ spiffeId: spiffe(CLIENT) }));
	const load = await startLoad(
		client,
		tokens.map((token) => `authorization: Bearer ${token}`),
	);
	cleanups.push(() => load.stop());
	const forms: Form[] = [];
	for (const name of Object.keys(MODES) as (keyof typeof MODES)[]) {
		const plan = planOf(name, tls.gateway, load.ports, keysFile);
		const headersOf = () => ({ authorization: `Bearer ${tokens[0]}` });
		const proves = { access: true, assignment: true };
		const form = await startPlan(directory, { name, plan, proves, headersOf }, client);
		cleanups.push(() => form.stop());
		forms.push(form);
	}
	say(`Envoy ${forms[0]?.envoy.version}, one worker each; ${ROUNDS} rounds of ${REQUESTS} requests per form`);
	say("CPU µs per request, sidecar + Envoy");
	const costs = await alternate(load, forms, { rounds: ROUNDS, requests: REQUESTS, warmUp: WARM_UP, say });
	const [native, callout] = [totalUs(costs, "native"), totalUs(costs, "callout")];
	const ratio = median(native.map((value, index) => value / (callout[index] ?? Number.NaN)));
	const rounded = (value: number, digits: number) => Number(value.toFixed(digits));
	const result = {
		ratio: rounded(ratio, 3),
		nativeUs: rounded(median(native), 1),
		calloutUs: rounded(median(callout), 1),
	};
	say(`RESULT ${JSON.stringify(result)}`);
} finally {
	for (const cleanup of cleanups.reverse()) await cleanup();
}
