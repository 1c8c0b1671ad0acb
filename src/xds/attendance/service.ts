/** The attendance service (weir.probe.v1) as grpc-js needs it, and its messages as plain values. */

import { isIP } from "node:net";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { MethodDefinition } from "@grpc/grpc-js";
import type { Guard } from "../../access/bypass/probe.js";
import type { AdminPage, ListenerWay, ProbeAnswer, UnreadKind } from "../../access/bypass/reach.js";
import {
	type Attended,
	AttendedSchema,
	PageName,
	ProbeGuard,
	ProbeTls,
	type Question as QuestionMessage,
	QuestionSchema,
	Unread,
} from "../../gen/weir/probe/v1/attendance_pb.js";
import {
	ATTENDANCE_BODY_CHARS_MAX,
	ATTENDANCE_FIELDS_MAX,
	ATTENDANCE_FILTER_CHARS_MAX,
	ATTENDANCE_WHY_CHARS_MAX,
} from "../../limits.js";
import { readBounded } from "../boundedMessage.js";

const method: MethodDefinition<Attended, QuestionMessage> = {
	path: "/weir.probe.v1.Attendance/Attend",
	requestStream: true,
	responseStream: true,
	requestSerialize: (attended) => Buffer.from(toBinary(AttendedSchema, attended)),
	requestDeserialize: (bytes) => readBounded(AttendedSchema, bytes, ATTENDANCE_FIELDS_MAX),
	responseSerialize: (question) => Buffer.from(toBinary(QuestionSchema, question)),
	responseDeserialize: (bytes) => readBounded(QuestionSchema, bytes, ATTENDANCE_FIELDS_MAX),
};

export const AttendanceServiceDefinition = { attend: method };

/** What control may ask of the keeper of an Envoy: this, and nothing else. */
export type Question =
	| { readonly page: AdminPage }
	| { readonly way: ListenerWay; readonly host: string; readonly guard: Guard };

const PAGES = {
	[PageName.READY]: "ready",
	[PageName.SERVER_INFO]: "server-info",
	[PageName.LISTENERS]: "listeners",
	[PageName.COUNTERS]: "counters",
} as const;
const GUARDS = { [ProbeGuard.GATE]: "gate", [ProbeGuard.RULES]: "rules" } as const;
const TLS = { [ProbeTls.NONE]: "none", [ProbeTls.UNPROVED]: "unproved", [ProbeTls.MESH]: "mesh" } as const;
const UNREAD = {
	[Unread.NOBODY]: "nobody",
	[Unread.BROKEN]: "broken",
	[Unread.LATE]: "late",
	[Unread.LARGE]: "large",
	[Unread.REFUSED]: "refused",
} as const;

/** Of an enumeration, by the word. */
function numberOf<Word extends string>(words: Readonly<Record<number, Word>>, word: Word): number {
	return Number(Object.entries(words).find(([, one]) => one === word)?.[0] ?? 0);
}

/** A host as Services have them: nothing that could end a header, or be another one. */
const HOST = /^[A-Za-z0-9._:[\]-]{1,255}$/;

/** @returns null = nothing that is answered */
export function readQuestion({ asked }: QuestionMessage): Question | null {
	if (asked.case === "page") {
		const page = (PAGES as Readonly<Record<number, AdminPage["page"]>>)[asked.value.name];
		const { filter } = asked.value;
		if (page === undefined || filter.length > ATTENDANCE_FILTER_CHARS_MAX) return null;
		return { page: page === "counters" ? { page, filter } : { page } };
	}
	if (asked.case !== "probe") return null;
	const { address, port, host } = asked.value;
	const guard = (GUARDS as Readonly<Record<number, Guard>>)[asked.value.guard];
	const tls = (TLS as Readonly<Record<number, ListenerWay["tls"]>>)[asked.value.tls];
	if (guard === undefined || tls === undefined || isIP(address) === 0 || port < 1 || port > 65_535) return null;
	return HOST.test(host) ? { way: { address, port, tls }, host, guard } : null;
}

export function writeQuestion(number: number, question: Question): QuestionMessage {
	if ("page" in question) {
		const { page } = question;
		const filter = page.page === "counters" ? page.filter : "";
		return create(QuestionSchema, {
			number,
			asked: { case: "page", value: { name: numberOf(PAGES, page.page), filter } },
		});
	}
	const { way, host, guard } = question;
	const value = {
		address: way.address,
		port: way.port,
		host,
		guard: numberOf(GUARDS, guard),
		tls: numberOf(TLS, way.tls),
	};
	return create(QuestionSchema, { number, asked: { case: "probe", value } });
}

export type Said =
	| { readonly kind: "hello"; readonly node: string; readonly keeper: string }
	| { readonly kind: "part"; readonly question: number; readonly part: string }
	/** `unread`: why it was not read to its end; null = it was. */
	| {
			readonly kind: "page-end";
			readonly question: number;
			readonly status: number;
			readonly unread: UnreadKind | null;
	  }
	/** null = it could not be sent. */
	| { readonly kind: "answer"; readonly question: number; readonly answer: ProbeAnswer | null };

/** @returns null = nothing that a keeper says */
export function readSaid({ question, said }: Attended): Said | null {
	switch (said.case) {
		case "hello":
			return question === 0 ? { kind: "hello", node: said.value.node, keeper: said.value.keeper } : null;
		case "part":
			return { kind: "part", question, part: said.value };
		case "pageEnd": {
			const { status, unread } = said.value;
			if (status !== 0) return { kind: "page-end", question, status, unread: null };
			const kind = (UNREAD as Readonly<Record<number, UnreadKind>>)[unread] ?? "broken";
			return { kind: "page-end", question, status, unread: kind };
		}
		case "probeAnswer": {
			const { status, body, why, unsent } = said.value;
			if (unsent) return { kind: "answer", question, answer: null };
			if (status === 0) return { kind: "answer", question, answer: { status: null, body: "", why: plain(why) } };
			const short = body.length <= ATTENDANCE_BODY_CHARS_MAX;
			return { kind: "answer", question, answer: { status, body: short ? body : "" } };
		}
		default:
			return null;
	}
}

export const writeSaid = (said: Said): Attended =>
	create(AttendedSchema, { question: said.kind === "hello" ? 0 : said.question, said: saidOf(said) });

function saidOf(said: Said): NonNullable<MessageInitShape<typeof AttendedSchema>["said"]> {
	switch (said.kind) {
		case "hello":
			return { case: "hello", value: { node: said.node, keeper: said.keeper } };
		case "part":
			return { case: "part", value: said.part };
		case "page-end": {
			const { unread } = said;
			// Of what only control's own side knows the keeper has no word.
			const kind = unread === null || unread === "unattended" ? 0 : numberOf(UNREAD, unread);
			return { case: "pageEnd", value: { status: unread === null ? said.status : 0, unread: kind } };
		}
		case "answer": {
			const { answer } = said;
			if (answer === null) return { case: "probeAnswer", value: { unsent: true } };
			const { status, body, why = "" } = answer;
			const short = body.length <= ATTENDANCE_BODY_CHARS_MAX ? body : "";
			return { case: "probeAnswer", value: { status: status ?? 0, body: short, why: plain(why) } };
		}
	}
}

/** Of another machine: it stands in our log. */
const plain = (why: string): string => why.slice(0, ATTENDANCE_WHY_CHARS_MAX).replaceAll(/[^\x20-\x7e]/g, "?");
