/**
 * Validates the parts of a table. Unknown fields are errors, because an ignored rule could allow a request. The checks are
 * typed by compile/plan/compiledPlan.ts: a field that is added only there does not compile.
 *
 * Services are compiled at their first request (compiledTable.ts), so every error must be found here. Checks must be cheap,
 * because they block the event loop.
 */
import { conditionFault } from "../../compile/access/conditions/condition.js";
import { namesCaller } from "../../compile/access/rules/policy.js";
import { isTimezone } from "../../compile/access/rules/schedule.js";
import type {
	AccessTable,
	ArmTable,
	CalloutTable,
	ExperimentTable,
	GatewayTable,
	MoreConditions,
	PolicyTable,
	ServiceTable,
	UnitTable,
} from "../../compile/plan/compiledPlan.js";
import type { ClaimRule, KeySource, Schedule, Segment, TokenIssuer } from "../../declare/resources/resource.js";
import { ARMS_MAX, PPM } from "../../limits/index.js";
import {
	anyText,
	ascii,
	type Check,
	fail,
	flag,
	integer,
	list,
	members,
	namedList,
	object,
	oneOf,
	orNull,
	plain,
	ShapeError,
	shown,
	text,
	uint64,
} from "../../trust/clients/jsonShape.js";
import type { ClosableService } from "./tables.js";

const parameters: Check<Readonly<Record<string, string>>> = (value) => {
	const given = members(value);
	for (const key of Object.keys(given)) {
		let place = "name";
		try {
			text(key);
			place = plain(key);
			text(given[key]);
		} catch (error) {
			throw ShapeError.in(error, place);
		}
	}
	return value as Readonly<Record<string, string>>;
};

const unitFields: { readonly [From in UnitTable["from"]]: Check<UnitTable> } = {
	header: object<Extract<UnitTable, { from: "header" }>>({ from: oneOf("header"), header: text }),
	claim: object<Extract<UnitTable, { from: "claim" }>>({ from: oneOf("claim"), header: text, claim: text }),
	cookie: object<Extract<UnitTable, { from: "cookie" }>>({ from: oneOf("cookie"), cookie: text, maxAgeMs: integer(1) }),
};

const from = oneOf("header", "claim", "cookie");

const unit: Check<UnitTable> = (value) => {
	const given = members(value);
	let source: UnitTable["from"];
	try {
		source = from(given.from);
	} catch (error) {
		throw ShapeError.in(error, "from");
	}
	return unitFields[source](value);
};

const points = integer(0, PPM);

const arm = object<ArmTable>({
	name: text,
	variant: text,
	baseline: flag,
	loPpm: points,
	hiPpm: points,
	livePoints: points,
	parameters,
});

const experimentFields = object<Omit<ExperimentTable, "segments" | "core">>({
	name: text,
	unit,
	layerSeed: uint64,
	slotLoPpm: points,
	slotHiPpm: points,
	salt: ascii,
	arms: namedList(arm, "arm"),
	exposing: flag,
	takeover: orNull(object<NonNullable<ExperimentTable["takeover"]>>({ arm: text, variant: text, ppm: points })),
});

/** Only ingest reads segments; the field is absent if there are none. */
const segmentList = namedList(object<Segment>({ name: text, header: text }), "segment");

/** Absent without a bandit. */
const coreFields = object<NonNullable<ExperimentTable["core"]>>({ ppm: points, alone: flag });

/** compileAssignment() requires ascending regions that cover the whole space. */
const experiment: Check<ExperimentTable> = (value) => {
	const { segments = [], core, ...given } = members(value);
	segmentList(segments);
	if (core !== undefined) coreFields(core);
	const table = experimentFields(given);
	const { arms, slotLoPpm, slotHiPpm, takeover } = table;
	if (slotLoPpm >= slotHiPpm) fail(`the slot from ${slotLoPpm} to ${slotHiPpm} holds nothing`);
	if (arms.length > ARMS_MAX) fail(`has ${arms.length} arms, more than ${ARMS_MAX}`);
	let next = 0;
	for (const { name, loPpm, hiPpm, livePoints } of arms) {
		const place = `arm ${plain(name)}`;
		if (loPpm !== next || hiPpm < loPpm)
			fail(`its region is ${loPpm} to ${hiPpm}, where one from ${next} is due`, place);
		if (livePoints > hiPpm - loPpm) fail(`${livePoints} points are live in a region of ${hiPpm - loPpm}`, place);
		next = hiPpm;
	}
	if (next !== PPM) fail(`the regions of its arms end at ${next}, not at ${PPM}`);
	if (takeover !== null && !arms.some(({ name }) => name === takeover.arm)) {
		fail(`the arm ${shown(takeover.arm)} that takes over is not one of its arms`);
	}
	return value as ExperimentTable;
};

const texts = list(text);
const anyWords = list(anyText);

const minute = integer(0, 1_440);

const timezone: Check<string> = (value) => {
	if (!isTimezone(text(value))) fail(`names the time zone ${shown(value as string)}, which this machine does not know`);
	return value as string;
};

