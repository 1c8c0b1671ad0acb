/**
 * One declaration, every execution: the same generated requests through a real Envoy natively, in callout by ext_authz
 * and by ext_proc, and by the pure function and the judge, must give the same arm, Variant, verdict and reason.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import type { CompiledPlan } from "../../src/compile/plan/compiledPlan.js";
import { mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { generate, PRINCIPALS } from "./declaration.js";
import { edgeUnits } from "./edges.js";
import { running, tellsApart } from "./eligibility.js";
import { FORMS, runForm, startUpstreams } from "./form.js";
import { judge, takesPart } from "./judge.js";
import type { Outcome } from "./outcome.js";
import { createIssuer, generatePaths, generateRequests } from "./requests.js";

export interface Extent {
	readonly seed: number;
	readonly services: number;
	/** Random requests for each Service. */
	readonly each: number;
	/** The number of Services that also get units on the edges; the search takes about a second each. */
	readonly edges?: number;
	readonly version?: string;
}

export interface ExecutionsOptions {
	/** Damages the Plan before it runs, to see that the suite notices. */
	readonly damage?: (plan: CompiledPlan) => CompiledPlan;
	/** Names in FORMS; all by default. */
	readonly forms?: readonly string[];
}

export interface ExecutionsResult {
	readonly requests: number;
	readonly mismatches: readonly string[];
	/** Reasons of the judge, so that a test can check that all occur. */
	readonly seen: ReadonlyMap<string, number>;
}

/** Sends all requests through every form and compares. */
export async function runExecutions(
	t: Test,
	extent: Extent,
	{ damage, forms = Object.keys(FORMS) }: ExecutionsOptions = {},
): Promise<ExecutionsResult> {
	const directory = await mkdtemp(join(tmpdir(), "weir-parity-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const tls = await mutualTls(t);
	const clients = new Map(
		await Promise.all(
			PRINCIPALS.map(async (name) => [name as string, await tls.ca.issue({ spiffeId: spiffe(name) })] as const),
		),
	);
	const issuer = createIssuer(Date.now());
	const jwksFile = join(directory, "jwks.json");
	await writeFile(jwksFile, JSON.stringify(issuer.jwks));
	const upstreams = await startUpstreams();
	t.teardown(async () => {
		await Promise.all(upstreams.map((server) => server.close()));
	});
	const ports = upstreams.map(({ port }) => port);
	const generated = generate({ ...extent, ports, tls: tls.gateway, jwksFile, spiffe });
	const paths = generatePaths(extent.seed);
	const edges = generated.subjects.slice(0, extent.edges ?? 0).map((subject) => edgeUnits(subject));
	const requests = generateRequests(generated, { ...extent, paths, issuer, spiffe, edges });
	const client = (port: number, who: string): (() => Promise<Socket>) => tls.clientWith(port, clients.get(who) ?? null);
	const seen = new Map<string, number>();
	const mismatches: string[] = [];
	for (const name of forms) {
		const form = FORMS[name];
		if (form === undefined) throw new Error(`no form ${name}`);
		const result = await runForm(name, form, {
			scope: t,
			generated,
			requests,
			paths,
			upstreams,
			directory,
			spiffe,
			client,
			...(extent.version === undefined ? {} : { version: extent.version }),
			...(damage === undefined ? {} : { damage }),
		});
		mismatches.push(...result.mismatches);
		if (name !== forms[0]) continue;
		for (const outcome of result.outcomes) if (outcome !== null) count(seen, outcome);
		for (const request of requests) {
			const path = result.canonical.get(request.path) ?? null;
			if (path === null || judge(generated, request, path, null, spiffe).verdict !== "allow") continue;
			const left = running(request.subject).some(
				(one) => !takesPart(request, one, path.split("?", 1)[0] ?? "", spiffe),
			);
			if (left) seen.set("allowed, not eligible", (seen.get("allowed, not eligible") ?? 0) + 1);
			const entries =
				request.subject.policies.some(({ spec }) => spec.variants.length > 0) && !tellsApart(request.subject);
			if (entries && running(request.subject).length > 0) seen.set("alike arms", (seen.get("alike arms") ?? 0) + 1);
		}
	}
	return { requests: requests.length * forms.length, mismatches, seen };
}

function count(seen: Map<string, number>, outcome: Outcome): void {
	for (const what of [
		outcome.reason,
		`arm ${(outcome.arms ?? []).length === 0 ? "none" : "some"}`,
		`variant ${outcome.variant}`,
		...(outcome.cookie === null ? [] : ["cookie"]),
	]) {
		seen.set(what, (seen.get(what) ?? 0) + 1);
	}
}
