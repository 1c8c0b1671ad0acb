/** ExternalProcessor/Process on the wire: one reply of the same kind for each message, with the same decision as Check. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import t from "tap";
import type { ServiceTable } from "../../../src/compile/plan/compiledPlan.js";
import {
	type HeaderMutation,
	ProcessingRequestSchema,
	type ProcessingResponse,
	ProcessingResponseSchema,
} from "../../../src/gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Knowledge } from "../../../src/publish/sidecar/answer.js";
import { compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import { AnswerCounters } from "../../../src/publish/sidecar/counters.js";
import { type Given, GrpcFailure, type StreamHandler } from "../../../src/publish/sidecar/grpc/service.js";
import { PROCESS, sidecarMethods } from "../../../src/publish/sidecar/methods.js";
import { mulberry32 } from "../../envoy/units.js";
import { arm, experimentTable, serviceTable } from "./calloutTable.js";
import { NOBODY_ASKED } from "./question.js";

const ALICE = "spiffe://weir.test/alice";
const everyone = [arm("all", "v2", 0, 1_000_000, { parameters: { "x-weir-param-k": "5" } })];
const cookie = { from: "cookie", cookie: "wid", maxAgeMs: 60_000 } as const;
const SERVICES: readonly ServiceTable[] = [
	serviceTable("open"),
	serviceTable("treated", { experiments: [experimentTable("e", everyone)] }),
	serviceTable("two", {
		experiments: [
			experimentTable("e", everyone, { slotHiPpm: 500_000 }),
			experimentTable("f", everyone, { slotLoPpm: 500_000 }),
		],
	}),
	serviceTable("cookies", { experiments: [experimentTable("e", everyone, { unit: cookie })] }),
	serviceTable("guarded", {
		access: {
			open: false,
			policies: [
				{
					name: "alice",
					action: "allow",
					principals: [ALICE],
					methods: ["POST"],
					pathPrefixes: ["/v2"],
					variants: [],
					shadow: false,
					more: null,
				},
			],
		},
	}),
];
const table = compileTable({ version: "plan-1", table: { gateways: [], services: SERVICES } });
const knowledge: Knowledge = {
	tables: { get: () => table },
	freshness: { ageMs: () => 0 },
	mint: () => "minted",
	...NOBODY_ASKED,
};

type Message = MessageInitShape<typeof ProcessingRequestSchema>;
type Headers = readonly (readonly [string, string])[];

const bytesOf = (message: Message): Buffer =>
	Buffer.from(toBinary(ProcessingRequestSchema, create(ProcessingRequestSchema, message)));
const headerMap = (headers: Headers) => ({
	headers: { headers: headers.map(([key, value]) => ({ key, rawValue: Buffer.from(value, "latin1") })) },
});
const PSEUDO: Headers = [
	[":method", "POST"],
	[":path", "/v2/x?y"],
	[":authority", "treated.test:80"],
	[":scheme", "https"],
];
const requestHeaders = (headers: Headers = [], more: Message = {}): Message => ({
	request: { case: "requestHeaders", value: headerMap([...PSEUDO, ...headers]) },
	...more,
});
const responseHeaders = (status: string): Message => ({
	request: { case: "responseHeaders", value: headerMap([[":status", status]]) },
});
const identity = (principal: string, key = "envoy.filters.http.ext_proc"): Message => ({
	attributes: { [key]: { "connection.mtls": true, "connection.uri_san_peer_certificate": principal } },
});

function open(
	service: string,
	context: Readonly<Record<string, string>> = {},
	options: Partial<Parameters<typeof sidecarMethods>[0]> = {},
): StreamHandler {
	const method = sidecarMethods({ ...knowledge, ...options }).get(PROCESS);
	if (method?.kind !== "stream") throw new Error("no Process");
	return method.open({ "weir-service": service, "weir-plan": "plan-1", "weir-expose": "1", ...context });
}

function decoded(reply: Given): ProcessingResponse {
	if (reply instanceof Promise) throw new Error("an answer at once was due");
	if (reply instanceof GrpcFailure) throw new Error(`${reply.code} ${reply.message}`);
	return fromBinary(ProcessingResponseSchema, reply);
}

const send = (stream: StreamHandler, message: Message): ProcessingResponse => decoded(stream.message(bytesOf(message)));

/** Headers set, only ever as bytes: Envoy refuses a header with both fields. */
function mutation(found: HeaderMutation | undefined) {
	const set = (found?.setHeaders ?? []).map(({ header, append, appendAction }) => {
		if (append !== (appendAction === 0 ? true : undefined)) throw new Error("Envoy would not append");
		if (header?.value !== "") throw new Error("Envoy refuses a header with value and raw_value");
		return [header?.key, Buffer.from(header?.rawValue ?? []).toString(), appendAction];
	});
	return { set, removed: found?.removeHeaders ?? [] };
}

