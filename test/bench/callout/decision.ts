/**
 * CPU per decision without gRPC: decode, answer and encode, for both protocols, with the requests of an Envoy before a browser.
 * Run: `node dist/test/bench/callout/decision.js`; it prints a table.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { CheckRequestSchema } from "../../../src/gen/envoy/service/auth/v3/external_auth_pb.js";
import { ProcessingRequestSchema } from "../../../src/gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { answer, type Knowledge } from "../../../src/publish/sidecar/answer.js";
import { CheckRequestReader } from "../../../src/publish/sidecar/checkRequest.js";
import { compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import { mintUnit } from "../../../src/publish/sidecar/cookie.js";
import { AnswerCounters } from "../../../src/publish/sidecar/counters.js";
import { CHECK, PROCESS, sidecarMethods } from "../../../src/publish/sidecar/methods.js";
import { arm, calloutTable, experimentTable, serviceTable } from "../../publish/sidecar/calloutTable.js";
import { NOBODY_ASKED } from "../../publish/sidecar/question.js";

const ROUNDS = 200_000;
const REQUESTS = 1_000;

const table = compileTable({
	version: "00112233aabbccdd",
	table: {
		gateways: [],
		services: [
			serviceTable("ranker", {
				access: {
					open: false,
					policies: Array.from({ length: 10 }, (_, index) => ({
						name: `policy-${index}`,
						action: index === 0 ? "deny" : "allow",
						principals: [index === 0 ? "spiffe://weir.test/mallory" : `spiffe://weir.test/caller-${index}`],
						methods: ["GET", "POST"],
						pathPrefixes: ["/v2"],
						variants: [],
						shadow: false,
						more: null,
					})),
				},
				callout: calloutTable({ verdict: true, assignment: true }),
				experiments: [experimentTable("ranking", [arm("a", "v1", 0, 500_000), arm("b", "v2", 500_000, 1_000_000)])],
			}),
		],
	},
});
const knowledge: Knowledge = {
	tables: { get: () => table },
	freshness: { ageMs: () => 0 },
	mint: mintUnit,
	...NOBODY_ASKED,
};

const browser: readonly (readonly [string, string])[] = [
	[":authority", "ranker.test:8443"],
	[":path", "/v2/models/ranker/infer?trace=1"],
	[":method", "POST"],
	[":scheme", "https"],
	[
		"user-agent",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	],
	["accept", "application/json, text/plain, */*"],
	["accept-encoding", "gzip, deflate, br, zstd"],
	["accept-language", "en-GB,en;q=0.9,de;q=0.8"],
	["content-type", "application/json"],
	["content-length", "482"],
	["origin", "https://app.ranker.test"],
	["cookie", "session=4f8a1d2c9b7e6f50; theme=dark"],
	["x-forwarded-for", "10.1.2.3"],
	["x-forwarded-proto", "https"],
	["x-request-id", "717569c4-29f0-4549-8b1e-6b1d5ddc9f44"],
];
const raw = (key: string, value: string) => ({ key, rawValue: Buffer.from(value, "latin1") });
const headersOf = (index: number) =>
	[...browser, ["x-user-id", `user-${index * 7919}`] as const].map(([k, v]) => raw(k, v));
const principal = "spiffe://weir.test/caller-5";
const context = { "weir-plan": "00112233aabbccdd", "weir-service": "ranker", "weir-expose": "1" };

const checks = Array.from({ length: REQUESTS }, (_, index) =>
	Buffer.from(
		toBinary(
			CheckRequestSchema,
			create(CheckRequestSchema, {
				attributes: {
					source: { principal },
					destination: { principal: "spiffe://weir.test/gateway" },
					request: {
						time: { seconds: 1_790_000_000n, nanos: 1 },
						http: {
							id: "5920923856935300439",
							method: "POST",
							path: "/v2/models/ranker/infer?trace=1",
							host: "ranker.test:8443",
							scheme: "https",
							protocol: "HTTP/2",
							headerMap: { headers: headersOf(index) },
						},
					},
					contextExtensions: context,
					metadataContext: {},
					routeMetadataContext: {},
				},
			}),
		),
	),
);
const processings = Array.from({ length: REQUESTS }, (_, index) =>
	Buffer.from(
		toBinary(
			ProcessingRequestSchema,
			create(ProcessingRequestSchema, {
				request: { case: "requestHeaders", value: { headers: { headers: headersOf(index) } } },
				attributes: { "envoy.filters.http.ext_proc": { "connection.uri_san_peer_certificate": principal } },
			}),
		),
	),
);

function time(name: string, once: (index: number) => unknown): void {
	for (let index = 0; index < ROUNDS / 4; index++) once(index % REQUESTS);
	const before = process.cpuUsage();
	for (let index = 0; index < ROUNDS; index++) once(index % REQUESTS);
	const { user, system } = process.cpuUsage(before);
	process.stdout.write(`${name.padEnd(42)} ${((user + system) / ROUNDS).toFixed(2)} µs\n`);
}

const methods = sidecarMethods({ ...knowledge, observer: new AnswerCounters() });
const check = methods.get(CHECK);
const process_ = methods.get(PROCESS);
if (check?.kind !== "unary" || process_?.kind !== "stream") throw new Error("the sidecar lacks a method");
const reader = new CheckRequestReader();
const message = (list: readonly Buffer[], index: number): Buffer => list[index] ?? Buffer.alloc(0);
time("Check: decode", (index) => reader.read(message(checks, index)));
time("Check: decode, answer", (index) => answer(knowledge, reader.read(message(checks, index))));
time("Check: decode, answer, encode, count", (index) => check.handle(message(checks, index), {}));
time("Process: decode, answer, encode, count", (index) => process_.open(context).message(message(processings, index)));
