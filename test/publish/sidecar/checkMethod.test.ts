/** Authorization/Check on the wire: the bytes of each answer, its counters and its spans. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { trace } from "@opentelemetry/api";
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import t from "tap";
import type { ServiceTable } from "../../../src/compile/plan/compiledPlan.js";
import {
	CheckRequestSchema,
	type CheckResponse,
	CheckResponseSchema,
} from "../../../src/gen/envoy/service/auth/v3/external_auth_pb.js";
import type { Knowledge } from "../../../src/publish/sidecar/answer.js";
import { compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import { AnswerCounters } from "../../../src/publish/sidecar/counters.js";
import { type Given, GrpcFailure, type Reply } from "../../../src/publish/sidecar/grpc/service.js";
import { CHECK, sidecarMethods } from "../../../src/publish/sidecar/methods.js";
import { arm, experimentTable, serviceTable } from "./calloutTable.js";
import { NOBODY_ASKED } from "./question.js";

const ALICE = "spiffe://weir.test/alice";
const exporter = new InMemorySpanExporter();
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();
t.teardown(() => trace.disable());

const everyone = [arm("all", "v2", 0, 1_000_000, { parameters: { "x-weir-param-k": "5" } })];
const SERVICES: readonly ServiceTable[] = [
	serviceTable("open"),
	serviceTable("treated", { experiments: [experimentTable("e", everyone)] }),
	serviceTable("two", {
		experiments: [
			experimentTable("e", everyone, { slotHiPpm: 500_000 }),
			experimentTable("f", everyone, { slotLoPpm: 500_000 }),
		],
	}),
	serviceTable("cookies", {
		experiments: [experimentTable("e", everyone, { unit: { from: "cookie", cookie: "wid", maxAgeMs: 60_000 } })],
	}),
	serviceTable("guarded", {
		access: {
			open: false,
			policies: [
				{
					name: "alice",
					action: "allow",
					principals: [ALICE],
					methods: [],
					pathPrefixes: [],
					variants: ["v2"],
					shadow: false,
					more: null,
				},
			],
		},
		experiments: [experimentTable("e", everyone, { unit: { from: "cookie", cookie: "wid", maxAgeMs: 60_000 } })],
	}),
];
const PROXY = "spiffe://weir.test/proxy";
const GATEWAYS = [{ name: "edge", region: null, issuers: [], trustedProxies: [PROXY] }];
const table = compileTable({ version: "plan-1", table: { gateways: GATEWAYS, services: SERVICES } });
const knowledge: Knowledge = {
	tables: { get: () => table },
	freshness: { ageMs: () => 0 },
	mint: () => "minted",
	...NOBODY_ASKED,
};

interface Asked {
	readonly service: string;
	readonly headers?: readonly (readonly [string, string])[];
	readonly principal?: string;
	readonly expose?: boolean;
	readonly context?: Readonly<Record<string, string>>;
}

type Attributes = NonNullable<MessageInitShape<typeof CheckRequestSchema>["attributes"]>;

function bytesOf({ service, headers = [], principal = "", expose = true, context = {} }: Asked): Buffer {
	const attributes: Attributes = {
		source: { principal },
		request: {
			http: {
				method: "GET",
				path: "/v2",
				host: "x",
				headerMap: { headers: headers.map(([key, value]) => ({ key, rawValue: Buffer.from(value, "latin1") })) },
			},
		},
		contextExtensions: {
			"weir-service": service,
			"weir-plan": "plan-1",
			"weir-expose": expose ? "1" : "0",
			...context,
		},
	};
	return Buffer.from(toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes })));
}

function check(
	asked: Asked | Buffer,
	options: Partial<Parameters<typeof sidecarMethods>[0]> = {},
	metadata = {},
): Reply {
	const method = sidecarMethods({ ...knowledge, ...options }).get(CHECK);
	if (method?.kind !== "unary") throw new Error("no Check");
	const reply = method.handle(Buffer.isBuffer(asked) ? asked : bytesOf(asked), metadata);
	if (reply instanceof Promise) throw new Error("an answer at once was due");
	return reply;
}

function decoded(reply: Given): CheckResponse {
	if (reply instanceof Promise) throw new Error("an answer at once was due");
	if (reply instanceof GrpcFailure) throw new Error(`${reply.code} ${reply.message}`);
	return fromBinary(CheckResponseSchema, reply);
}

/** The answer as plain values; every header has the same text in both of its value fields. */
function seen(reply: Reply) {
	const response = decoded(reply);
	const { case: kind, value } = response.httpResponse;
	const options = (
		list: readonly {
			header?: { key: string; value: string; rawValue: Uint8Array } | undefined;
			appendAction: number;
		}[],
	) =>
		list.map(({ header, appendAction }) => {
			if (Buffer.from(header?.rawValue ?? []).toString() !== header?.value) throw new Error("the two values differ");
			return [header?.key, header?.value, appendAction];
		});
	return {
		status: response.status?.code,
		kind,
		http: kind === "deniedResponse" ? value.status?.code : undefined,
		body: kind === "deniedResponse" ? value.body : undefined,
		headers: options(value?.headers ?? []),
		removed: kind === "okResponse" ? [...value.headersToRemove].sort() : [],
		response: kind === "okResponse" ? options(value.responseHeadersToAdd) : [],
		metadata: response.dynamicMetadata,
	};
}

