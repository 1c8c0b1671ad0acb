/** What the tests of ingest share: a plan, messages as Envoy would send them, and a gRPC client that sends them. */
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { compileAssignment } from "../../../src/compile/assignment/assign.js";
import { type CompileOptions, compile } from "../../../src/compile/compile.js";
import type {
	CalloutTable,
	CompiledPlan,
	ExperimentTable,
	PlanTable,
	PolicyTable,
	ServiceTable,
} from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { ResourceSet } from "../../../src/declare/resources/resource.js";
import type { EvidenceMetric, EvidenceQuery } from "../../../src/infer/statistics/evidence.js";
import { type Ingest, type IngestOptions, startIngest } from "../../../src/observe/events/ingest.js";
import type { Labels, Meter } from "../../../src/observe/events/meter.js";
import { encodeNamespaces, NAMESPACES_HEADER } from "../../../src/observe/events/query/readNamespaces.js";
import type { MetricDeclaration } from "../../../src/observe/events/receive/outcomes/metricDeclaration.js";
import { CALLER_HEADER, encodeCaller } from "../../../src/observe/events/receive/outcomes/sender.js";
import { EXPOSURE_SETTLES_MS } from "../../../src/observe/events/receive/requests/settlingExposures.js";
import { accessPolicy, resourceSet, service, variant } from "../../fixtures/resources.js";
import { AccessLogStream } from "./accessLogStream.js";

export const EXPERIMENT: ExperimentTable = {
	name: "models",
	unit: { from: "header", header: "x-user-id" },
	layerSeed: "7",
	slotLoPpm: 0,
	slotHiPpm: 1_000_000,
	salt: "models",
	arms: [
		{ name: "control", variant: "v1", baseline: true, loPpm: 0, hiPpm: 500_000, livePoints: 400_000, parameters: {} },
		{
			name: "boosted",
			variant: "v2",
			baseline: false,
			loPpm: 500_000,
			hiPpm: 1_000_000,
			livePoints: 400_000,
			parameters: {},
		},
	],
	exposing: true,
	takeover: null,
};

export function planWith(experiment: ExperimentTable, over: Partial<ServiceTable> = {}): PlanTable {
	const service: ServiceTable = {
		name: "shop",
		hosts: ["shop.test"],
		defaultVariant: "v1",
		timeoutMs: 0,
		access: { open: true, policies: [] },
		callout: null,
		experiments: [experiment],
		...over,
	};
	return { gateways: [], services: [service] };
}

/** The sidecar does all. */
export const CALLOUT: CalloutTable = {
	verdict: true,
	assignment: true,
	onFailure: "deny",
	maxStalenessMs: 60_000,
	onStale: "deny",
	sign: false,
};

/** `p1` is the plan; in `p2` the arms have changed places, so that a unit can be seen in two. */
export const PLANS: Readonly<Record<string, PlanTable>> = {
	p1: planWith(EXPERIMENT),
	p2: planWith({
		...EXPERIMENT,
		arms: EXPERIMENT.arms.map((arm) => ({ ...arm, name: arm.name === "control" ? "boosted" : "control" })),
	}),
	promoting: planWith({ ...EXPERIMENT, exposing: false }),
	heldBack: planWith({ ...EXPERIMENT, takeover: { arm: "boosted", variant: "v2", ppm: 900_000 } }),
	bandit: planWith({ ...EXPERIMENT, core: { ppm: 200_000, alone: false } }),
	banditMoved: planWith({ ...EXPERIMENT, core: { ppm: 200_000, alone: true } }),
	claim: planWith({ ...EXPERIMENT, unit: { from: "claim", header: "x-user-id", claim: "sub" } }),
	/** The sidecar assigns by a header. */
	sidecar: planWith(EXPERIMENT, { callout: CALLOUT }),
	callout: planWith({ ...EXPERIMENT, unit: { from: "cookie", cookie: "id", maxAgeMs: 1_000 } }, { callout: CALLOUT }),
};

/** A policy that is tried out. */
export const TRIED_POLICY: PolicyTable = {
	name: "try",
	action: "deny",
	principals: ["*"],
	methods: [],
	pathPrefixes: [],
	variants: [],
	shadow: true,
	more: null,
};

/** One plan for every version, by which a policy is tried out, and which is in force. */
export function tryingOut(over: Partial<ServiceTable> = {}): Pick<IngestOptions, "plans" | "newestPlan"> {
	const plan = planWith(EXPERIMENT, { access: { open: false, policies: [TRIED_POLICY] }, ...over });
	return { plans: async () => plan, newestPlan: async () => plan };
}

const assignment = compileAssignment(EXPERIMENT);
export const armOf = (unit: string): string | null => assignment.arm(unit);

