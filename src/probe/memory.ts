/** What the built-in probe remembers from one round to the next, as a file: text, line by line, with a digest at its end. */
import { createHash } from "node:crypto";
import { setImmediate as breath } from "node:timers/promises";
import type { ProbeAlarm } from "../access/bypass/probe.js";
import type { PastAlarm } from "../access/bypass/servedPast.js";
import type { Owed, UnjudgedAlarm } from "../access/bypass/unjudged.js";
import { anyText, flag, integer, list, members, object, oneOf, orNull, pair, text } from "../jsonShape.js";
import type { JudgedMemory } from "./judgedCounts.js";
import type { PastMemory } from "./pastCounts.js";
import type { Reading } from "./reading.js";

export interface ProbeMemory {
	/** The last one that could be made; of what is past the Gateways, what it began with. null = none was. */
	readonly reading: Reading | null;
	readonly judged: JudgedMemory;
	readonly past: PastMemory;
	/** Alarms of probes that stand, by what was probed. */
	readonly raised: ReadonlyMap<string, ProbeAlarm>;
}

/** The first line; another one is another version's, or no such file. */
const HEAD = "weir probe memory 1";
const DIGEST = /^sha256 ([0-9a-f]{64})$/;
const COUNTER = /^([flp]) ([0-9]+) (.+)$/;

/** Others have a turn after so many lines: some milliseconds. */
const LINES_AT_ONCE = 5_000;

/** In parts, between which others have their turn. */
export async function writeMemory({ reading, judged, past, raised }: ProbeMemory): Promise<Buffer> {
	const digest = createHash("sha256");
	const parts: Buffer[] = [];
	const put = (lines: readonly string[]): void => {
		const part = Buffer.from(`${lines.join("\n")}\n`);
		digest.update(part);
		parts.push(part);
	};
	const facts = {
		process: reading?.process ?? null,
		judged: { standing: judged.standing, owed: [...judged.owed], changed: [...judged.changed] },
		past: { standing: past.standing, owed: [...past.owed], changed: past.changed },
		raised: [...raised],
	};
	put([HEAD, JSON.stringify(facts)]);
	let lines: string[] = [];
	for (const [letter, counters] of [
		["f", reading?.first],
		["l", reading?.last],
		["p", reading?.passed.first],
	] as const) {
		for (const [name, value] of counters ?? []) {
			lines.push(`${letter} ${value} ${name}`);
			if (lines.length < LINES_AT_ONCE) continue;
			put(lines);
			lines = [];
			await breath();
		}
	}
	if (lines.length > 0) put(lines);
	return Buffer.concat([...parts, Buffer.from(`sha256 ${digest.digest("hex")}\n`)]);
}

/**
 * Likewise.
 * @throws TypeError where it is torn, another version's, or no such file
 */
export async function readMemory(bytes: Buffer): Promise<ProbeMemory> {
	const digest = createHash("sha256");
	const counters = { f: new Map<string, number>(), l: new Map<string, number>(), p: new Map<string, number>() };
	let facts: Facts | null = null;
	let begin = 0;
	for (let line = 0; ; line++) {
		const end = bytes.indexOf(0x0a, begin);
		if (end === -1) throw new TypeError("it is cut off");
		const text = bytes.toString("utf8", begin, end);
		const told = DIGEST.exec(text)?.[1];
		if (line === 0 && text !== HEAD) throw new TypeError("it is another version's, or none");
		if (told !== undefined) {
			if (told !== digest.digest("hex") || end + 1 !== bytes.length) throw new TypeError("it was changed");
			break;
		}
		digest.update(bytes.subarray(begin, end + 1));
		if (line === 1) facts = factsOf(JSON.parse(text));
		if (line > 1) {
			const [, letter, value, name] = COUNTER.exec(text) ?? [];
			if (name === undefined) throw new TypeError("it has another shape");
			counters[letter as keyof typeof counters].set(name, Number(value));
		}
		begin = end + 1;
		if (line % LINES_AT_ONCE === LINES_AT_ONCE - 1) await breath();
	}
	if (facts === null) throw new TypeError("it is cut off");
	const { process, judged, past, raised } = facts;
	const passed = { first: counters.p, last: counters.p };
	return {
		reading: process === null ? null : { first: counters.f, last: counters.l, passed, process },
		judged: { ...judged, owed: new Map(judged.owed), changed: new Set(judged.changed) },
		past: { ...past, owed: new Map(past.owed) },
		raised: new Map(raised),
	};
}

interface Facts {
	readonly process: Reading["process"] | null;
	readonly judged: {
		readonly standing: readonly UnjudgedAlarm[];
		readonly owed: readonly (readonly [string, Owed])[];
		readonly changed: readonly string[];
	};
	readonly past: {
		readonly standing: readonly PastAlarm[];
		readonly owed: readonly (readonly [string, number])[];
		readonly changed: boolean;
	};
	readonly raised: readonly (readonly [string, ProbeAlarm])[];
}

/** @throws TypeError where it has another shape */
function factsOf(json: unknown): Facts {
	try {
		return FACTS(json);
	} catch (error) {
		throw new TypeError("it has another shape", { cause: error });
	}
}

const count = integer(0);
const whole = integer(Number.MIN_SAFE_INTEGER);
const byJudge = object<Owed["sent"]>({ envoy: count, sidecar: count });
const place = { gateway: text, service: text };

type Of<Name> = Extract<ProbeAlarm, { readonly alarm: Name }>;

/** Of probes, by their names. */
const RAISED = {
	"probe-passed": object<Of<"probe-passed">>({ alarm: oneOf("probe-passed"), ...place, status: whole }),
	"probe-misjudged": object<Of<"probe-misjudged">>({
		alarm: oneOf("probe-misjudged"),
		...place,
		guard: oneOf("gate", "rules"),
		status: whole,
	}),
	"probe-unanswered": object<Of<"probe-unanswered">>({
		alarm: oneOf("probe-unanswered"),
		...place,
		status: orNull(whole),
		why: orNull(anyText),
	}),
};
const raisedAlarm = oneOf("probe-passed", "probe-misjudged", "probe-unanswered");

const FACTS = object<Facts>({
	process: orNull(object<Reading["process"]>({ startedMs: orNull(whole), epoch: orNull(whole) })),
	judged: object<Facts["judged"]>({
		standing: list(
			object<UnjudgedAlarm>({
				alarm: oneOf("served-unjudged"),
				gateway: text,
				services: list(text),
				judgedBy: oneOf("envoy", "sidecar"),
				served: count,
			}),
		),
		owed: list(pair(text, object<Owed>({ sent: byJudge, answered: byJudge }))),
		changed: list(text),
	}),
	past: object<Facts["past"]>({
		standing: list(
			object<PastAlarm>({ alarm: oneOf("served-past-gateways"), gateway: oneOf(""), service: text, served: count }),
		),
		owed: list(pair(text, count)),
		changed: flag,
	}),
	raised: list(pair(text, (value) => RAISED[raisedAlarm(members(value).alarm)](value) as ProbeAlarm)),
});