const [APPEND, OVERWRITE] = [0, 2];

t.test("an allowed request gets headers in order, its arm, and metadata of strings only", async (t) => {
	t.same(seen(check({ service: "open" })), {
		status: 0,
		kind: "okResponse",
		http: undefined,
		body: undefined,
		headers: [],
		removed: [],
		response: [],
		metadata: { plan: "plan-1", service: "open", variant: "v1", verdict: "allow", reason: "open" },
	});
	t.same(seen(check({ service: "treated", headers: [["x-user-id", "u1"]] })), {
		status: 0,
		kind: "okResponse",
		http: undefined,
		body: undefined,
		headers: [
			["x-weir-variant", "v2", OVERWRITE],
			["x-weir-arm", "e/all", OVERWRITE],
			["x-weir-param-k", "5", OVERWRITE],
		],
		removed: [],
		response: [["x-weir-arm", "e/all", OVERWRITE]],
		metadata: {
			plan: "plan-1",
			service: "treated",
			experiment: "e",
			arm: "all",
			variant: "v2",
			unit: "u1",
			verdict: "allow",
			reason: "open",
		},
	});
	const hidden = seen(check({ service: "treated", headers: [["x-user-id", "u1"]], expose: false }));
	t.same(hidden.response, []);
	const two = seen(check({ service: "two", headers: [["x-user-id", "u1"]] })).response;
	t.equal(two.length, 1, "one line, as Envoy loses the second of two");
	t.match(two[0]?.[1], /^(e\/all, f\/-|f\/all, e\/-)$/);
	t.same(seen(check({ service: "two" })).response, [], "ext_authz cannot remove a response header");
});

t.test("forged headers of the client are removed, headers verified by Envoy stay", async (t) => {
	const headers = [
		["x-weir-arm", "forged"],
		["x-weir-variant", "forged"],
		["x-weir-param-secret", "1"],
		["x-weir-param-secret", "2"],
		["x-weir-claim-sub", "verified"],
		["x-weird", "1"],
	] as const;
	const removed = ["x-weir-arm", "x-weir-param-secret", "x-weir-variant"];
	t.same(seen(check({ service: "open", headers })).removed, removed);
	const treated = seen(check({ service: "treated", headers: [...headers, ["x-user-id", "u1"]] }));
	t.same(treated.removed, ["x-weir-param-secret"], "a header that is set overwrites the client's");
	t.equal(treated.headers.length, 3);
	t.same(treated.metadata?.unit, "u1");
});

t.test("a minted unit is set, assigned and reported in the same response", async (t) => {
	const minted = seen(check({ service: "cookies", headers: [["x-forwarded-proto", "https"]] }));
	const cookie = "wid=minted; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure";
	t.same(minted.response, [
		["x-weir-arm", "e/all", OVERWRITE],
		["set-cookie", cookie, APPEND],
	]);
	t.equal(minted.metadata?.unit, "minted");
	t.equal(minted.metadata?.arm, "all");
	const kept = seen(check({ service: "cookies", headers: [["cookie", "wid=mine"]] }));
	t.equal(kept.metadata?.unit, "mine");
	t.same(kept.response, [["x-weir-arm", "e/all", OVERWRITE]]);
});

t.test("a denied request gets 403, the reason, its arm in the metadata, and its assignment cookie", async (t) => {
	const denied = seen(check({ service: "guarded", headers: [["x-weir-arm", "forged"]] }));
	t.same(denied, {
		status: 7,
		kind: "deniedResponse",
		http: 403,
		body: "access denied: no-policy-allows\n",
		headers: [
			["content-type", "text/plain", OVERWRITE],
			["x-weir-arm", "e/all", OVERWRITE],
			["set-cookie", "wid=minted; Max-Age=60; Path=/; HttpOnly; SameSite=Lax", OVERWRITE],
		],
		removed: [],
		response: [],
		metadata: {
			plan: "plan-1",
			service: "guarded",
			experiment: "e",
			arm: "all",
			variant: "v2",
			unit: "minted",
			verdict: "deny",
			reason: "no-policy-allows",
		},
	});
	const allowed = seen(check({ service: "guarded", principal: ALICE }));
	t.equal(allowed.kind, "okResponse");
	t.equal(allowed.metadata?.policy, "alice", "the policy that decided is named");
	const unknown = seen(check({ service: "unknown" }));
	t.match(unknown, { http: 403, body: "access denied: unknown-service\n" });
	t.same(unknown.metadata, { plan: "plan-1", verdict: "deny", reason: "unknown-service" });
});