/** The first `count` units of an arm, or of the rest (null). */
export function unitsOf(arm: string | null, count: number, prefix = "user"): readonly string[] {
	const units: string[] = [];
	for (let index = 0; units.length < count; index++) {
		const unit = `${prefix}-${index}`;
		if (armOf(unit) === arm) units.push(unit);
	}
	return units;
}

export const METRICS: readonly MetricDeclaration[] = [
	{ name: "accuracy", type: "rate", source: "outcome", windowMs: 1_000 },
	{ name: "revenue", type: "mean", source: "outcome", windowMs: 1_000 },
	{ name: "errors", type: "rate", source: "errors", windowMs: 1_000 },
	{ name: "p99", type: "quantile", source: "latency", windowMs: 1_000 },
];

export function metric(name: string, over: Partial<EvidenceMetric> = {}): EvidenceMetric {
	const source = METRICS.find((declared) => declared.name === name)?.source ?? "outcome";
	return {
		name,
		source,
		windowMs: 1_000,
		settleMs: 500,
		missing: "exclude",
		perUnit: "mean",
		denominator: null,
		covariateMs: null,
		cap: null,
		threshold: source === "latency" ? "unfrozen" : null,
		range: null,
		...over,
	};
}

export function query(...metrics: readonly EvidenceMetric[]): EvidenceQuery {
	return { experiment: "models", service: "shop", metrics, healthSinceMs: 0, segments: [], interactsWith: [] };
}

export interface Entry {
	readonly kind: "start" | "sent" | "periodic" | "end";
	/** How often it was sent to an upstream by then; in a periodic entry 1 by default. */
	readonly attempts?: number;
	readonly unit?: string | null;
	readonly requestId: string;
	readonly startMs: number;
	readonly plan?: string;
	readonly routeName?: string;
	readonly durationMs?: number;
	readonly status?: number;
	/** Field number of ResponseFlags. */
	readonly flag?: number;
	readonly cluster?: string;
	/** Dynamic metadata under the namespace, as the sidecar sets it. */
	readonly metadata?: Readonly<Record<string, string>>;
	readonly namespace?: string;
	/** Request headers that Envoy logs. */
	readonly headers?: Readonly<Record<string, string>>;
	readonly principal?: string;
	readonly path?: string;
	/** POST; PURGE is one that Envoy's enumeration lacks. */
	readonly method?: "GET" | "POST" | "OPTIONS" | "PURGE";
	readonly codeDetails?: string;
	/** Bytes of the request's headers on the wire; Envoy counts them for HTTP/1.1 only. */
	readonly headerBytes?: number;
}

/** As RBAC leaves it of a request that it refused, or let pass, on whatever route. */
export const JUDGED: Pick<Entry, "metadata" | "namespace"> = {
	metadata: { weir_allow_enforced_engine_result: "denied" },
	namespace: "envoy.filters.http.rbac",
};

/** One request of a unit under a plan, begun and ended. */
export function sent(unit: string, plan: string, startMs: number): Entry[] {
	return (["start", "end"] as const).map((kind) => ({ kind, unit, plan, requestId: `${unit}-${startMs}`, startMs }));
}

/** Requests whose unit a filter makes, as Envoy logs them: the start comes first, without the unit. */
export function withStarts(entries: readonly Entry[]): Entry[] {
	const first = new Map(entries.toReversed().map((entry) => [entry.requestId, entry]));
	return [...first.values()]
		.map(
			({ requestId, startMs, plan }): Entry => ({
				kind: "start",
				unit: null,
				requestId,
				startMs,
				...(plan === undefined ? {} : { plan }),
			}),
		)
		.concat(entries);
}

/** One StreamAccessLogsMessage, with the fields that Weir reads and some that it skips. */
export function encode(entries: readonly Entry[], from: { node: string; log: string } | null = null): Buffer {
	const writer = new BinaryWriter();
	if (from !== null) {
		writer.tag(1, 2).fork().tag(1, 2).fork().tag(1, 2).string(from.node).join().tag(2, 2).string(from.log).join();
	}
	writer.tag(2, 2).fork();
	for (const entry of entries) encodeEntry(writer.tag(1, 2).fork(), entry).join();
	return Buffer.from(writer.join().finish());
}