const more = object<MoreConditions>({
	users: list((value) => {
		if (!/^(?:\*$|[^#]+#[\s\S])/.test(anyText(value))) fail("is neither ISSUER#SUB nor *");
		return value as string;
	}),
	groups: anyWords,
	tenants: anyWords,
	purposes: anyWords,
	claims: list(object<ClaimRule>({ claim: text, values: anyWords })),
	pathTemplates: list((value) => {
		if (!text(value).startsWith("/")) fail("does not begin with /");
		return value as string;
	}),
	regions: anyWords,
	schedule: orNull(object<Schedule>({ timezone, days: list(integer(1, 7)), fromMinute: minute, untilMinute: minute })),
	// Negative before 1970.
	validFromMs: orNull(integer(Number.MIN_SAFE_INTEGER)),
	validUntilMs: orNull(integer(Number.MIN_SAFE_INTEGER)),
	condition: orNull((value) => {
		// Not `text`, because it may have line breaks.
		if (typeof value !== "string") fail("is not a text");
		const fault = conditionFault(value);
		if (fault !== null) fail(plain(fault.what));
		return value;
	}),
});

const policyFields = object<PolicyTable>({
	name: text,
	action: oneOf("allow", "deny"),
	principals: texts,
	methods: texts,
	pathPrefixes: texts,
	variants: texts,
	shadow: flag,
	more: orNull(more),
});

/** A policy without callers matches all callers, which is allowed only for a denial. */
const policy: Check<PolicyTable> = (value) => {
	const table = policyFields(value);
	if (table.action === "allow" && !namesCaller(table)) fail("allows without naming a caller");
	return table;
};

const calloutFields = object<CalloutTable>({
	verdict: flag,
	assignment: flag,
	onFailure: oneOf("deny", "default-variant"),
	maxStalenessMs: integer(0),
	onStale: oneOf("deny", "assign"),
	sign: flag,
});

/** The compiler never writes such a callout: it would forward requests without a verdict. */
const callout: Check<CalloutTable> = (value) => {
	const table = calloutFields(value);
	if (table.verdict && (table.onFailure !== "deny" || table.onStale !== "deny")) {
		fail("carries a verdict and does not deny without one");
	}
	return table;
};

const serviceFields = object<Omit<ServiceTable, "models">>({
	name: text,
	hosts: texts,
	defaultVariant: text,
	timeoutMs: integer(0),
	access: object<AccessTable>({ open: flag, policies: namedList(policy, "AccessPolicy") }),
	callout: orNull(callout),
	experiments: namedList(experiment, "Experiment"),
});

/** The unit is read once for all Experiments of a Service (resources/checks/layer.ts). */
export const service: Check<ServiceTable> = (value) => {
	// Only ingest reads models.
	const { models = {}, ...given } = members(value);
	for (const model of Object.values(members(models))) text(model);
	const table = serviceFields(given);
	const [first] = table.experiments;
	for (const { name, unit } of table.experiments) {
		if (first !== undefined && sourceOf(unit) !== sourceOf(first.unit)) {
			fail("finds its unit elsewhere than the Service's first", `Experiment ${plain(name)}`);
		}
	}
	return table;
};

const sourceOf = (unit: UnitTable): string => `${unit.from} ${unit.from === "cookie" ? unit.cookie : unit.header}`;

const keySources: { readonly [From in KeySource["from"]]: Check<KeySource> } = {
	file: object<Extract<KeySource, { from: "file" }>>({ from: oneOf("file"), file: anyText }),
	url: object<Extract<KeySource, { from: "url" }>>({
		from: oneOf("url"),
		url: (value) => {
			if (!text(value).startsWith("https://")) fail("is no https URL");
			return value as string;
		},
		caFile: orNull(anyText),
	}),
};

const keysFrom = oneOf("file", "url");

const keys: Check<KeySource> = (value) => {
	const given = members(value);
	let source: KeySource["from"];
	try {
		source = keysFrom(given.from);
	} catch (error) {
		throw ShapeError.in(error, "from");
	}
	return keySources[source](value);
};

const tokenIssuer = object<TokenIssuer>({
	issuer: anyText,
	audiences: anyWords,
	keys,
	profile: oneOf("jwt", "at+jwt"),
	maxLifetimeMs: integer(1),
	binding: oneOf("none", "dpop", "mtls", "either"),
	groupsClaim: text,
	tenantClaim: text,
	purposeClaim: text,
});

/** Without an audience, tokens for other services would be valid. */
const issuer: Check<TokenIssuer> = (value) => {
	const table = tokenIssuer(value);
	if (table.audiences.length === 0) fail("names no audience");
	return table;
};

const gateway = object<GatewayTable>({
	name: text,
	region: orNull(anyText),
	issuers: list(issuer),
	trustedProxies: list(text),
});

export const gateways = namedList(gateway, "Gateway");

const closableFields = object<ClosableService>({ name: text, hosts: texts, defaultVariant: text });

/** The fields that are needed to close an invalid Service. */
export const closableService: Check<ClosableService> = (value) => {
	const { name, hosts, defaultVariant } = members(value);
	return closableFields({ name, hosts, defaultVariant });
};