function common(response: ProcessingResponse, kind: "requestHeaders" | "responseHeaders") {
	if (response.response.case !== kind) throw new Error(`a reply of kind ${response.response.case}`);
	const value = response.response.value.response;
	return { ...mutation(value?.headerMutation), clear: value?.clearRouteCache ?? false };
}

t.test("request headers get the decision, and a new route only if it must change", async (t) => {
	const plain = send(open("open"), requestHeaders());
	t.same(common(plain, "requestHeaders"), { set: [], removed: [], clear: false });
	t.same(plain.dynamicMetadata, {
		weir: { plan: "plan-1", service: "open", variant: "v1", verdict: "allow", reason: "open" },
	});
	t.equal(plain.modeOverride, undefined, "nothing is to be done to the response");
	const treated = send(open("treated"), requestHeaders([["x-user-id", "u1"]]));
	t.same(common(treated, "requestHeaders"), {
		set: [
			["x-weir-variant", "v2", 2],
			["x-weir-arm", "e/all", 2],
			["x-weir-param-k", "5", 2],
		],
		removed: [],
		clear: true,
	});
	t.match(treated.dynamicMetadata, { weir: { experiment: "e", arm: "all", unit: "u1", variant: "v2" } });
	t.match(treated.modeOverride, { responseHeaderMode: 1, responseBodyMode: 0, requestBodyMode: 0 });
	t.equal(send(open("treated", { "weir-expose": "0" }), requestHeaders([["x-user-id", "u1"]])).modeOverride, undefined);
	t.match(send(open("open", { "weir-observe": "1" }), requestHeaders()).modeOverride, { responseHeaderMode: 1 });
	const assigned = { "weir-variant": "v2", "weir-experiment": "e", "weir-arm": "all" };
	const native = send(open("treated", assigned), requestHeaders([["x-user-id", "u1"]]));
	t.same(common(native, "requestHeaders"), { set: [], removed: [], clear: false });
	t.equal(native.modeOverride, undefined);
});

t.test("forged headers are removed, and a forged Variant chooses no route", async (t) => {
	const forged = common(send(open("open"), requestHeaders([["x-weir-param-a", "1"]])), "requestHeaders");
	t.same([forged.removed, forged.clear], [["x-weir-param-a"], false]);
	const variant = common(send(open("open"), requestHeaders([["x-weir-variant", "v2"]])), "requestHeaders");
	t.same([variant.removed, variant.clear], [["x-weir-variant"], true]);
});

t.test("the response gets the arms and the cookie, and loses headers forged by an upstream", async (t) => {
	const counters = new AnswerCounters();
	const of = (service: string, headers: Headers) => {
		const stream = open(service, {}, { observer: counters });
		send(stream, requestHeaders(headers));
		return common(send(stream, responseHeaders("200")), "responseHeaders");
	};
	t.same(of("treated", [["x-user-id", "u1"]]).set, [["x-weir-arm", "e/all", 2]]);
	const two = of("two", [["x-user-id", "u1"]]).set;
	t.same(
		two.map(([, , action]) => action),
		[2, 0],
		"one value a line, the first in place of an upstream's",
	);
	t.same(of("two", []), { set: [], removed: ["x-weir-arm"], clear: false });
	t.same(of("open", []), { set: [], removed: [], clear: false });
	const minted = of("cookies", []).set;
	t.same(minted, [
		["x-weir-arm", "e/all", 2],
		["set-cookie", "wid=minted; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure", 0],
	]);
	const stream = open("treated", {}, { observer: counters });
	send(stream, requestHeaders([["x-user-id", "u2"]]));
	send(stream, responseHeaders("503"));
	const odd = open("treated", {}, { observer: counters });
	send(odd, requestHeaders([["x-user-id", "u2"]]));
	send(odd, responseHeaders("9999"));
	t.same(
		counters.responses().filter(({ service }) => service === "treated"),
		[
			{ service: "treated", variant: "v2", statusClass: "2xx", count: 1 },
			{ service: "treated", variant: "v2", statusClass: "5xx", count: 1 },
			{ service: "treated", variant: "v2", statusClass: "-", count: 1 },
		],
	);
});

