/** One form of execution: generated requests through a real Envoy, each answer compared with function and judge. */
import type { Socket } from "node:net";
import { join } from "node:path";
import { type CompileOptions, compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import type { CompiledPlan } from "../../src/compile/plan/compiledPlan.js";
import { qualifiedName } from "../../src/declare/resources/resource.js";
import { bootstrapOf, startEnvoy, type TestScope } from "../envoy/harness.js";
import { alone, headerValues, pipelined, type RawResponse, rawGet, type Target } from "../envoy/pipeline.js";
import { startVariantServer, type VariantServer } from "../envoy/variantServer.js";
import { startSidecar, type TestSidecar } from "../publish/sidecar/rig.js";
import { type Generated, PLAIN_GATEWAY, type Subject, TLS_GATEWAY } from "./declaration.js";
import { running, tellsApart } from "./eligibility.js";
import { judge } from "./judge.js";
import { echo, mintedUnit, observe, readLog, withAccessLog } from "./observation.js";
import type { Outcome } from "./outcome.js";
import { predict } from "./prediction.js";
import { type GeneratedRequest, requestOf } from "./requests.js";

export type Form = Required<Pick<CompileOptions, "mode" | "protocol">>;

/** The executions. auto keeps native what can be; the two callouts leave nothing to Envoy but the TLS and the tokens. */
export const FORMS: Readonly<Record<string, Form>> = {
	native: { mode: "auto", protocol: "ext_authz" },
	"native, the rest by ext_proc": { mode: "auto", protocol: "ext_proc" },
	ext_authz: { mode: "callout", protocol: "ext_authz" },
	ext_proc: { mode: "callout", protocol: "ext_proc" },
};

/** What a run needs beside the Plan; the same for all forms. */
export interface Stage {
	readonly scope: TestScope;
	readonly generated: Generated;
	readonly requests: readonly GeneratedRequest[];
	readonly paths: readonly string[];
	readonly upstreams: readonly VariantServer[];
	/** For access logs. */
	readonly directory: string;
	readonly spiffe: (who: string) => string;
	/** A mutual-TLS client of that name. */
	readonly client: (port: number, who: string) => () => Promise<Socket>;
	readonly version?: string;
	/** What each path must become, where it is known from elsewhere; null = refused. */
	readonly canonical?: ReadonlyMap<string, string | null>;
	/** Damages the Plan before it runs, to see that the suite notices. */
	readonly damage?: (plan: CompiledPlan) => CompiledPlan;
}

export interface FormResult {
	readonly mismatches: readonly string[];
	/** The judge's results in the order of the requests; null if Envoy itself refuses the path. */
	readonly outcomes: readonly (Outcome | null)[];
	readonly canonical: ReadonlyMap<string, string | null>;
}

/** Servers of Variants v1 … v3, on free ports. */
export const startUpstreams = (): Promise<readonly VariantServer[]> =>
	Promise.all(["v1", "v2", "v3"].map((name) => startVariantServer(name, echo(name))));

export const compileForm = ({ resources, status }: Generated, form: Form): CompiledPlan =>
	compile(resources, status, { collectors: NO_COLLECTORS, ...form });

/** @param name of FORMS, for the messages */
export async function runForm(name: string, form: Form, stage: Stage): Promise<FormResult> {
	const { scope, generated, requests, paths, upstreams, directory, spiffe, client, damage = (plan) => plan } = stage;
	const plan = compileForm(generated, form);
	const mismatches: string[] = plan.problems.map(({ message }) => `${name}: ${message}`);
	mismatches.push(...generated.subjects.flatMap((subject) => executionMismatch(plan, form, subject)));
	const sidecar = await startSidecar(scope, plan);
	const logFile = join(directory, `${name}.log`);
	const bootstrap = bootstrapOf(damage(plan), undefined, plan.asksSidecar ? sidecar.socketPath : null);
	const envoy = await startEnvoy(
		scope,
		(adminSocket) => withAccessLog(bootstrap(adminSocket), logFile),
		stage.version === undefined ? {} : { version: stage.version },
	);
	const target = (request: GeneratedRequest) =>
		request.gateway === PLAIN_GATEWAY ? envoy.port(PLAIN_GATEWAY) : client(envoy.port(TLS_GATEWAY), request.who);
	const canonical = await canonicalPaths(envoy.port(PLAIN_GATEWAY), paths);
	for (const [path, wanted] of stage.canonical ?? [])
		if (canonical.get(path) !== wanted) mismatches.push(`${name}: path ${path} became ${canonical.get(path)}`);
	for (const gateway of [PLAIN_GATEWAY, TLS_GATEWAY]) {
		const to = gateway === PLAIN_GATEWAY ? envoy.port(gateway) : client(envoy.port(gateway), "alice");
		const { status } = await alone(to, rawGet("unknown.test", []));
		// The filters refuse before a missing route does.
		if (status !== 403) mismatches.push(`${name}: an undeclared host is answered with ${status}`);
	}
	const before = upstreams.map((server) => server.requests());
	const answers = await sendAll(target, requests);
	const reached = upstreams.reduce((sum, server, index) => sum + server.requests() - (before[index] ?? 0), 0);
	mismatches.push(...(await withoutSidecar(name, form, stage, { sidecar, target })));
	await envoy.stop();
	const logged = await readLog(logFile);
	const minted = new Set<string>();
	let passed = 0;
	const outcomes = requests.map((request, index): Outcome | null => {
		const answer = answers[index];
		if (answer === undefined) throw new Error("no answer");
		const report = (what: string): void => {
			mismatches.push(`${name}: ${describe(request)}: ${what}`);
		};
		const path = canonical.get(request.path) ?? null;
		if (answer.status === 200) passed++;
		// Envoy itself refuses some paths, without a callout.
		if (path === null) {
			if (answer.status !== 400) report("refused on the open Service, not here");
			return null;
		}
		const unit = mintedUnit(answer);
		if (unit !== null && minted.has(unit)) report("two people got one minted unit");
		if (unit !== null) minted.add(unit);
		const wanted = judge(generated, request, path, unit, spiffe);
		const judged = JSON.stringify(wanted);
		const byFunction = JSON.stringify(predict(generated, plan, request, { path, minted: unit, spiffe }));
		const judges = verdictBySidecar(form, request.subject);
		const line = logged.get(headerValues(answer, "x-request-id")[0] ?? "");
		const byEnvoy = JSON.stringify(observe(answer, line, generated, request, judges));
		const gated = wanted.reason === "not-canonical";
		if (judges && !gated && line?.protocol !== form.protocol)
			report(`asked by ${line?.protocol}, not by ${form.protocol}`);
		if (judged !== byFunction) report(`judge: ${judged}, function: ${byFunction}`);
		if (judged !== byEnvoy) report(`judge: ${judged}, Envoy: ${byEnvoy}`);
		return wanted;
	});
	if (passed !== reached) mismatches.push(`${name}: ${passed} requests were allowed, ${reached} reached an upstream`);
	return { mismatches, outcomes, canonical };
}

/** Whether the sidecar must decide a Service's access: asked for, needed, or (in mode callout) possible. */
function verdictBySidecar(form: Form, subject: Subject): boolean {
	const { service, policies } = subject;
	if (service.spec.access === "open" && policies.length === 0) return false;
	if (service.spec.callout.access === "sidecar") return true;
	if (assignedBySidecar(form, subject) && policies.some(({ spec }) => spec.variants.length > 0)) return true;
	return form.mode === "callout" && service.spec.callout.onFailure === "deny";
}

/** Whether the sidecar must assign: units in cookies and where eligibility matters always, others in mode callout. */
const assignedBySidecar = ({ mode }: Form, subject: Subject): boolean =>
	running(subject).length > 0 && (subject.unit.from === "cookie" || tellsApart(subject) || mode === "callout");

/**
 * The sidecar is gone: what it was to decide is refused and reaches no upstream, what it was to assign alone goes as the
 * Service declares, and native ones stay native.
 */
async function withoutSidecar(
	name: string,
	form: Form,
	{ generated, upstreams, spiffe }: Stage,
	{ sidecar, target }: { readonly sidecar: TestSidecar; readonly target: (request: GeneratedRequest) => Target },
): Promise<readonly string[]> {
	await sidecar.server.close();
	const mismatches: string[] = [];
	for (const subject of generated.subjects) {
		const request = requestOf({ subject, who: "alice", method: "GET", path: "/", values: [] }, []);
		const before = upstreams.reduce((sum, server) => sum + server.requests(), 0);
		const answer = await alone(target(request), request.bytes);
		const reached = upstreams.reduce((sum, server) => sum + server.requests(), -before);
		const { verdict } = judge(generated, request, "/", null, spiffe);
		const passes = verdict === "allow" ? 200 : 403;
		const assigns = assignedBySidecar(form, subject) && subject.service.spec.callout.onFailure === "deny";
		const wanted = verdictBySidecar(form, subject) || (passes === 200 && assigns) ? 503 : passes;
		if (answer.status === wanted && reached === (wanted === 200 ? 1 : 0)) continue;
		mismatches.push(
			`${name}, without the sidecar: ${describe(request)} is answered with ${answer.status}, not ${wanted}; ${reached} reached an upstream`,
		);
	}
	return mismatches;
}

/** The compiler must leave to the sidecar what it must do, and no more. */
function executionMismatch(plan: CompiledPlan, form: Form, subject: Subject): readonly string[] {
	const name = qualifiedName(subject.service.metadata);
	const callout = plan.table.services.find((own) => own.name === name)?.callout ?? null;
	const wanted = {
		verdict: verdictBySidecar(form, subject),
		assignment: assignedBySidecar(form, subject),
	};
	const got = { verdict: callout?.verdict ?? false, assignment: callout?.assignment ?? false };
	return JSON.stringify(wanted) === JSON.stringify(got)
		? []
		: [`${form.mode}: ${name} is executed by the sidecar for ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`];
}

const describe = ({ subject, who, method, path, values }: GeneratedRequest): string =>
	`${subject.service.metadata.name} ${who} ${method} ${path} ${JSON.stringify(values)}`;

async function canonicalPaths(port: number, paths: readonly string[]): Promise<ReadonlyMap<string, string | null>> {
	const answers = await pipelined(
		port,
		paths.map((path) => rawGet("canonical.test", [], path)),
	);
	return new Map(
		paths.map((path, index) => {
			const answer = answers[index];
			return [path, answer?.status === 200 ? (headerValues(answer, "x-path")[0] ?? "") : null];
		}),
	);
}

async function sendAll(
	target: (request: GeneratedRequest) => number | (() => Promise<Socket>),
	requests: readonly GeneratedRequest[],
): Promise<readonly RawResponse[]> {
	const answers = new Array<RawResponse>(requests.length);
	const callers = new Map<string, (readonly [number, GeneratedRequest])[]>();
	for (const [index, request] of requests.entries()) {
		callers.set(request.who, [...(callers.get(request.who) ?? []), [index, request]]);
	}
	await Promise.all(
		[...callers.values()].map(async (own) => {
			const [first] = own;
			if (first === undefined) return;
			const got = await pipelined(
				target(first[1]),
				own.map(([, { bytes }]) => bytes),
				{ connections: 6, window: 1, methods: own.map(([, { method }]) => method) },
			);
			for (const [at, [index]] of own.entries()) answers[index] = got[at] as RawResponse;
		}),
	);
	return answers;
}