/** Writes one HTTPAccessLogEntry into a writer that stands inside it. */
export function encodeEntry(writer: BinaryWriter, entry: Entry): BinaryWriter {
	const experiment = entry.unit === null ? "-" : "models";
	const duration = entry.durationMs ?? 5;
	writer.tag(1, 2).fork();
	if (entry.principal !== undefined) {
		const peer = writer.tag(4, 2).fork().tag(5, 2).fork();
		peer.tag(1, 2).fork().tag(2, 2).string("dns.test").join();
		peer.tag(1, 2).fork().tag(1, 2).string(entry.principal).join();
		peer.join().join();
	}
	writer
		.tag(5, 2)
		.fork()
		.tag(1, 0)
		.int64(Math.floor(entry.startMs / 1e3))
		.tag(2, 0)
		.int32((entry.startMs % 1e3) * 1e6)
		.join();
	if (entry.cluster !== undefined) writer.tag(15, 2).string(entry.cluster);
	if (entry.flag !== undefined) writer.tag(16, 2).fork().tag(entry.flag, 0).bool(true).join();
	if (entry.metadata !== undefined) {
		const namespace = entry.namespace ?? "envoy.filters.http.ext_authz";
		const struct = writer.tag(17, 2).fork().tag(1, 2).fork().tag(1, 2).string(namespace).tag(2, 2).fork();
		// As ext_authz does: a number among the texts.
		struct.tag(1, 2).fork().tag(1, 2).string("ext_authz_duration").tag(2, 2).fork().tag(2, 1).double(1).join().join();
		for (const [key, value] of Object.entries(entry.metadata)) {
			struct.tag(1, 2).fork().tag(1, 2).string(key).tag(2, 2).fork().tag(3, 2).string(value).join().join();
		}
		struct.join().join().join();
	}
	writer.tag(19, 2).string(entry.routeName ?? `weir|${entry.plan ?? "p1"}|shop|${experiment}`);
	const attempts = entry.attempts ?? (entry.kind === "periodic" ? 1 : 0);
	if (attempts > 0) writer.tag(24, 0).uint32(attempts);
	if (entry.kind === "end") {
		writer
			.tag(23, 2)
			.fork()
			.tag(1, 0)
			.int64(Math.floor(duration / 1e3))
			.tag(2, 0)
			.int32(Math.round((duration % 1e3) * 1e6))
			.join();
	}
	writer.tag(33, 0).int32({ start: 4, periodic: 5, end: 6, sent: 7 }[entry.kind]).join();
	const method = { PURGE: 0, GET: 1, POST: 3, OPTIONS: 7 }[entry.method ?? "POST"];
	writer.tag(3, 2).fork().tag(1, 0).int32(method).tag(3, 2).string("shop.test");
	writer.tag(5, 2).string(entry.path ?? "/v2/models/m/infer");
	writer.tag(9, 2).string(entry.requestId);
	if (typeof entry.unit === "string") {
		writer.tag(13, 2).fork().tag(1, 2).string("x-user-id").tag(2, 2).string(entry.unit).join();
	}
	for (const [name, value] of Object.entries(entry.headers ?? {})) {
		writer.tag(13, 2).fork().tag(1, 2).string(name).tag(2, 2).string(value).join();
	}
	if (entry.headerBytes !== undefined) writer.tag(15, 0).uint64(entry.headerBytes);
	writer.join();
	if (entry.headerBytes !== undefined) writer.tag(2, 0).int32(2);
	if (entry.kind === "end") {
		writer.tag(4, 2).fork();
		writer
			.tag(1, 2)
			.fork()
			.tag(1, 0)
			.uint32(entry.status ?? 200)
			.join();
		writer
			.tag(6, 2)
			.string(entry.codeDetails ?? "via_upstream")
			.join();
	}
	return writer;
}

/** Counters by name and labels, as a test reads them. */
export class TestMeter implements Meter {
	readonly counts = new Map<string, number>();
	readonly gauges = new Map<string, number>();

	count(name: string, _help: string, labels: Labels = {}, by = 1): void {
		const key = seriesKey(name, labels);
		this.counts.set(key, (this.counts.get(key) ?? 0) + by);
	}

	gauge(name: string, _help: string, value: number, labels: Labels = {}): void {
		this.gauges.set(seriesKey(name, labels), value);
	}

	observe(): void {}
}

export function seriesKey(name: string, labels: Labels): string {
	return `${name}${Object.keys(labels).length === 0 ? "" : JSON.stringify(labels)}`;
}

export interface Rig {
	readonly directory: string;
	readonly accessLogSocket: string;
	readonly httpSocket: string;
	readonly meter: TestMeter;
	/** Lines of the log, fields included. */
	readonly lines: string[];
	nowMs: number;
	ingest: Ingest;
	/** Sends entries through the gRPC socket and waits until the server has read them. */
	send(entries: readonly Entry[], from?: { readonly node: string; readonly log: string }): Promise<void>;
	post(body: unknown, headers?: Readonly<Record<string, string>>): Promise<HttpAnswer>;
	restart(): Promise<void>;
	/** Starts again after the test has closed `ingest` itself. */
	reopen(): Promise<void>;
	/** Call of any path on the HTTP socket. */
	call(method: string, path: string, body: string, headers?: Readonly<Record<string, string>>): Promise<HttpAnswer>;
	close(): Promise<void>;
}