t.test("a denial is an immediate response, with the identity from the certificate alone", async (t) => {
	const denied = send(open("guarded"), requestHeaders([["x-forwarded-client-cert", `URI=${ALICE}`]]));
	t.equal(denied.response.case, "immediateResponse");
	if (denied.response.case !== "immediateResponse") return;
	const { status, body, details, headers, grpcStatus } = denied.response.value;
	t.same(
		[status?.code, Buffer.from(body).toString(), details, grpcStatus],
		[403, "access denied: no-policy-allows\n", "weir_no_policy_allows", undefined],
	);
	t.same(mutation(headers).set, [], "one header beyond Envoy's mutation rules would lose them all");
	t.match(denied.dynamicMetadata, { weir: { verdict: "deny", reason: "no-policy-allows" } });
	t.equal(send(open("guarded"), requestHeaders([], identity(ALICE))).response.case, "requestHeaders");
	for (const other of [identity(`${ALICE}x`), identity(""), identity(ALICE, "other.filter")]) {
		t.equal(send(open("guarded"), requestHeaders([], other)).response.case, "immediateResponse");
	}
	const unknown = open("unknown").message(bytesOf(requestHeaders()));
	t.match(decoded(unknown).response, { value: { details: "weir_unknown_service" } });
	const byHost = send(open(""), requestHeaders());
	t.match(byHost.dynamicMetadata, { weir: { service: "treated" } }, "an Envoy that is not ours names no Service");
});

t.test("every other message gets exactly the empty reply of its kind", async (t) => {
	const stream = open("treated");
	t.equal(send(stream, responseHeaders("200")).response.case, "responseHeaders", "even before the request's headers");
	send(stream, requestHeaders());
	for (const kind of ["requestBody", "responseBody"] as const) {
		const { response } = send(stream, {
			request: { case: kind, value: { body: Buffer.from("x"), endOfStream: true } },
		});
		t.equal(response.case, kind);
		t.notOk((response.value as { response?: unknown }).response, "unchanged");
	}
	for (const kind of ["requestTrailers", "responseTrailers"] as const) {
		t.equal(send(stream, { request: { case: kind, value: {} } }).response.case, kind);
	}
});

t.test("an unreadable message ends the stream, and so does a missing answer", async (t) => {
	const observer = new AnswerCounters();
	for (const bytes of [
		Buffer.alloc(0),
		Buffer.from([0x12]),
		bytesOf({ observabilityMode: true }),
		Buffer.concat([bytesOf(requestHeaders()), bytesOf({ request: { case: "requestBody", value: {} } })]),
		Buffer.from([0x10, 0x01]),
	]) {
		t.match(open("open", {}, { observer }).message(bytes), { code: 3, message: "malformed" }, bytes.toString("hex"));
	}
	const twice = open("open", {}, { observer });
	send(twice, requestHeaders());
	t.match(twice.message(bytesOf(requestHeaders())), { code: 3 }, "a request has one head");
	t.match(open("open", {}, { observer, tables: { get: () => null } }).message(bytesOf(requestHeaders())), {
		code: 14,
		message: "no-table",
	});
	t.same(observer.answers(), [
		{ protocol: "ext_proc", service: "open", verdict: "allow", reason: "open", count: 1 },
		{ protocol: "ext_proc", service: "-", verdict: "none", reason: "no-table", count: 1 },
		{ protocol: "ext_proc", service: "-", verdict: "none", reason: "malformed", count: 6 },
	]);
});

t.test("20,000 broken messages get a readable reply or a closed failure", async (t) => {
	const random = mulberry32(3);
	const below = (count: number): number => Math.floor(random() * count);
	const whole = bytesOf(
		requestHeaders(
			[
				["x-user-id", "u1"],
				["cookie", "a=b"],
			],
			identity(ALICE),
		),
	);
	let replies = 0;
	for (let round = 0; round < 20_000; round++) {
		const message = Buffer.from(whole);
		for (let change = 1 + below(3); change > 0; change--) message[below(message.length)] = below(256);
		const reply = open("guarded").message(message.subarray(0, below(4) === 0 ? below(message.length) : message.length));
		if (reply instanceof GrpcFailure || reply instanceof Promise) continue;
		replies++;
		const { response } = decoded(reply);
		if (response.case === "requestHeaders" && !message.includes(ALICE)) t.fail(`allowed: ${message.toString("hex")}`);
	}
	t.ok(replies > 2_000 && replies < 19_000, `${replies} replies`);
});
