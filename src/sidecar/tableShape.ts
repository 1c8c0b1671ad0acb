/**
 * Whether JSON is a table that can be executed. Strict: what this Weir does not know it refuses, because a rule that
 * is passed over is a door left open. The checks are bound to the types of compiler/plan.ts: a field that is added
 * there and not here does not compile.
 */
import { compileAssignment } from "../assignment/assign.js";
import { contentHash } from "../assignment/hash.js";
import type {
	AccessTable,
	ArmTable,
	CalloutTable,
	ExperimentTable,
	PlanTable,
	PolicyTable,
	ServiceTable,
	UnitTable,
} from "../compiler/plan.js";
import { WeirError } from "../error.js";
import { ARMS_MAX, PPM } from "../limits.js";
import type { VersionedTable } from "./tables.js";

/** Where a value stands, e.g. ["Service employment", "Experiment boosted", "arms"]. */
type Place = readonly string[];
type Check<Value> = (value: unknown, at: Place) => Value;
type Fields<Value> = { readonly [Key in keyof Value]-?: Check<Value[Key]> };

const HINT = "control and sidecar must be of one version of Weir";

/**
 * @param json UTF-8 text of a PlanTable, exactly as its version was computed of it
 * @throws WeirError `invalid-argument` that says where and what; never half a table
 */
export function readTable(version: string, json: string): VersionedTable {
	let value: unknown;
	try {
		value = JSON.parse(json);
	} catch (error) {
		// The parser's words quote the text.
		throw new WeirError("invalid-argument", "the table is not JSON", "", { cause: error });
	}
	const hash = contentHash(json);
	if (hash !== version) {
		const message = `the table's content has the hash ${hash}, but its version is ${shown(version)}`;
		throw new WeirError("invalid-argument", message, "it was cut off or changed on its way");
	}
	return { version, table: planTable(value, []) };
}

function fail(at: Place, what: string): never {
	throw new WeirError("invalid-argument", `${at.length === 0 ? "the table" : at.join(", ")}: ${what}`, HINT);
}

/** Short enough for a log line, and without anything that is not printable. */
const shown = (text: string): string => JSON.stringify(text.slice(0, 64).replace(/[^ -~]/g, "?"));

