/**
 * One declaration, every execution: the same generated requests through a real Envoy natively, in callout by ext_authz
 * and by ext_proc, and through the pure function, must give the same arm, Variant, verdict and reason.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { EXT_AUTHZ_NAMESPACE, METADATA_NAMESPACE } from "../../src/compiler/calloutContext.js";
import { type CompileOptions, compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import type { Plan } from "../../src/compiler/plan.js";
import { mutualTls, spiffe } from "../access/mutualTls.js";
import { bootstrapOf, startEnvoy } from "../envoy/harness.js";
import { expected, unitOf } from "../envoy/oracle.js";
import { headerValues, pipelined, type RawResponse, rawGet } from "../envoy/pipeline.js";
import { startVariantServer } from "../envoy/variantServer.js";
import { startSidecar } from "../sidecar/rig.js";
import { generate, PRINCIPALS } from "./declaration.js";
import { type Outcome, predict, unitText } from "./prediction.js";
import { createIssuer, type GeneratedRequest, generatePaths, generateRequests } from "./requests.js";

export interface Extent {
	readonly seed: number;
	readonly services: number;
	/** Requests for each Service. */
	readonly each: number;
	readonly version?: string;
}

/** The executions. auto keeps native what can be; the two callouts leave nothing to Envoy but the TLS and the tokens. */
export const FORMS: Readonly<Record<string, Pick<CompileOptions, "mode" | "protocol">>> = {
	native: { mode: "auto" },
	"native, the rest by ext_proc": { mode: "auto", protocol: "ext_proc" },
	ext_authz: { mode: "callout", protocol: "ext_authz" },
	ext_proc: { mode: "callout", protocol: "ext_proc" },
};

export interface ExecutionsOptions {
	/** Damages the Plan before it runs, to see that the suite notices. */
	readonly damage?: (plan: Plan) => Plan;
	readonly forms?: readonly string[];
}

export interface ExecutionsResult {
	readonly requests: number;
	readonly mismatches: readonly string[];
	/** Of the predictions, so that a test can see that everything occurs. */
	readonly seen: ReadonlyMap<string, number>;
}

