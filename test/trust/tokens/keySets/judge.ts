/**
 * Compares key sets as published by control in a real Envoy with the sidecar's verifier over the issuers' own bytes:
 * Envoy accepts every listener, and both give each token the same verdict.
 */
import fc from "fast-check";
import { compile, NO_COLLECTORS } from "../../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../../src/decide/rollout/status.js";
import { readKeySet } from "../../../../src/trust/tokens/keySet.js";
import { publishedKeySet } from "../../../../src/trust/tokens/publishedKeys.js";
import { TokenVerifier } from "../../../../src/trust/tokens/verifier.js";
import { bootstrapOf, startEnvoy, type TestScope, validateBootstrap } from "../../../envoy/harness.js";
import { pipelined, rawGet } from "../../../envoy/pipeline.js";
import { startVariantServer } from "../../../envoy/variantServer.js";
import { accessPolicy, gateway, resourceSet, service, tokenIssuer, variant } from "../../../fixtures/resources.js";
import { asked, segment } from "../issuer.js";
import { keySet, type PublishedKey } from "./sets.js";

const AUDIENCE = "weir";
/** Algorithms under which every key is tried too. */
const OTHERS = ["RS256", "ES256", "ES384", "EdDSA"];

export interface Agreement {
	readonly tokens: number;
	readonly accepted: number;
	/** Descriptions of tokens with two verdicts. */
	readonly parted: readonly string[];
}

export const generatedSets = (count: number, seed: number): readonly (readonly PublishedKey[])[] =>
	fc.sample(keySet, { numRuns: count, seed });

interface Shown {
	readonly token: string;
	readonly what: string;
}

const fileOf = (index: number): string => `set-${index}`;
const issuerOf = (index: number): string => `https://i${index}.test`;

/** Tokens by every key of the set: by its own algorithms, and by its own signatures under others' names. */
function tokensOf(set: readonly PublishedKey[], index: number, now: number): readonly Shown[] {
	const payload = segment({ iss: issuerOf(index), sub: "alice", aud: AUDIENCE, iat: now - 10, exp: now + 600 });
	return set.flatMap(({ signer, entry }) => {
		if (signer === null) return [];
		const { kid } = entry as { kid?: unknown };
		const names = typeof kid === "string" && kid !== "" ? [kid] : ["k", "any"];
		return names.flatMap((name) =>
			[...new Set([...signer.algorithms, ...OTHERS])].flatMap((alg) => {
				const text = `${segment({ alg, kid: name })}.${payload}`;
				const by = signer.algorithms.includes(alg) ? alg : signer.algorithms[0];
				const signature = by === undefined ? null : signer.sign(by, text);
				const what = `${JSON.stringify(entry).slice(0, 200)}: kid ${JSON.stringify(name)}, alg ${alg}, signed by ${signer.name} as ${by}`;
				const token = `${text}.${signature}`;
				return signature === null ? [] : [{ token, what }];
			}),
		);
	});
}

/** @throws Error if Envoy refuses a listener, with the sets at fault */
export async function judgeKeySets(
	t: TestScope,
	sets: readonly (readonly PublishedKey[])[],
	version?: string,
): Promise<Agreement> {
	const bytes = sets.map((set) => Buffer.from(JSON.stringify({ keys: set.map(({ entry }) => entry) })));
	const upstream = await startVariantServer("v1");
	t.teardown(() => upstream.close());
	const issuers = sets.map((_, index) => tokenIssuer(issuerOf(index), [AUDIENCE], fileOf(index)));
	const bootstrapFor = (own: typeof issuers) => {
		const resources = resourceSet({
			gateways: [gateway({ tokens: own })],
			services: [service("users", [variant("v1", upstream.port)], { access: null })],
			accessPolicies: [
				accessPolicy("alice", "allow", ["users"], { users: own.map(({ issuer }) => `${issuer}#alice`) }),
			],
		});
		const keySets = Object.fromEntries(
			bytes.map((one, index) => {
				const read = readKeySet(one);
				if (read === null) throw new Error(`no set: ${one}`);
				return [fileOf(index), publishedKeySet(read)];
			}),
		);
		const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, keySets });
		return { plan, bootstrap: bootstrapOf(plan) };
	};
	const { plan, bootstrap } = bootstrapFor(issuers);
	const options = version === undefined ? {} : { version };
	const envoy = await startEnvoy(t, bootstrap, options).catch(async (error: unknown) => {
		const refused: string[] = [];
		for (const [index, own] of issuers.entries()) {
			const why = await validateBootstrap(bootstrapFor([own]).bootstrap("/tmp/unused.sock"), version);
			if (why !== null) refused.push(`${bytes[index]}`);
		}
		throw new Error(`Envoy refuses: ${refused.join("\n")}`, { cause: error });
	});
	const verifier = new TokenVerifier({
		load: (source) => async () =>
			bytes[Number(source.from === "file" ? source.file.slice("set-".length) : -1)] as Buffer,
	});
	verifier.use(plan.table.gateways);
	const now = Math.floor(Date.now() / 1_000);
	const shown = sets.flatMap((set, index) => tokensOf(set, index, now));
	const requests = shown.map(({ token }) => rawGet("users.test", [Buffer.from(`Authorization: Bearer ${token}`)]));
	const answers = await pipelined(envoy.port(), requests, { window: 1 });
	const parted: string[] = [];
	let accepted = 0;
	for (const [index, { token, what }] of shown.entries()) {
		const answer = await verifier.verify(asked(token, { gateway: null, payer: `payer ${index}` }));
		const sidecar = answer !== null && "token" in answer;
		const native = answers[index]?.status;
		if (sidecar) accepted++;
		if ((native === 200) !== sidecar || (native !== 200 && native !== 401))
			parted.push(`${what}: native ${native}, sidecar ${JSON.stringify(answer)}`);
	}
	return { tokens: shown.length, accepted, parted };
}