function kindOf(value: unknown): string {
	if (value === null) return "null";
	if (Array.isArray(value)) return "a list";
	return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function members(value: unknown, at: Place): Readonly<Record<string, unknown>> {
	if (typeof value !== "object" || value === null || Array.isArray(value)) {
		fail(at, `is ${kindOf(value)}, not an object`);
	}
	return value as Readonly<Record<string, unknown>>;
}

/** Exactly these fields. */
function object<Value extends object>(fields: Fields<Value>): Check<Value> {
	const checks = Object.entries(fields) as [string, Check<unknown>][];
	return (value, at) => {
		const given = members(value, at);
		for (const key of Object.keys(given)) {
			if (!Object.hasOwn(fields, key)) fail(at, `has the unknown field ${shown(key)}`);
		}
		for (const [key, check] of checks) {
			if (!Object.hasOwn(given, key)) fail(at, `has no field ${key}`);
			check(given[key], [...at, key]);
		}
		return value as Value;
	};
}

/** @param label how words name an item, if it has a name; then it stands for the list's own field */
function list<Item>(item: Check<Item>, label: string | null = null): Check<readonly Item[]> {
	return (value, at) => {
		if (!Array.isArray(value)) fail(at, `is ${kindOf(value)}, not a list`);
		const names = new Set<string>();
		for (const [index, one] of value.entries()) {
			const name: unknown = label === null ? null : (one as { readonly name?: unknown } | null)?.name;
			const place = [
				...at.slice(0, -1),
				typeof name === "string" ? `${label} ${plain(name)}` : `${at.at(-1)}[${index}]`,
			];
			item(one, place);
			if (typeof name !== "string") continue;
			if (names.has(name)) fail(place, "is there twice");
			names.add(name);
		}
		return value as readonly Item[];
	};
}

const plain = (name: string): string => name.slice(0, 200).replace(/[^ -~]/g, "?");

const text: Check<string> = (value, at) => {
	if (typeof value !== "string") fail(at, `is ${kindOf(value)}, not a text`);
	if (!/^[^\p{Cc}]+$/u.test(value)) fail(at, "is empty or holds a control character");
	return value;
};

const flag: Check<boolean> = (value, at) => {
	if (typeof value !== "boolean") fail(at, `is ${kindOf(value)}, neither true nor false`);
	return value;
};

function integer(min: number, max = Number.MAX_SAFE_INTEGER): Check<number> {
	return (value, at) => {
		if (typeof value !== "number") fail(at, `is ${kindOf(value)}, not a number`);
		if (!Number.isSafeInteger(value) || value < min || value > max) {
			fail(at, `is ${value}, not an integer from ${min} to ${max}`);
		}
		return value;
	};
}

function oneOf<Word extends string>(...words: readonly Word[]): Check<Word> {
	return (value, at) => {
		const found = words.find((word) => word === value);
		if (found === undefined) {
			fail(at, `is ${typeof value === "string" ? shown(value) : kindOf(value)}, not one of ${words.join(", ")}`);
		}
		return found;
	};
}

function orNull<Value>(check: Check<Value>): Check<Value | null> {
	return (value, at) => (value === null ? null : check(value, at));
}

const texts: Check<Readonly<Record<string, string>>> = (value, at) => {
	for (const [key, one] of Object.entries(members(value, at))) {
		text(key, [...at, "name"]);
		text(one, [...at, plain(key)]);
	}
	return value as Readonly<Record<string, string>>;
};

const uint64: Check<string> = (value, at) => {
	if (!/^(0|[1-9]\d{0,19})$/.test(text(value, at)) || BigInt(value as string) >= 2n ** 64n) {
		fail(at, "is no unsigned 64-bit integer");
	}
	return value as string;
};

const unitFields: { readonly [From in UnitTable["from"]]: Check<UnitTable> } = {
	header: object<Extract<UnitTable, { from: "header" }>>({ from: oneOf("header"), header: text }),
	claim: object<Extract<UnitTable, { from: "claim" }>>({ from: oneOf("claim"), header: text, claim: text }),
	cookie: object<Extract<UnitTable, { from: "cookie" }>>({ from: oneOf("cookie"), cookie: text, maxAgeMs: integer(1) }),
};

const unit: Check<UnitTable> = (value, at) => {
	const from = oneOf("header", "claim", "cookie")(members(value, at).from, [...at, "from"]);
	return unitFields[from](value, at);
};

const arm = object<ArmTable>({
	name: text,
	variant: text,
	baseline: flag,
	loPpm: integer(0, PPM),
	hiPpm: integer(0, PPM),
	livePoints: integer(0, PPM),
	parameters: texts,
});

const experimentFields = object<ExperimentTable>({
	name: text,
	unit,
	layerSeed: uint64,
	slotLoPpm: integer(0, PPM),
	slotHiPpm: integer(0, PPM),
	salt: text,
	arms: list(arm, "arm"),
	exposing: flag,
	takeover: orNull(
		object<NonNullable<ExperimentTable["takeover"]>>({ arm: text, variant: text, ppm: integer(0, PPM) }),
	),
});

const experiment: Check<ExperimentTable> = (value, at) => {
	const table = experimentFields(value, at);
	const { arms, slotLoPpm, slotHiPpm, takeover } = table;
	if (slotLoPpm >= slotHiPpm) fail(at, `the slot from ${slotLoPpm} to ${slotHiPpm} holds nothing`);
	if (arms.length > ARMS_MAX) fail(at, `has ${arms.length} arms, more than ${ARMS_MAX}`);
	let next = 0;
	for (const { name, loPpm, hiPpm, livePoints } of arms) {
		const place = [...at, `arm ${plain(name)}`];
		if (loPpm !== next || hiPpm < loPpm)
			fail(place, `its region is ${loPpm} to ${hiPpm}, where one from ${next} is due`);
		if (livePoints > hiPpm - loPpm) fail(place, `${livePoints} points are live in a region of ${hiPpm - loPpm}`);
		next = hiPpm;
	}
	if (next !== PPM) fail(at, `the regions of its arms end at ${next}, not at ${PPM}`);
	if (takeover !== null && !arms.some(({ name }) => name === takeover.arm)) {
		fail(at, `the arm ${shown(takeover.arm)} that takes over is none of its arms`);
	}
	try {
		compileAssignment(table);
	} catch (error) {
		fail(at, `cannot be executed: ${error instanceof Error ? error.message : "unknown error"}`);
	}
	return table;
};

const policyFields = object<PolicyTable>({
	name: text,
	action: oneOf("allow", "deny"),
	principals: list(text),
	methods: list(text),
	pathPrefixes: list(text),
	variants: list(text),
});

/** No principal means everyone, which only a denial may mean. */
const policy: Check<PolicyTable> = (value, at) => {
	const table = policyFields(value, at);
	if (table.action === "allow" && table.principals.length === 0) fail(at, "allows without naming a principal");
	return table;
};

const calloutFields = object<CalloutTable>({
	verdict: flag,
	assignment: flag,
	onFailure: oneOf("deny", "default-variant"),
	maxStalenessMs: integer(0),
	onStale: oneOf("deny", "assign"),
});

/** The compiler never says so; were it to, a request could pass without its verdict. */
const callout: Check<CalloutTable> = (value, at) => {
	const table = calloutFields(value, at);
	if (table.verdict && (table.onFailure !== "deny" || table.onStale !== "deny")) {
		fail(at, "carries a verdict and does not deny without one");
	}
	return table;
};

const planTable = object<PlanTable>({
	services: list(
		object<ServiceTable>({
			name: text,
			hosts: list(text),
			defaultVariant: text,
			timeoutMs: integer(0),
			access: object<AccessTable>({ open: flag, policies: list(policy, "AccessPolicy") }),
			callout: orNull(callout),
			experiments: list(experiment, "Experiment"),
		}),
		"Service",
	),
});