t.test("with the arm from Envoy, the sidecar judges the Variant and leaves the rest to the route", async (t) => {
	const context = { "weir-variant": "v2", "weir-experiment": "e", "weir-arm": "all" };
	const answer = seen(check({ service: "guarded", principal: ALICE, context }));
	t.same([answer.headers, answer.response, answer.removed], [[], [], []]);
	t.match(answer.metadata, { experiment: "e", arm: "all", variant: "v2", verdict: "allow", policy: "alice" });
	t.equal(answer.metadata?.unit, undefined);
	t.equal(seen(check({ service: "guarded", principal: ALICE, context: { "weir-variant": "v1" } })).http, 403);
});

t.test("a missing answer is a failed call with the reason, never a message", async (t) => {
	const none = check({ service: "open" }, { tables: { get: () => null } });
	t.match(none, { code: 14, message: "no-table" });
	t.match(check({ service: "guarded" }, { freshness: { ageMs: () => 1e9 } }), { code: 14, message: "stale-table" });
	for (const broken of [Buffer.alloc(0), Buffer.from([0x0a]), Buffer.from("GET / HTTP/1.1\r\n\r\n")]) {
		t.match(check(broken), { code: 3, message: "malformed" });
	}
});

t.test("long units and thousands of forged headers fit into the answer", async (t) => {
	const unit = "u".repeat(65_536);
	const forged = Array.from({ length: 5_000 }, (_, index) => [`x-weir-param-${index}`, ""] as const);
	const answer = seen(check({ service: "treated", headers: [["x-user-id", unit], ...forged] }));
	t.equal(answer.metadata?.unit, unit);
	t.equal(answer.removed.length, 5_000);
	t.equal(answer.headers.length, 3);
	t.equal(seen(check({ service: "treated", headers: [["x-user-id", `${unit}u`]] })).metadata?.unit, undefined);
});

t.test("answers are counted by Service and reason", async (t) => {
	const observer = new AnswerCounters();
	for (let index = 0; index < 3; index++)
		check({ service: "treated", headers: [["x-user-id", `u${index}`]] }, { observer });
	check({ service: "guarded" }, { observer });
	check({ service: "gone" }, { observer });
	check(Buffer.alloc(0), { observer });
	check({ service: "open" }, { observer, tables: { get: () => null } });
	const protocol = "ext_authz";
	t.same(observer.answers(), [
		{ protocol, service: "treated", verdict: "allow", reason: "open", count: 3 },
		{ protocol, service: "guarded", verdict: "deny", reason: "no-policy-allows", count: 1 },
		{ protocol, service: "-", verdict: "deny", reason: "unknown-service", count: 1 },
		{ protocol, service: "-", verdict: "none", reason: "no-table", count: 1 },
		{ protocol, service: "-", verdict: "none", reason: "malformed", count: 1 },
	]);
});

t.test("a sampled request has a span under Envoy's, an unsampled one has none", async (t) => {
	const parent = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
	const asked = { service: "treated", headers: [["x-user-id", "secret-unit"]] } as const;
	for (const traceparent of [
		undefined,
		"",
		`00-${parent}-00`,
		`ff-${parent}-01`,
		`00-${"0".repeat(32)}-b7ad6b7169203331-01`,
	]) {
		check(asked, {}, { traceparent });
	}
	t.same(exporter.getFinishedSpans(), []);
	check(asked, {}, { traceparent: `00-${parent}-01` });
	check(Buffer.alloc(0), {}, { traceparent: `00-${parent}-01` });
	const [span, broken] = exporter.getFinishedSpans();
	t.match(span, { name: "weir.decision", kind: 1, parentSpanContext: { spanId: "b7ad6b7169203331" } });
	t.equal(span?.spanContext().traceId, "0af7651916cd43dd8448eb211c80319c");
	t.same(span?.attributes, {
		"weir.protocol": "ext_authz",
		"weir.verdict": "allow",
		"weir.reason": "open",
		"weir.plan": "plan-1",
		"weir.service": "treated",
		"weir.arm": "e/all",
	});
	t.match(broken, { attributes: { "weir.verdict": "none", "weir.reason": "malformed" }, status: { code: 2 } });
});

t.test("the metadata names the judged client and the proxy that forwarded it", async (t) => {
	const metadata = (principal: string, ...ids: readonly string[]) =>
		seen(
			check({
				service: "guarded",
				principal,
				context: { "weir-gateway": "edge" },
				headers: ids.map((id) => ["x-weir-forwarded-cert", `URI=${id}`] as const),
			}),
		).metadata;
	t.match(metadata(PROXY, ALICE), { verdict: "allow", principal: ALICE, via: PROXY });
	t.match(metadata(PROXY, `${ALICE}2`), { verdict: "deny", principal: `${ALICE}2`, via: PROXY });
	t.match(metadata(PROXY), { verdict: "deny", principal: undefined, via: PROXY });
	t.match(metadata(ALICE, `${ALICE}2`), { verdict: "allow", principal: undefined, via: undefined });
});
