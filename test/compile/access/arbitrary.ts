/** Random AccessPolicies and requests from a few words, so that they match often. */
import fc from "fast-check";
import type { AccessPolicy, Schedule, Service } from "../../../src/declare/resources/resource.js";
import { ANYONE, accessPolicy, service, variant } from "../../fixtures/resources.js";
import { CONDITIONS } from "./conditions.js";
import type { ReferenceRequest, ReferenceToken } from "./reference.js";

const PRINCIPALS = [
	"spiffe://a/ns/one/sa/x",
	"spiffe://a/ns/one/sa/y",
	"spiffe://a/ns/one",
	"spiffe://a/ns/oneself",
	"spiffe://b/x",
];
const PATTERNS = [
	...PRINCIPALS,
	"spiffe://a/ns/one/*",
	"spiffe://a/*",
	"spiffe://a/ns/*",
	"*",
	"anyone",
	"spiffe://b/x/*",
];
const ISSUERS = ["https://one", "https://two"];
const SUBJECTS = ["alice", "bob", "a#b", "x#*"];
const GROUPS = ["admin", "team-a", "team-b", "readers"];
const PATHS = [
	"/",
	"/v2",
	"/v2/",
	"/v2/models",
	"/v2/models/a",
	"/v2/models/a/infer",
	"/v2/models//infer",
	"/v20",
	"/v2/models/a/b/infer",
	"/admin/x",
	"/admin;x",
	"/a%2fb",
	"/é",
];
const PREFIXES = ["/", "/v2", "/v2/models", "/admin", "/v2/models/a/infer"];
const TEMPLATES = [
	"/v2/models/{model}/infer",
	"/{any}",
	"/v2/{x}",
	"/{a}/{b}",
	"/v2/models/a",
	"/{a}/models/{b}/infer",
];
const REGIONS = ["eu", "us", "ap"];
const VARIANTS = ["v1", "v2", "v3"];
const METHODS = ["GET", "POST", "DELETE"];
const ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"];
const CLAIMS: readonly (readonly [string, readonly string[]])[] = [
	["role", ["clerk", "judge"]],
	["scope", ["read", "write", "read write"]],
	["org.unit", ["hr", "it"]],
	["https://example.com/kind", ["human", "robot"]],
	["level", ["3"]],
	["org.scope", ["read write", "read"]],
];

const some = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
/** Mostly empty: a policy of many conditions matches nothing. */
const seldom = (values: readonly string[], weight = 4): fc.Arbitrary<string[]> =>
	fc.oneof(
		{ weight, arbitrary: fc.constant<string[]>([]) },
		{ weight: 1, arbitrary: fc.uniqueArray(some(...values), { minLength: 1, maxLength: 3 }) },
	);
const orNull = <T>(value: fc.Arbitrary<T>, weight = 6): fc.Arbitrary<T | null> =>
	fc.oneof({ weight, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: value });

const time = fc.oneof(
	fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2027, 0, 1) }),
	// Around the changes of the clocks of Berlin, New York and Lord Howe.
	...[Date.UTC(2026, 2, 29), Date.UTC(2026, 9, 25), Date.UTC(2026, 2, 8), Date.UTC(2026, 3, 4)].map((day) =>
		fc.integer({ min: day, max: day + 36 * 3_600_000 }),
	),
);

const schedule: fc.Arbitrary<Schedule> = fc.record({
	timezone: some(...ZONES),
	days: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
	fromMinute: fc.integer({ min: 0, max: 1_439 }),
	untilMinute: fc.integer({ min: 0, max: 1_440 }),
});

const claimRule = some(...CLAIMS).chain(([claim, values]) =>
	fc.uniqueArray(some(...values), { minLength: 1 }).map((wanted) => ({ claim, values: wanted })),
);

