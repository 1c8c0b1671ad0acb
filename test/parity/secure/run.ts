/**
 * Generated requests through a real Envoy natively and in callout by both protocols, the pure function and the judge
 * must give the same verdict, reason, policy and shadow verdict.
 */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { compileAccess, compileShadow, judgesUsers, readsUsers } from "../../../src/compile/access/rules/policy.js";
import type { VerifiedToken, VerifyToken } from "../../../src/compile/access/users/token.js";
import { verifiedToken } from "../../../src/compile/access/users/tokenClaims.js";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import type { CompiledPlan, ServiceTable } from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { Service } from "../../../src/declare/resources/resource.js";
import { SHADOW_TOKEN_WAIT_MS } from "../../../src/publish/sidecar/shadowWait.js";
import { Admission } from "../../../src/trust/tokens/admission.js";
import { readKeySet } from "../../../src/trust/tokens/keySet.js";
import { publishedKeySet } from "../../../src/trust/tokens/publishedKeys.js";
import { TokenVerifier } from "../../../src/trust/tokens/verifier.js";
import { mutualTls } from "../../compile/access/mutualTls.js";
import { createMinter } from "../../compile/envoy/secure/tokens.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { alone, headerValues, pipelined, type RawResponse, rawGet } from "../../envoy/pipeline.js";
import { mulberry32 } from "../../envoy/units.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { startSidecar } from "../../publish/sidecar/rig.js";
import { pick } from "../declaration.js";
import type { Form } from "../form.js";
import { withAccessLog } from "../observation.js";
import { BARE, CALLERS, type Declared, declare, EDGE, METHODS, PLAIN, TRUST } from "./declaration.js";
import { type Judgement, judge, type SecureRequest } from "./judge.js";
import { createSigners } from "./signers.js";
import { tokenPool } from "./tokens.js";

export const SECURE_FORMS: Readonly<Record<string, Form>> = {
	native: { mode: "auto", protocol: "ext_authz" },
	ext_authz: { mode: "callout", protocol: "ext_authz" },
	ext_proc: { mode: "callout", protocol: "ext_proc" },
};

export interface SecureExtent {
	readonly seed: number;
	readonly services: number;
	/** Requests in each form. */
	readonly requests: number;
	readonly forms?: readonly string[];
	/** Damages the Plan before it runs, to see that the suite notices. */
	readonly damage?: (plan: CompiledPlan) => CompiledPlan;
}

export interface SecureResult {
	readonly requests: number;
	readonly mismatches: readonly string[];
	readonly seen: ReadonlyMap<string, number>;
}

const PATHS = [
	...[
		"/",
		"/v2",
		"/v20",
		"/v2/models",
		"/v2/models/a.b",
		"/v2/models/axb",
		"/v2/models/a.b/infer",
		"/v2/models/x/infer",
	],
	...[
		"/v2/models//infer",
		"/v2/models/x/infer/",
		"/v2/models/",
		"/admin",
		"/admin/x",
		"/other/x/y",
		"/v2/models;x/infer",
	],
	...["/a%40b", "/v2/models/a%40b"],
];
/** As Envoy hands it on: doubled slashes are merged. */
const canonical = (path: string): string => path.replace(/\/\/+/g, "/");

/**
 * 503 is no verdict: a busy machine gave none in time. Such a request is asked once more, alone; more of them
 * than this of one form are no busy machine, and stay mismatches.
 */
export const ASKED_AGAIN_MAX = 5;

interface Sent extends SecureRequest {
	readonly bytes: Buffer;
	readonly who: string;
}

const MANY = { burst: 1e9, perSecond: 1e9 };

