/** Access-log entries with numbers that no Envoy writes. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { HTTPAccessLogEntrySchema } from "../../../../../src/gen/envoy/data/accesslog/v3/accesslog_pb.js";
import { StreamAccessLogsMessageSchema } from "../../../../../src/gen/envoy/service/accesslog/v3/als_pb.js";

export interface Numbers {
	readonly status?: number;
	readonly start?: { readonly seconds?: bigint; readonly nanos?: number };
	readonly duration?: { readonly seconds?: bigint; readonly nanos?: number };
}

/** Time of receipt in seconds: late enough for an entry older than the oldest accepted one. */
export const RECEIVED_SECONDS = 4_000_000n;

const DAY = 24n * 60n * 60n;

/** Invalid entries by their fault. */
export const POISON: readonly (readonly [of: "status" | "start" | "duration", numbers: Numbers])[] = [
	["status", { status: 1_000 }],
	["status", { status: 70_000 }],
	["status", { status: 2 ** 32 - 1 }],
	["start", { start: { seconds: 2n ** 62n } }],
	["start", { start: { seconds: -(2n ** 63n) } }],
	["start", { start: { seconds: -1n } }],
	["start", { start: { seconds: RECEIVED_SECONDS, nanos: -1 } }],
	["start", { start: { seconds: RECEIVED_SECONDS, nanos: 1_000_000_000 } }],
	["start", { start: { seconds: RECEIVED_SECONDS + DAY + 1n } }],
	["start", { start: { seconds: RECEIVED_SECONDS - 31n * DAY - 1n } }],
	["start", { start: {} }],
	["duration", { duration: { seconds: -1n } }],
	["duration", { duration: { nanos: -1 } }],
	["duration", { duration: { nanos: 1_000_000_000 } }],
	["duration", { duration: { seconds: 2n ** 62n } }],
	["duration", { duration: { seconds: 31n * DAY + 1n } }],
];

/** The outermost that an Envoy may write. */
export const SOUND: readonly Numbers[] = [
	{ status: 0 },
	{ status: 999 },
	{ start: { seconds: RECEIVED_SECONDS + DAY } },
	{ start: { seconds: RECEIVED_SECONDS - 31n * DAY } },
	{ start: { seconds: RECEIVED_SECONDS, nanos: 999_999_999 } },
	{ duration: {} },
	{ duration: { seconds: 31n * DAY } },
];

/** A message of one entry, which ends a denied request of the unit. */
export function poisoned(
	{ status = 403, start = { seconds: RECEIVED_SECONDS }, duration = { nanos: 5 } }: Numbers,
	more: {
		readonly kind?: number;
		readonly unit?: string;
		readonly routeName?: string;
		readonly from?: { readonly node: string; readonly log: string };
	} = {},
): Buffer {
	const { unit = "poison-1", routeName = "weir|p1|shop|models", from, kind = 6 } = more;
	const entry: MessageInitShape<typeof HTTPAccessLogEntrySchema> = {
		commonProperties: { accessLogType: kind, routeName, startTime: start, duration },
		request: { requestId: "poison", requestHeaders: { "x-user-id": unit } },
		response: { responseCode: status, responseCodeDetails: "ext_authz_denied" },
	};
	const message = create(StreamAccessLogsMessageSchema, {
		...(from === undefined ? {} : { identifier: { node: { id: from.node }, logName: from.log } }),
		logEntries: { case: "httpLogs", value: { logEntry: [entry] } },
	});
	return Buffer.from(toBinary(StreamAccessLogsMessageSchema, message));
}