const spec: fc.Arbitrary<AccessPolicy["spec"]> = fc.record({
	action: fc.oneof(
		{ weight: 3, arbitrary: fc.constant("allow" as const) },
		{ weight: 1, arbitrary: fc.constant("deny" as const) },
	),
	mode: fc.oneof(
		{ weight: 5, arbitrary: fc.constant("enforce" as const) },
		{ weight: 1, arbitrary: fc.constant("shadow" as const) },
	),
	services: fc.oneof(
		{ weight: 5, arbitrary: fc.constant(["guarded"]) },
		{ weight: 1, arbitrary: some(["*"], ["other"], ["other", "guarded"]) },
	),
	dataClasses: seldom(["personal", "public"], 8),
	principals: seldom(PATTERNS, 1),
	users: seldom(["*", ...ISSUERS.flatMap((issuer) => ["*", ...SUBJECTS].map((subject) => `${issuer}#${subject}`))], 5),
	groups: seldom(GROUPS),
	tenants: seldom(["t1", "t2"], 5),
	purposes: seldom(["billing", "care"], 6),
	claims: fc.oneof(
		{ weight: 5, arbitrary: fc.constant([]) },
		{ weight: 1, arbitrary: fc.array(claimRule, { minLength: 1, maxLength: 2 }) },
	),
	methods: seldom(METHODS),
	pathPrefixes: seldom(PREFIXES),
	pathTemplates: seldom(TEMPLATES),
	variants: seldom(VARIANTS),
	regions: seldom(REGIONS, 5),
	schedule: orNull(schedule),
	validFromMs: orNull(time),
	validUntilMs: orNull(time),
	condition: orNull(some(...Object.keys(CONDITIONS)), 3),
});

export const policies: fc.Arbitrary<readonly AccessPolicy[]> = fc
	.array(fc.record({ spec, elsewhere: fc.integer({ min: 0, max: 9 }) }), { minLength: 0, maxLength: 24 })
	.map((all) =>
		all.map(({ spec: { action, services, ...rest }, elsewhere }, index) =>
			// Names in another order than the declaration, as the first match by name is reported.
			accessPolicy(
				`p${(7 * index) % 25}`,
				action,
				services,
				{ ...ANYONE, ...rest },
				elsewhere === 0 ? "elsewhere" : undefined,
			),
		),
	);

export const guarded: fc.Arbitrary<Service> = fc
	.record({ open: fc.boolean(), dataClass: some(null, "personal", "public") })
	.map(({ open, dataClass }) => service("guarded", [variant("v1", 1)], { access: open ? "open" : null, dataClass }));

const textOrList = (values: readonly string[]): fc.Arbitrary<unknown> =>
	fc.oneof(
		some<unknown>(...values, undefined, null, 3, {}),
		fc.array(some<unknown>(...values, 3, null), { maxLength: 3 }),
	);

const claims: fc.Arbitrary<Record<string, unknown>> = fc
	.record({
		role: textOrList(["clerk", "judge"]),
		scope: textOrList(["read", "write", "read write", "read  write ", "readwrite"]),
		org: fc.oneof(
			fc.record({ unit: textOrList(["hr", "it"]), scope: textOrList(["read write"]) }),
			some<unknown>("hr", null, ["hr"]),
		),
		"https://example.com/kind": textOrList(["human", "robot"]),
		level: some<unknown>(1, 2.5, 3, 4, "3", undefined),
	})
	.map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)));

const token: fc.Arbitrary<ReferenceToken> = fc.record({
	issuer: some(...ISSUERS, "https://one#alice"),
	subject: some<string | null>(...SUBJECTS, "b", null),
	claims,
	groups: fc.uniqueArray(some(...GROUPS), { maxLength: 3 }),
	tenants: fc.uniqueArray(some("t1", "t2", "t3"), { maxLength: 2 }),
	purposes: fc.uniqueArray(some("billing", "care"), { maxLength: 2 }),
});

export const request: fc.Arbitrary<ReferenceRequest> = fc.record({
	principal: fc.oneof(
		{ weight: 1, arbitrary: fc.constant(null) },
		{ weight: 5, arbitrary: some(...PRINCIPALS, "spiffe://a/ns/one/sa/x/y") },
	),
	method: some(...METHODS),
	path: some(...PATHS),
	variant: some<string | null>(...VARIANTS, null),
	token: fc.oneof({ weight: 1, arbitrary: fc.constant(null) }, { weight: 4, arbitrary: token }),
	region: some<string | null>(...REGIONS, null),
	nowMs: time,
});
