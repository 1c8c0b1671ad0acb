/** Input of ingest: Envoy's access log, and outcomes from any client. */
import { create, toBinary } from "@bufbuild/protobuf";
import { denialOf } from "../../src/compile/envoy/denial.js";
import { WeirError } from "../../src/error.js";
import { StreamAccessLogsMessageSchema } from "../../src/gen/envoy/service/accesslog/v3/als_pb.js";
import {
	decodeEntry,
	decodeIdentifier,
	decodeMessage,
} from "../../src/observe/events/receive/accessLog/entryDecoder.js";
import { AGENT_REPORT_AGE_MAX_MS, readEnvoyReport } from "../../src/observe/events/receive/accessLog/envoyReport.js";
import { bodyMode, readRows } from "../../src/observe/events/receive/outcomes/outcomeBody.js";
import { poisoned, RECEIVED_SECONDS } from "../observe/events/receive/accessLog/poison.js";
import { appendEntries } from "./entryAppend.js";
import { refusing, type Target, text } from "./target.js";

const accessLog = Buffer.from(
	toBinary(
		StreamAccessLogsMessageSchema,
		create(StreamAccessLogsMessageSchema, {
			identifier: { node: { id: "edge" }, logName: "weir|edge" },
			logEntries: {
				case: "httpLogs",
				value: {
					logEntry: [
						{
							commonProperties: {
								routeName: "weir|1|guarded|e",
								upstreamCluster: "guarded/v1",
								startTime: { seconds: 1n, nanos: 5 },
							},
							request: { requestId: "r", requestHeaders: { "x-user-id": "u1" } },
							response: { responseCode: 200, responseCodeDetails: "via_upstream" },
						},
					],
				},
			},
		}),
	),
);

/** Of an Experiment's unit, at its start and at its end. */
const exposing = [4, 6].map((kind) =>
	poisoned({ start: { seconds: RECEIVED_SECONDS - 5n, nanos: 7 }, duration: { seconds: 5n } }, { kind, unit: "u1" }),
);

async function accessLogs(input: Buffer): Promise<void> {
	// BinaryReader throws Error; the intake counts any error as a broken message (intake.ts).
	refusing([Error], () => {
		decodeIdentifier(input);
		decodeMessage(input, (entry) => {
			denialOf(entry.codeDetails);
			decodeEntry(input.subarray(entry.at, entry.end));
		});
	});
	await appendEntries(input);
}

const MEDIA = [
	"application/json",
	"application/x-ndjson",
	"application/cloudevents+json",
	"application/cloudevents-batch+json",
];

function outcomes(input: Buffer): void {
	const body = input.toString("utf8");
	for (const type of MEDIA) {
		const headers = { "content-type": type };
		refusing([WeirError], () => {
			const mode = bodyMode(headers);
			if (mode === null) throw new Error(`no mode for ${type}`);
			readRows(mode, body, headers);
		});
	}
	bodyMode({ "content-type": text(input) });
}

export const EVENT_TARGETS: readonly Target[] = [
	{ name: "access-log", seeds: [accessLog, ...exposing], weight: 2, run: accessLogs },
	{
		name: "outcomes",
		seeds: [
			'{"outcomes":[{"metric":"m","value":1,"unit":"u1","time":"2026-01-01T00:00:00Z"}]}',
			'{"metric":"m","value":1,"requestId":"r"}\n{"metric":"m","value":0,"unit":"u2"}',
			'{"specversion":"1.0","id":"1","type":"t","source":"s","data":{"metric":"m","value":1}}',
		].map((seed) => Buffer.from(seed)),
		weight: 1,
		run: outcomes,
	},
	{
		name: "envoy-report",
		seeds: [
			'{"node":"edge","instance":"a","dropped":{"entries":2,"sinceAgoMs":3},"drained":false}',
			'{"node":"edge","instance":"a","dropped":null,"drained":true}',
		].map((seed) => Buffer.from(seed)),
		weight: 1,
		run: (input) => {
			const ms = readEnvoyReport(input)?.dropped?.sinceAgoMs ?? 0;
			if (!(ms >= 0 && ms <= AGENT_REPORT_AGE_MAX_MS)) throw new Error(`${ms} ms ago`);
		},
	},
	{
		name: "denial-details",
		seeds: ["rbac_access_denied_matched_policy[(not_canonical)]", "jwt_authn_access_denied{Jwt_is_missing}"].map(
			(seed) => Buffer.from(seed),
		),
		weight: 1,
		run: (input) => void denialOf(text(input)),
	},
];