/** Sends all requests through every form and compares. */
export async function runExecutions(
	t: Test,
	extent: Extent,
	{ damage = (plan) => plan, forms = Object.keys(FORMS) }: ExecutionsOptions = {},
): Promise<ExecutionsResult> {
	const directory = await mkdtemp(join(tmpdir(), "weir-parity-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const tls = await mutualTls(t);
	const issuer = createIssuer(Date.now());
	const jwksFile = join(directory, "jwks.json");
	await writeFile(jwksFile, JSON.stringify(issuer.jwks));
	const upstreams = await Promise.all(["v1", "v2", "v3"].map((name) => startVariantServer(name, echo(name))));
	t.teardown(async () => {
		await Promise.all(upstreams.map((server) => server.close()));
	});
	const generated = generate({
		...extent,
		ports: upstreams.map(({ port }) => port),
		tls: tls.gateway,
		jwksFile,
		spiffe,
	});
	const paths = generatePaths(extent.seed);
	const requests = generateRequests(generated.subjects, { ...extent, paths, issuer });
	const seen = new Map<string, number>();
	const mismatches: string[] = [];
	for (const form of forms) {
		const plan = compile(generated.resources, generated.status, { collectors: NO_COLLECTORS, ...FORMS[form] });
		t.same(plan.problems, []);
		const sidecar = await startSidecar(t, plan);
		const logFile = join(directory, `${form}.log`);
		const bootstrap = bootstrapOf(damage(plan), undefined, plan.asksSidecar ? sidecar.socketPath : null);
		const envoy = await startEnvoy(
			t,
			(adminSocket) => withAccessLog(bootstrap(adminSocket), logFile),
			extent.version === undefined ? {} : { version: extent.version },
		);
		const client = new Map(
			await Promise.all(PRINCIPALS.map(async (name) => [name, await tls.client(envoy.port(), name)] as const)),
		);
		const canonical = await canonicalPaths(client.get("mallory") as () => Promise<Socket>, paths);
		const before = upstreams.map((server) => server.requests());
		const answers = await sendAll(client, requests);
		const reached = upstreams.reduce((sum, server, index) => sum + server.requests() - (before[index] ?? 0), 0);
		await envoy.stop();
		const logged = await readLog(logFile);
		let passed = 0;
		for (const [index, request] of requests.entries()) {
			const answer = answers[index];
			if (answer === undefined) throw new Error("no answer");
			const path = canonical.get(request.path) ?? null;
			const got = observe(answer, logged.get(headerValues(answer, "x-request-id")[0] ?? ""), plan, request);
			if (got.verdict === "allow") passed++;
			// Envoy itself refuses some paths; then nobody is asked.
			const want = path === null ? null : predict(generated, plan, request, path, answer);
			if (want === null) {
				if (answer.status !== 400)
					mismatches.push(`${form}: ${describe(request)}: refused on the open Service, not here`);
				continue;
			}
			const oracle = byOracle(request, want, answer);
			if (oracle !== null)
				mismatches.push(
					`${form}: ${describe(request)}: the oracle says ${oracle}, the function ${JSON.stringify(want)}`,
				);
			if (form === forms[0]) count(seen, want);
			const [left, right] = [JSON.stringify(want), JSON.stringify(got)];
			if (left !== right) mismatches.push(`${form}: ${describe(request)}: expected ${left}, Envoy ${right}`);
		}
		if (passed !== reached) mismatches.push(`${form}: ${passed} requests were allowed, ${reached} reached an upstream`);
	}
	return { requests: requests.length * forms.length, mismatches, seen };
}

const describe = ({ subject, who, method, path, values }: GeneratedRequest): string =>
	`${subject.service.metadata.name} ${who} ${method} ${path} ${JSON.stringify(values)}`;

function count(seen: Map<string, number>, outcome: Outcome): void {
	for (const what of [
		outcome.reason,
		`arm ${(outcome.arms ?? []).length === 0 ? "none" : "some"}`,
		`variant ${outcome.variant}`,
	]) {
		seen.set(what, (seen.get(what) ?? 0) + 1);
	}
}

/** The arms by an XXH64 and regions of the test's own; null where they agree. */
function byOracle(request: GeneratedRequest, { arms, variant }: Outcome, answer: RawResponse): string | null {
	if (arms === null) return null;
	const text = unitText(request, answer);
	const unit = text === null ? null : unitOf([Buffer.from(text, "latin1")]);
	const { subject } = request;
	const running = subject.experiments.filter(({ status }) => ["Running", "Paused", "Promoting"].includes(status.phase));
	const results =
		unit === null
			? []
			: running.map((one) => ({ ...one, ...expected(unit, one.experiment, subject.layer, one.status) }));
	const said = results.map((one) => `${qualified(one.experiment.metadata)}/${one.arm}`).sort();
	const sent = results.find((one) => one.variant !== null)?.variant ?? subject.service.spec.defaultVariant;
	const same = JSON.stringify(said) === JSON.stringify([...arms].sort()) && (variant === null || variant === sent);
	return same ? null : `${JSON.stringify(said)} ${sent}`;
}

const qualified = ({ name, namespace }: { name: string; namespace: string }): string =>
	namespace === "default" ? name : `${namespace}/${name}`;

/** Answers with its name, the path and the parameters that it was sent. */
const echo = (name: string) => (socket: Socket, head: string) => {
	const path = head.slice(head.indexOf(" ") + 1).split(" ", 1)[0] ?? "";
	const parameters = head.match(/^x-weir-param-[^\r\n]*/gim) ?? [];
	const arms = head.match(/^x-weir-arm: [^\r\n]*/gim) ?? [];
	const leaked = /^x-weir-(variant|plan)/im.test(head) ? "x-leaked: yes\r\n" : "";
	socket.write(
		Buffer.from(
			`HTTP/1.1 200 OK\r\nx-variant: ${name}\r\nx-path: ${path}\r\n${leaked}x-sent: ${JSON.stringify([...arms, ...parameters].sort())}\r\nx-weir-arm: forged/by-upstream\r\ncontent-length: 0\r\n\r\n`,
			"latin1",
		),
	);
};

async function canonicalPaths(
	client: () => Promise<Socket>,
	paths: readonly string[],
): Promise<ReadonlyMap<string, string | null>> {
	const answers = await pipelined(
		client,
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
	clients: ReadonlyMap<string, () => Promise<Socket>>,
	requests: readonly GeneratedRequest[],
): Promise<readonly RawResponse[]> {
	const answers = new Array<RawResponse>(requests.length);
	await Promise.all(
		[...clients].map(async ([who, client]) => {
			const own = requests.flatMap((request, index) => (request.who === who ? [{ request, index }] : []));
			const got = await pipelined(
				client,
				own.map(({ request }) => request.bytes),
				{ connections: 6, window: 1, methods: own.map(({ request }) => request.method) },
			);
			for (const [at, { index }] of own.entries()) answers[index] = got[at] as RawResponse;
		}),
	);
	return answers;
}

interface Logged {
	readonly details: string;
	readonly metadata: Readonly<Record<string, string>> | null;
}

/** What Envoy and, where it was asked, the sidecar said of the request. */
function observe(answer: RawResponse, logged: Logged | undefined, plan: Plan, request: GeneratedRequest): Outcome {
	const allowed = answer.status === 200;
	const [sent = "[]"] = headerValues(answer, "x-sent");
	// ext_authz joins what it adds into one line (RFC 9110 5.3: the same).
	const exposed = headerValues(answer, "x-weir-arm").flatMap((value) => value.split(", "));
	return {
		verdict: allowed ? "allow" : answer.status === 403 ? "deny" : "none",
		...reasonOf(logged, plan, request, allowed),
		arms: allowed ? [...exposed].sort() : null,
		variant: allowed ? (headerValues(answer, "x-variant")[0] ?? null) : null,
		sent: allowed ? (JSON.parse(sent) as readonly string[]) : null,
		...(headerValues(answer, "x-leaked").length > 0 ? { leaked: true } : {}),
	};
}

function reasonOf(
	logged: Logged | undefined,
	plan: Plan,
	{ subject }: GeneratedRequest,
	allowed: boolean,
): Pick<Outcome, "reason" | "policy"> {
	const table = plan.table.services.find(({ name }) => name === qualified(subject.service.metadata));
	if (table?.callout?.verdict) {
		const { reason = "?", policy = null } = logged?.metadata ?? {};
		return { reason, policy: allowed ? null : policy };
	}
	// Envoy says by which policy it denied; what it allowed was allowed or open.
	if (allowed) return { reason: subject.service.spec.access === "open" ? "open" : "allowed", policy: null };
	const policy = /^rbac_access_denied_matched_policy\[(.*)\]$/.exec(logged?.details ?? "")?.[1] ?? "?";
	if (policy === "none") return { reason: "no-policy-allows", policy: null };
	return { reason: "forbidden", policy: policy.startsWith("(") ? null : policy };
}

function withAccessLog(bootstrap: object, path: string): object {
	const copy = JSON.parse(JSON.stringify(bootstrap));
	const [manager] = copy.static_resources.listeners[0].filter_chains[0].filters;
	manager.typed_config.access_log = [
		{
			name: "file",
			typed_config: {
				"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
				path,
				log_format: {
					json_format: {
						id: "%REQ(X-REQUEST-ID)%",
						details: "%RESPONSE_CODE_DETAILS%",
						verdict: `%DYNAMIC_METADATA(${EXT_AUTHZ_NAMESPACE})%`,
						process: `%DYNAMIC_METADATA(${METADATA_NAMESPACE})%`,
					},
				},
			},
		},
	];
	return copy;
}

async function readLog(path: string): Promise<ReadonlyMap<string, Logged>> {
	const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
	return new Map(
		lines.map((line) => {
			const { id, details, verdict, process } = JSON.parse(line);
			return [id, { details: details ?? "", metadata: verdict ?? process ?? null }];
		}),
	);
}