export interface HttpAnswer {
	readonly status: number;
	readonly json: unknown;
	readonly headers: Readonly<Record<string, unknown>>;
}

/** How the API names the owner of the machine there, who may read all. */
const AS_OWNER = { [CALLER_HEADER]: encodeCaller("local:owner"), [NAMESPACES_HEADER]: encodeNamespaces(null) };

/** A request on ingest's UNIX socket, by the local owner unless the headers name another. */
export function httpCall(
	socketPath: string,
	method: string,
	path: string,
	body: string | Buffer,
	headers: Readonly<Record<string, string>> = {},
): Promise<HttpAnswer> {
	return new Promise((resolve, reject) => {
		const sent = request(
			{ socketPath, method, path, headers: { "content-type": "application/json", ...AS_OWNER, ...headers } },
			(response) => {
				let text = "";
				response.setEncoding("utf8");
				response.on("data", (chunk: string) => {
					text += chunk;
				});
				response.on("error", reject);
				response.on("end", () => {
					resolve({
						status: response.statusCode ?? 0,
						json: text === "" ? null : JSON.parse(text),
						headers: response.headers,
					});
				});
			},
		);
		sent.on("error", reject);
		sent.end(body);
	});
}

/** Behind a real Envoy: by the wall clock, as in production, with the plans that the test puts there. Closed with `t`. */
/** A Service that lets anyone in under /ok, and denies all else. */
export const GUARDED: ResourceSet = resourceSet({
	services: [service("guarded", [variant("v1", 9)], { access: null })],
	accessPolicies: [accessPolicy("ok", "allow", ["guarded"], { principals: ["anyone"], pathPrefixes: ["/ok"] })],
});

export async function startLiveRig(
	t: { teardown(run: () => Promise<void>): unknown },
	over: Partial<IngestOptions> = {},
) {
	const plans = new Map<string, PlanTable>();
	const rig = await startRig({
		plans: async (version) => plans.get(version) ?? null,
		clock: Date.now,
		exposureSettlesMs: EXPOSURE_SETTLES_MS,
		...over,
	});
	t.teardown(() => rig.close());
	const collectors = { accessLogSocket: rig.accessLogSocket, tracesSocket: null, traceSamplingPercent: 0 };
	/** Compiles a plan, and ingest knows it. */
	const planOf = (resources: ResourceSet, options: Partial<CompileOptions> = {}): CompiledPlan => {
		const plan = compile(resources, EMPTY_STATUS, { collectors, ...options });
		plans.set(plan.version, plan.table);
		return plan;
	};
	return { rig, plans, collectors, planOf };
}

/** A running ingest with a clock that the test moves; `nowMs` starts at 1,000,000. */
export async function startRig(over: Partial<IngestOptions> = {}): Promise<Rig> {
	const directory = mkdtempSync(join(tmpdir(), "weir-ingest-"));
	const meter = new TestMeter();
	const lines: string[] = [];
	const line =
		(level: string) =>
		(message: string, fields: Labels = {}): void => {
			lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
		};
	const options: IngestOptions = {
		dataDirectory: join(directory, "data"),
		accessLogSocket: join(directory, "als.sock"),
		httpSocket: join(directory, "http.sock"),
		plans: async (version) => PLANS[version] ?? null,
		newestPlan: async () => null,
		metrics: async () => METRICS,
		clock: () => rig.nowMs,
		// At once, whatever times a test gives its requests.
		exposureSettlesMs: Number.NEGATIVE_INFINITY,
		meter,
		metricsJson: async () => [],
		log: { info: line("info"), warn: line("warn"), error: line("error") },
		...over,
	};
	const rig: Rig = {
		directory,
		accessLogSocket: options.accessLogSocket,
		httpSocket: options.httpSocket,
		meter,
		lines,
		nowMs: 1_000_000,
		ingest: null as unknown as Ingest,
		async send(entries, from) {
			const stream = new AccessLogStream(options.accessLogSocket);
			for (let at = 0; at < entries.length; at += 500) {
				await stream.write(encode(entries.slice(at, at + 500), at === 0 ? from : null));
			}
			await stream.end();
		},
		post: (body, headers) =>
			httpCall(
				options.httpSocket,
				"POST",
				"/v1/outcomes",
				typeof body === "string" ? body : JSON.stringify(body),
				headers,
			),
		call: (method, path, body, headers) => httpCall(options.httpSocket, method, path, body, headers),
		async restart() {
			await rig.ingest.close();
			await rig.reopen();
		},
		async reopen() {
			rig.ingest = await startIngest(options);
		},
		async close() {
			await rig.ingest.close();
			rmSync(directory, { recursive: true, force: true });
		},
	};
	rig.ingest = await startIngest(options);
	return rig;
}
