/** A limit of tenants at Gateways with few and with many issuers, by one real Envoy. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { TokenIssuer } from "../../../src/declare/resources/resource.js";
import { ISSUERS_MAX } from "../../../src/declare/resources/schemas/tokenIssuer.js";
import { bootstrapOf, startEnvoy, type TestScope } from "../../envoy/harness.js";
import { alone, rawGet } from "../../envoy/pipeline.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { accessPolicy, gateway, resourceSet, service, tokenIssuer, variant } from "../../fixtures/resources.js";
import { AUDIENCE, createMinter } from "./secure/tokens.js";

/** One expression for all issuers was refused from 25 on. */
export const ISSUER_COUNTS = [1, 24, 25, 40, ISSUERS_MAX] as const;

/** The longest path of a claim, of names as long as they may be. */
const DEEP = ["a", "b", "c", "d"].map((letter) => letter.repeat(64));

const name = (index: number): string => `https://id-${index}.example`;

/** Every third issuer has the tenant in a claim at the end of the longest path. */
const isDeep = (index: number): boolean => index % 3 === 0;

/**
 * Asks twice more than a limit of one request lets in, as a tenant of the first issuer, as another one of the last, as the first
 * one again by the last issuer's token, and without a tenant.
 * @returns of each number of issuers the statuses, in that order
 */
export async function heldTenants(
	t: TestScope,
	version: string | undefined,
): Promise<Readonly<Record<string, readonly number[]>>> {
	const directory = await mkdtemp(join(tmpdir(), "weir-issuers-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const minter = createMinter(Date.now());
	const jwksFile = join(directory, "jwks.json");
	await writeFile(jwksFile, JSON.stringify(minter.jwks));
	const upstream = await startVariantServer("v1");
	t.teardown(() => upstream.close());
	const issuer = (index: number): TokenIssuer => ({
		...tokenIssuer(name(index), [AUDIENCE], jwksFile),
		...(isDeep(index) ? { tenantClaim: DEEP.join(".") } : {}),
	});
	const plan = compile(
		resourceSet({
			gateways: ISSUER_COUNTS.map((count) =>
				gateway({ tokens: Array.from({ length: count }, (_, index) => issuer(index)) }, `of-${count}`),
			),
			services: [
				service("s", [variant("v1", upstream.port)], {
					access: null,
					rateLimits: { service: null, principal: null, tenant: { requests: 1, perMs: 60_000 } },
				}),
			],
			accessPolicies: [accessPolicy("users", "allow", ["s"], { users: ["*"] })],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	const envoy = await startEnvoy(t, bootstrapOf(plan), version === undefined ? {} : { version });
	const held: Record<string, readonly number[]> = {};
	for (const count of ISSUER_COUNTS) {
		const ask = async (token: string): Promise<number> => {
			const request = rawGet("s.test", [Buffer.from(`authorization: Bearer ${token}`)]);
			return (await alone(envoy.port(`of-${count}`), request)).status;
		};
		const said = (index: number, tenant?: string): string => {
			const deep = DEEP.reduceRight<unknown>((inner, key) => ({ [key]: inner }), tenant);
			return minter.token({ iss: name(index), ...(isDeep(index) ? (deep as object) : { tenant }) });
		};
		const last = count - 1;
		const tokens = [said(0, "red"), said(0, "red"), said(last, "blue"), said(last, "red"), said(0), said(last)];
		const statuses: number[] = [];
		for (const token of tokens) statuses.push(await ask(token));
		held[count] = statuses;
	}
	return held;
}

/** Red's second request and red by another issuer share a bucket, as do requests without a tenant. */
export const HELD: Readonly<Record<string, readonly number[]>> = Object.fromEntries(
	ISSUER_COUNTS.map((count) => [count, [200, 429, 200, 429, 200, 429]]),
);
