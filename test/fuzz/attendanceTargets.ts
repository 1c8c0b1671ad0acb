/** What control reads of keepers of other machines' Envoys, and what they read of control. */

import { isIP } from "node:net";
import { toBinary } from "@bufbuild/protobuf";
import type { ProbeAnswer } from "../../src/access/bypass/reach.js";
import {
	AttendedSchema,
	type Question as QuestionMessage,
	QuestionSchema,
} from "../../src/gen/weir/probe/v1/attendance_pb.js";
import { Attendance } from "../../src/xds/attendance/attendance.js";
import {
	AttendanceServiceDefinition,
	type Question,
	readQuestion,
	readSaid,
	type Said,
	writeQuestion,
	writeSaid,
} from "../../src/xds/attendance/service.js";
import { never, refusing, type Target } from "./target.js";

const { requestDeserialize, responseDeserialize } = AttendanceServiceDefinition.attend;

const said = (one: Said): Buffer => Buffer.from(toBinary(AttendedSchema, writeSaid(one)));
const asked = (number: number, one: Question): Buffer =>
	Buffer.from(toBinary(QuestionSchema, writeQuestion(number, one)));

/** As attendances.ts does, where a page and a probe are asked. */
async function attended(input: Buffer): Promise<void> {
	const attendance = new Attendance({ write: () => true }, () => {});
	const page = attendance.page({ page: "ready" }, () => {}).catch(() => null);
	const probe = attendance.probe({
		way: { address: "127.0.0.1", port: 80, tls: "none" },
		host: "a.test",
		guard: "rules",
	});
	let message: Said | null = null;
	refusing([Error], () => {
		message = readSaid(requestDeserialize(input));
	});
	const { answer = null } = (message ?? {}) as { readonly answer?: ProbeAnswer | null };
	if (/[^\x20-\x7e]/.test(answer?.why ?? "")) never("a line break in a log");
	refusing([TypeError], () => {
		if (message !== null) attendance.take(message);
	});
	attendance.end();
	await Promise.all([page, probe]);
}

/** As answering.ts does; gRPC has refused what is no message. */
function question(input: Buffer): void {
	let message: QuestionMessage | null = null;
	refusing([Error], () => {
		message = responseDeserialize(input);
	});
	const read = message === null ? null : readQuestion(message);
	if (read === null) return;
	if ("page" in read) {
		if (!["ready", "server-info", "listeners", "counters"].includes(read.page.page)) never("another page");
	} else if (isIP(read.way.address) === 0 || /[\s\0]/.test(read.host)) never("a way to nowhere");
}

export const ATTENDANCE_TARGETS: readonly Target[] = [
	{
		name: "attended",
		seeds: [
			said({ kind: "hello", node: "edge", keeper: "1" }),
			said({ kind: "part", question: 1, part: "listener: 1\n" }),
			said({ kind: "page-end", question: 1, status: 200, unread: null }),
			said({ kind: "page-end", question: 1, status: 0, unread: "late" }),
			said({ kind: "answer", question: 2, answer: { status: 403, body: "access denied: forbidden\n" } }),
			said({ kind: "answer", question: 2, answer: { status: null, body: "", why: "ECONNREFUSED: no" } }),
			said({ kind: "answer", question: 2, answer: null }),
		],
		weight: 1,
		run: attended,
	},
	{
		name: "attendance-question",
		seeds: [
			asked(1, { page: { page: "counters", filter: "^a|b$" } }),
			asked(2, { page: { page: "listeners" } }),
			asked(3, { way: { address: "::1", port: 443, tls: "mesh" }, host: "shop.test", guard: "gate" }),
		],
		weight: 1,
		run: question,
	},
];