export async function runSecure(t: Test, extent: SecureExtent): Promise<SecureResult> {
	const { seed, services, requests: count, forms = Object.keys(SECURE_FORMS), damage = (plan) => plan } = extent;
	const directory = await mkdtemp(join(tmpdir(), "weir-secure-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const nowMs = Date.now();
	const minter = createMinter(nowMs);
	const jwksFile = join(directory, "jwks.json");
	const signers = createSigners(minter);
	const jwks = Buffer.from(JSON.stringify(signers.jwks));
	await writeFile(jwksFile, jwks);
	// As control does: of a set Envoy is given what verifies.
	const keySets = { [jwksFile]: publishedKeySet(readKeySet(jwks) ?? { keys: [], leftOut: [] }) };
	const tls = await mutualTls(t);
	const upstream = await startVariantServer("v", (socket) =>
		socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
	);
	t.teardown(() => upstream.close());
	const declared = declare({ seed, services, port: upstream.port, tls: tls.gateway, jwksFile });
	const sent = requestsOf(declared, seed, count, tokenPool(minter, signers, { seed, size: 300, nowMs }));
	const clients = new Map(
		await Promise.all(
			CALLERS.map(async (name) => [name as string, await tls.ca.issue({ spiffeId: `${TRUST}/${name}` })] as const),
		),
	);
	const seen = new Map<string, number>();
	const mismatches: string[] = [];
	for (const name of forms) {
		const form = SECURE_FORMS[name];
		if (form === undefined) throw new Error(`no form ${name}`);
		const plan = compile(declared.resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, keySets, ...form });
		mismatches.push(...plan.problems.map(({ message }) => message));
		if (name === "native" && plan.asksSidecar) mismatches.push("not all of it is native");
		const verifier = new TokenVerifier({ admission: new Admission({ failed: MANY, token: MANY }) });
		verifier.use(plan.table.gateways);
		let lateAnswers = 0;
		const verifyToken: VerifyToken = (question) => {
			const answer = verifier.verify(question);
			const fromMs = performance.now();
			// Timers have whole milliseconds.
			const counted = () => (lateAnswers += performance.now() - fromMs >= SHADOW_TOKEN_WAIT_MS - 1 ? 1 : 0);
			if (answer instanceof Promise) answer.then(counted, counted);
			return answer;
		};
		const sidecar = await startSidecar(t, plan, { nowMs: Date.now, verifyToken });
		const log = join(directory, `${name}.log`);
		const bootstrap = bootstrapOf(damage(plan), undefined, plan.asksSidecar ? sidecar.socketPath : null);
		const envoy = await startEnvoy(t, (admin) =>
			withAccessLog(bootstrap(admin), log, { rbac: "%DYNAMIC_METADATA(envoy.filters.http.rbac)%" }),
		);
		const before = upstream.requests();
		const target = (who: string): number | (() => Promise<Socket>) =>
			clients.has(who) ? tls.clientWith(envoy.port(EDGE), clients.get(who) ?? null) : envoy.port(gatewayOf(who));
		const answers = await sendAll(sent, target);
		const asked = await askAgain(sent, answers, target);
		if (asked > 0) t.comment(`${name}: ${asked} requests had no verdict (503) and were asked once more`);
		const reached = upstream.requests() - before;
		// An Envoy that is slow to end is killed, and would take its last lines with it.
		while ((await readFile(log, "utf8")).split("\n").length <= sent.length + asked) {
			await new Promise((resolve) => setTimeout(resolve, 100));
		}
		await envoy.stop();
		const lines = await readLog(log);
		let passed = 0;
		const late: string[] = [];
		for (const [index, request] of sent.entries()) {
			const answer = answers[index];
			if (answer === undefined) throw new Error("no answer");
			const wanted = judge(request);
			if (answer.status === 200) passed++;
			const line = lines.get(headerValues(answer, "x-request-id")[0] ?? "");
			const own = plan.table.services.find((one) => one.name === request.service.metadata.name);
			const sidecarJudges = own?.callout?.verdict === true;
			const got = sidecarJudges ? bySidecar(answer, line, wanted) : byEnvoy(answer, line, wanted);
			const expected = JSON.stringify(wanted);
			if (JSON.stringify(got) !== expected) {
				const dryRunAlone = sidecarJudges && request.shown.kind !== "none" && !judgesUsers(own.access);
				const inTime = typeof got === "string" ? got : { ...got, shadow: wanted.shadow, why: wanted.why };
				const limited = typeof got !== "string" && got.why?.startsWith("verification-limited ") === true;
				const isLate = dryRunAlone && limited && JSON.stringify(inTime) === expected;
				const where = isLate ? late : mismatches;
				where.push(`${name}: ${describe(request)}: judge: ${expected}, Envoy: ${JSON.stringify(got)}`);
			}
			if (name === forms[0]) {
				const pure = JSON.stringify(byFunction(request, plan, wanted));
				if (pure !== expected) mismatches.push(`${describe(request)}: judge: ${expected}, function: ${pure}`);
				const key = `${wanted.reason}${wanted.shadow === null ? "" : ` shadow ${wanted.shadow}`}`;
				seen.set(key, (seen.get(key) ?? 0) + 1);
			}
		}
		// Where only shadow policies look at users, a token that is verified too late is none in the dry run.
		if (late.length > lateAnswers) mismatches.push(...late);
		else if (late.length > 0) t.comment(`${name}: ${late.length} dry runs did not wait for their tokens`);
		// One without an answer may have reached it all the same.
		if (reached < passed || reached > passed + asked)
			mismatches.push(`${name}: ${passed} were allowed, ${reached} reached the upstream`);
		await sidecar.server.close();
	}
	return { requests: sent.length * forms.length, mismatches, seen };
}

/** Gateways without client certificates have no caller identity. */
const gatewayOf = (who: string): string => (who === PLAIN || who === BARE ? who : EDGE);

function requestsOf(
	{ resources }: Declared,
	seed: number,
	count: number,
	pool: ReturnType<typeof tokenPool>,
): readonly Sent[] {
	const random = mulberry32(seed + 1);
	return Array.from({ length: count }, (_, index): Sent => {
		const service = pick(random, resources.services);
		const { name } = service.metadata;
		const who = random() < 0.25 ? (index % 3 === 0 ? BARE : PLAIN) : pick(random, CALLERS);
		const gateway = resources.gateways.find(({ metadata }) => metadata.name === gatewayOf(who));
		if (gateway === undefined) throw new Error("no Gateway");
		const shown = random() < 0.25 ? (pool[0] ?? pick(random, pool)) : pick(random, pool);
		const method = pick(random, METHODS);
		const path = pick(random, PATHS);
		const lines = shown.authorization.map((value) => Buffer.from(`authorization: ${value}`));
		return {
			service,
			policies: resources.accessPolicies.filter(({ spec }) => spec.services.includes(name)),
			gateway,
			caller: gatewayOf(who) === EDGE ? `${TRUST}/${who}` : null,
			method,
			path: canonical(path),
			shown,
			who,
			bytes: rawGet(`${name}.test`, lines, path, method),
		};
	});
}

const describe = ({ service, gateway, who, method, path, shown, policies }: Sent): string =>
	`${service.metadata.name} by ${gateway.metadata.name} ${who} ${method} ${path}, token ${shown.what} ${JSON.stringify(shown.claims)}; ${policies.map(({ spec }) => JSON.stringify(Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== null && (value as { length?: number }).length !== 0)))).join(" ")}`;

interface Line {
	readonly details: string;
	readonly rbac: Readonly<Record<string, string>> | null;
	readonly sidecar: Readonly<Record<string, string>> | null;
}

/** The native form: the result from Envoy's access log and the client's answer. */
function byEnvoy(answer: RawResponse, line: Line | undefined, wanted: Judgement): Judgement | string {
	const rbac = line?.rbac ?? {};
	const [deny, allow] = [rbac.weir_deny_shadow_engine_result, rbac.weir_allow_shadow_engine_result];
	// A denial that is enforced ends the request before the allows are tried.
	const tried = deny === "denied" || allow === "denied" ? false : allow === undefined ? null : true;
	const shadow = wanted.shadow === false && tried === null && deny !== undefined ? false : tried;
	if (answer.status === 200) {
		const why = shadow === false ? nativeWhy(deny === "denied" ? rbac.weir_deny_shadow_effective_policy_id : "") : null;
		return { reason: wanted.reason === "open" ? "open" : "allowed", policy: null, shadow, why };
	}
	const reason = /^access denied: ([a-z-]+)\n$/.exec(answer.body)?.[1] ?? `${answer.status} ${answer.body}`;
	if (answer.status !== (reason === "invalid-token" ? 401 : 403)) return `${answer.status} ${reason}`;
	const policy = /^rbac_access_denied_matched_policy\[(.*)\]$/.exec(line?.details ?? "")?.[1] ?? null;
	const named = reason === "forbidden" ? policy : null;
	const early = reason === "not-canonical" || reason === "invalid-token";
	// Shadow rules stand in the filters that denied: what was refused before them they have not seen.
	return { reason, policy: named, shadow: early ? null : shadow, why: null };
}

/** @param rule of the shadow rules that would deny; empty = no rule would allow */
function nativeWhy(rule = "?"): string {
	if (rule === "") return "no-policy-allows -";
	const builtIn = /^(?:\(gate\) )?\((ambiguous path|not canonical|invalid token)/.exec(rule)?.[1];
	if (builtIn === undefined) return `forbidden ${rule}`;
	return builtIn === "invalid token" ? "invalid-token -" : "not-canonical -";
}

function bySidecar(answer: RawResponse, line: Line | undefined, wanted: Judgement): Judgement | string {
	// What the gate refuses before the sidecar is asked.
	if (line?.details.startsWith("rbac_access_denied_matched_policy[(not_canonical")) {
		return { reason: "not-canonical", policy: null, shadow: null, why: null };
	}
	const { verdict, reason = "?", policy = null, shadow, shadowReason, shadowPolicy } = line?.sidecar ?? {};
	const judged = wanted.reason !== "invalid-token" && wanted.reason !== "not-canonical";
	const status = verdict === "allow" ? 200 : reason === "invalid-token" ? 401 : 403;
	if (answer.status !== status) return `${answer.status} ${reason}`;
	// The access log has it only if it differs.
	const tried = shadow === undefined ? verdict === "allow" : shadow === "allow";
	return {
		reason,
		policy: verdict === "allow" ? null : policy,
		shadow: judged && wanted.shadow !== null ? tried : null,
		why: shadow === "deny" ? `${shadowReason} ${shadowPolicy ?? "-"}` : null,
	};
}

const functions = new WeakMap<ServiceTable, ReturnType<typeof functionsOf>>();
const functionsOf = ({ access, name }: ServiceTable) => ({
	verdict: compileAccess(access, name),
	shadow: compileShadow(access, name),
	reads: readsUsers(access),
});

/** The pure rules; tokens and canonical form are others' business, so the judge's word on them is taken. */
function byFunction(request: Sent, plan: CompiledPlan, wanted: Judgement): Judgement {
	if (wanted.reason === "invalid-token" || wanted.reason === "not-canonical") return wanted;
	const table = plan.table.services.find(({ name }) => name === request.service.metadata.name);
	if (table === undefined) throw new Error("no table");
	const own = functions.get(table) ?? functionsOf(table);
	functions.set(table, own);
	const asked = {
		principal: request.caller,
		method: request.method,
		path: request.path,
		variant: (request.service as Service).spec.defaultVariant,
		token: tokenOf(request),
		region: request.gateway.spec.region,
		nowMs: 0,
	};
	const verdict = own.verdict(asked);
	// Whether a token is refused in the dry run is the caller's business too.
	const refusedInShadow = own.reads && request.shown.kind !== "none" && asked.token === null;
	// What the gate would refuse were an open Service protected; at a protected one the rules themselves know ambiguous paths.
	const byGate = wanted.reason === "open" && wanted.why === "not-canonical -";
	const early = byGate ? { allowed: false, reason: "not-canonical", policy: null } : null;
	const tried = own.shadow === null ? null : (early ?? own.shadow(asked));
	const invalid = refusedInShadow && tried?.reason !== "not-canonical";
	const would = tried !== null && invalid ? { allowed: false, reason: "invalid-token", policy: null } : tried;
	return {
		reason: verdict.reason,
		policy: verdict.allowed ? null : verdict.policy,
		shadow: would?.allowed ?? null,
		why: verdict.allowed && would?.allowed === false ? `${would.reason} ${would.policy ?? "-"}` : null,
	};
}

function tokenOf({ shown, gateway }: Sent): VerifiedToken | null {
	const issuer = gateway.spec.tokens.find((own) => own.issuer === shown.claims.iss);
	return shown.kind === "good" && issuer !== undefined ? verifiedToken(issuer, shown.claims) : null;
}

async function readLog(path: string): Promise<ReadonlyMap<string, Line>> {
	const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
	return new Map(
		lines.map((line) => {
			const { id, details, rbac, verdict, process } = JSON.parse(line);
			return [id, { details: details ?? "", rbac: rbac ?? null, sidecar: verdict ?? process ?? null }];
		}),
	);
}

async function sendAll(
	sent: readonly Sent[],
	target: (who: string) => number | (() => Promise<Socket>),
): Promise<RawResponse[]> {
	const answers = new Array<RawResponse>(sent.length);
	const byCaller = new Map<string, number[]>();
	for (const [index, { who }] of sent.entries()) byCaller.set(who, [...(byCaller.get(who) ?? []), index]);
	await Promise.all(
		[...byCaller].map(async ([who, indexes]) => {
			const bytes = indexes.map((index) => sent[index]?.bytes ?? Buffer.alloc(0));
			const got = await pipelined(target(who), bytes, { connections: 3, window: 1 });
			for (const [at, index] of indexes.entries()) answers[index] = got[at] as RawResponse;
		}),
	);
	return answers;
}

/** Puts second answers in the place of those without a verdict. @returns how many were asked again */
export async function askAgain(
	sent: readonly Pick<Sent, "who" | "bytes">[],
	answers: RawResponse[],
	target: (who: string) => number | (() => Promise<Socket>),
): Promise<number> {
	const without = sent.flatMap((request, index) => (answers[index]?.status === 503 ? [{ request, index }] : []));
	if (without.length > ASKED_AGAIN_MAX) return 0;
	for (const { request, index } of without) answers[index] = await alone(target(request.who), request.bytes);
	return without.length;
}
