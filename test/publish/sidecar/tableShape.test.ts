/** Every invalid table is refused, or only its invalid Service, with a message that has the path. */
import t from "tap";
import { contentHash } from "../../../src/compile/assignment/hash.js";
import type { PlanTable, PolicyTable, ServiceTable } from "../../../src/compile/plan/compiledPlan.js";
import type { TokenIssuer } from "../../../src/declare/resources/resource.js";
import { WeirError } from "../../../src/error.js";
import { ARMS_MAX, TABLE_BYTES_MAX } from "../../../src/limits/index.js";
import { compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import { readTable } from "../../../src/publish/sidecar/tableReader.js";
import { EXPERIMENT, SERVICE, versioned } from "./sampleTable.js";

const [CONTROL, TREATMENT] = EXPERIMENT.arms;
const CALLERS = SERVICE.access.policies[0] as PolicyTable;
const MORE = {
	users: ["https://id.example.com#alice"],
	groups: ["clerks"],
	tenants: ["t1"],
	purposes: ["care"],
	claims: [{ claim: "org.unit", values: ["hr"] }],
	pathTemplates: ["/v2/{model}"],
	regions: ["eu"],
	schedule: { timezone: "Europe/Berlin", days: [1, 7], fromMinute: 0, untilMinute: 1_440 },
	validFromMs: 1,
	validUntilMs: 2,
	condition: 'request.method == "GET" ||\n"clerks" in user.groups',
};
const ISSUER: TokenIssuer = {
	...{ issuer: "https://id.example.com", audiences: ["weir"], profile: "at+jwt", maxLifetimeMs: 1, binding: "dpop" },
	...{ groupsClaim: "groups", tenantClaim: "org.tenant", purposeClaim: "purpose" },
	keys: { from: "url", url: "https://id.example.com/jwks", caFile: "ca.pem" },
};
const FILE_ISSUER: TokenIssuer = { ...ISSUER, keys: { from: "file", file: "jwks.json" } };
const GATEWAY = {
	name: "edge",
	region: "eu",
	issuers: [ISSUER, FILE_ISSUER],
	trustedProxies: ["spiffe://a.test/proxy"],
};
const RICH: ServiceTable = {
	...{ ...SERVICE, name: "rich", callout: null, experiments: [] },
	access: { open: false, policies: [{ ...CALLERS, principals: [], more: MORE }] },
};
const whole: PlanTable = {
	gateways: [GATEWAY],
	services: [SERVICE, RICH, { ...SERVICE, name: "other", callout: null, experiments: [] }],
};

/** Reads any content under its true hash. An accepted table must also compile and answer. */
function read(table: unknown): string {
	const json = JSON.stringify(table);
	try {
		const given = readTable(contentHash(json), json);
		const compiled = compileTable(given);
		for (const { name } of given.table.services) {
			const service = compiled.service(name);
			const place = service?.place("user-1");
			const request = {
				...{ principal: "spiffe://example.com/web", method: "GET", path: "/v2", variant: "v1" },
				...{ token: null, region: null, nowMs: 0 },
			};
			const verdict = service?.authorise(request);
			if (place === undefined || verdict === undefined) throw new Error(`no Service ${name}`);
			place.ruling(verdict, true, true);
		}
		return given.closed?.[0]?.why ?? "";
	} catch (error) {
		if (!(error instanceof WeirError) || error.code !== "invalid-argument") throw error;
		return error.message;
	}
}

const service = (change: object): string => read({ gateways: [], services: [{ ...SERVICE, ...change }] });
const experiment = (change: object): string => service({ experiments: [{ ...EXPERIMENT, ...change }] });
const callout = (change: object): string => service({ callout: { ...SERVICE.callout, ...change } });
const policy = (change: object): string =>
	service({ access: { open: false, policies: [{ ...SERVICE.access.policies[0], ...change }] } });

t.test("a valid table is read unchanged", (t) => {
	const { version } = versioned(whole);
	t.same(readTable(version, JSON.stringify(whole)), { version, table: whole });
	t.equal(read({ gateways: [], services: [] }), "");
	t.equal(experiment({ core: { ppm: 50_000, alone: true } }), "");
	t.not(experiment({ core: { ppm: -1, alone: true } }), "");
	t.not(experiment({ core: { ppm: 50_000, alone: true, more: 1 } }), "");
	t.equal(experiment({ takeover: null, unit: { from: "header", header: "x-user-id" } }), "");
	t.equal(experiment({ unit: { from: "claim", header: "x-weir-claim-sub", claim: "sub" } }), "");
	t.equal(policy({ action: "deny", principals: [] }), "");
	t.equal(callout({ verdict: false, onFailure: "default-variant", onStale: "assign" }), "");
	t.end();
});

t.test("a table with a wrong hash, or that is not JSON, is refused", (t) => {
	const { version } = versioned(whole);
	const json = JSON.stringify(whole);
	t.throws(() => readTable("0123456789abcdef", json), {
		message: /hash [0-9a-f]{16}, but its version is "0123456789abcdef"/,
	});
	t.throws(() => readTable("\n".repeat(1_000), json), { message: /its version is "\?{64}"$/ });
	t.throws(() => readTable(version, json.replace('"v1"', '"v2"')), { message: /hash/ });
	t.throws(() => readTable(version, json.slice(0, -1)), { message: "the table is not JSON" });
	t.throws(() => readTable(contentHash(""), ""), { message: "the table is not JSON" });
	t.end();
});

t.test("a table that would block the event loop is refused before it is parsed", (t) => {
	const json = " ".repeat(TABLE_BYTES_MAX + 1);
	t.throws(() => readTable(contentHash(json), json), {
		code: "resource-exhausted",
		message: `the table has ${TABLE_BYTES_MAX + 1} characters, more than ${TABLE_BYTES_MAX}`,
	});
	t.end();
});

t.test("a table with missing, unknown or mistyped fields is refused", (t) => {
	const expected: [string, string][] = [
		[read(null), "the table: is null, not an object"],
		[read([]), "the table: is a list, not an object"],
		[read({}), "the table: has no field gateways"],
		[read({ gateways: [] }), "the table: has no field services"],
		[read({ gateways: [], services: [], tokens: [] }), 'the table: has the unknown field "tokens"'],
		[read({ gateways: [], services: {} }), "services: is an object, not a list"],
		[read({ gateways: [], services: [null] }), "services[0]: is null, not an object"],
		[service({ timeoutMs: "1s" }), "Service employment, timeoutMs: is a string, not a number"],
		[service({ timeoutMs: 0.5 }), "Service employment, timeoutMs: is 0.5, not an integer from 0 to 9007199254740991"],
		[service({ hosts: [""] }), "Service employment, hosts[0]: is empty or holds a control character"],
		[service({ hosts: [1] }), "Service employment, hosts[0]: is a number, not a text"],
		[service({ region: "eu" }), 'Service employment: has the unknown field "region"'],
		[
			service({ access: { open: 1, policies: [] } }),
			"Service employment, access, open: is a number, neither true nor false",
		],
		[read(JSON.parse('{"gateways":[],"services":[],"__proto__":{}}')), 'the table: has the unknown field "__proto__"'],
		[
			policy({ action: "audit" }),
			'Service employment, access, AccessPolicy callers, action: is "audit", not one of allow, deny',
		],
		[policy({ principals: [] }), "Service employment, access, AccessPolicy callers: allows without naming a caller"],
		[callout({ onStale: null }), "Service employment, callout, onStale: is null, not one of deny, assign"],
		[
			callout({ onFailure: "default-variant" }),
			"Service employment, callout: carries a verdict and does not deny without one",
		],
		[callout({ onStale: "assign" }), "Service employment, callout: carries a verdict and does not deny without one"],
		[
			callout({ maxStalenessMs: -1 }),
			"Service employment, callout, maxStalenessMs: is -1, not an integer from 0 to 9007199254740991",
		],
	];
	for (const [actual, wanted] of expected) t.equal(actual, wanted);
	t.end();
});

t.test("a table with conditions or issuers that cannot be executed is refused", (t) => {
	const at = "Service employment, access, AccessPolicy callers, more";
	const more = (change: object): string => policy({ more: { ...MORE, ...change } });
	const issuer = (change: object): string =>
		read({ gateways: [{ ...GATEWAY, issuers: [{ ...ISSUER, ...change }] }], services: [] });
	const schedule = (change: object): string => more({ schedule: { ...MORE.schedule, ...change } });
	const from = "Gateway edge, issuers[0]";
	const expected: [string, string][] = [
		[more({}), ""],
		[policy({ principals: [], more: MORE }), ""],
		[more({ users: ["alice"] }), `${at}, users[0]: is neither ISSUER#SUB nor *`],
		[more({ claims: [{ claim: "a", values: [1] }] }), `${at}, claims[0], values[0]: is a number, not a text`],
		[more({ pathTemplates: ["{a}"] }), `${at}, pathTemplates[0]: does not begin with /`],
		[
			schedule({ timezone: "Mars/Base" }),
			`${at}, schedule, timezone: names the time zone "Mars/Base", which this machine does not know`,
		],
		[schedule({ days: [0] }), `${at}, schedule, days[0]: is 0, not an integer from 1 to 7`],
		[schedule({ untilMinute: 1_441 }), `${at}, schedule, untilMinute: is 1441, not an integer from 0 to 1440`],
		[more({ condition: "" }), `${at}, condition: is no CEL expression: Unexpected token: EOF`],
		[
			more({ condition: "user.groups.exists(g, request.path.contains(g))" }),
			`${at}, condition: calls contains() with what is no literal text of at most 250 characters`,
		],
		[more({ condition: "user.name" }), `${at}, condition: is no valid CEL expression: No such key: name`],
		[more({ condition: '"a".matches("(a+)+")' }), `${at}, condition: calls matches(), which is not offered`],
		[
			policy({ principals: [], more: { ...MORE, users: [], groups: [], tenants: [], purposes: [], claims: [] } }),
			"Service employment, access, AccessPolicy callers: allows without naming a caller",
		],
		[issuer({}), ""],
		[issuer({ audiences: [] }), `${from}: names no audience`],
		[issuer({ binding: "tls" }), `${from}, binding: is "tls", not one of none, dpop, mtls, either`],
		[issuer({ keys: { from: "url", url: "http://a", caFile: null } }), `${from}, keys, url: is no https URL`],
		[issuer({ keys: { from: "env" } }), `${from}, keys, from: is "env", not one of file, url`],
		[read({ gateways: [GATEWAY, GATEWAY], services: [] }), "Gateway edge: is there twice"],
	];
	for (const [actual, wanted] of expected) t.equal(actual, wanted);
	t.end();
});

t.test("a table with an experiment that cannot be executed, or with wrong bits, is refused", (t) => {
	const at = "Service employment, Experiment boosted-vs-logistic";
	const arms = (...changes: object[]): string =>
		experiment({
			arms: [
				{ ...CONTROL, ...changes[0] },
				{ ...TREATMENT, ...changes[1] },
			],
		});
	const expected: [string, string][] = [
		[
			experiment({ unit: { from: "dpop", header: "x" } }),
			`${at}, unit, from: is "dpop", not one of header, claim, cookie`,
		],
		[experiment({ unit: { from: "header", header: "x", claim: "sub" } }), `${at}, unit: has the unknown field "claim"`],
		[experiment({ layerSeed: "18446744073709551616" }), `${at}, layerSeed: is no unsigned 64-bit integer`],
		[experiment({ layerSeed: "0x10" }), `${at}, layerSeed: is no unsigned 64-bit integer`],
		[experiment({ layerSeed: 1 }), `${at}, layerSeed: is a number, not a text`],
		[experiment({ slotLoPpm: 500_000 }), `${at}: the slot from 500000 to 500000 holds nothing`],
		[experiment({ slotHiPpm: 1_000_001 }), `${at}, slotHiPpm: is 1000001, not an integer from 0 to 1000000`],
		[experiment({ arms: [] }), `${at}: the regions of its arms end at 0, not at 1000000`],
		[arms({}, { hiPpm: 999_999 }), `${at}: the regions of its arms end at 999999, not at 1000000`],
		[arms({ hiPpm: 499_999 }), `${at}, arm treatment: its region is 500000 to 1000000, where one from 499999 is due`],
		[arms({ loPpm: 1 }), `${at}, arm control: its region is 1 to 500000, where one from 0 is due`],
		[
			arms({}, { hiPpm: 400_000 }),
			`${at}, arm treatment: its region is 500000 to 400000, where one from 500000 is due`,
		],
		[arms({ livePoints: 500_001 }), `${at}, arm control: 500001 points are live in a region of 500000`],
		[arms({}, { name: "control" }), `${at}, arm control: is there twice`],
		[
			arms({ parameters: { "x-a": "1\r\nx-b: 2" } }),
			`${at}, arm control, parameters, x-a: is empty or holds a control character`,
		],
		[
			arms({ parameters: { "x\na": "1" } }),
			`${at}, arm control, parameters, name: is empty or holds a control character`,
		],
		[
			experiment({ takeover: { arm: "none", variant: "v2", ppm: 1 } }),
			`${at}: the arm "none" that takes over is not one of its arms`,
		],
		[
			experiment({ arms: Array.from({ length: ARMS_MAX + 1 }, (_, index) => ({ ...CONTROL, name: `a${index}` })) }),
			`${at}: has ${ARMS_MAX + 1} arms, more than ${ARMS_MAX}`,
		],
		[service({ experiments: [EXPERIMENT, EXPERIMENT] }), `${at}: is there twice`],
		[experiment({ salt: "gr\u00fcn" }), `${at}, salt: holds a character that is not ASCII`],
		[
			service({ experiments: [EXPERIMENT, { ...EXPERIMENT, name: "b", unit: { from: "header", header: "x-b" } }] }),
			"Service employment, Experiment b: finds its unit elsewhere than the Service's first",
		],
	];
	for (const [actual, wanted] of expected) t.equal(actual, wanted);
	t.end();
});

t.test("any removed, replaced or added field is refused", (t) => {
	const places = objectsIn(whole, []);
	t.ok(places.length > 10);
	let refused = 0;
	for (const { path, keys } of places) {
		// Parameters are a mapping: any header name is optional.
		if (path.at(-1) === "parameters") continue;
		for (const key of keys) {
			for (const change of [undefined, [[]], { a: { b: 1 } }]) {
				refused++;
				t.not(read(changed(whole, [...path, key], change)), "", `${path.join(".")}.${key}: ${JSON.stringify(change)}`);
			}
		}
		t.match(read(changed(whole, [...path, "extra"], 1)), /unknown field "extra"/);
	}
	t.ok(refused > 150);
	t.end();
});

function objectsIn(value: unknown, path: readonly string[]): { path: readonly string[]; keys: string[] }[] {
	if (typeof value !== "object" || value === null) return [];
	const inner = Object.entries(value).flatMap(([key, one]) => objectsIn(one, [...path, key]));
	return Array.isArray(value) ? inner : [{ path, keys: Object.keys(value) }, ...inner];
}

/** A copy with another value at a path; undefined removes it. */
function changed(value: object, path: readonly string[], to: unknown): object {
	const copy = structuredClone(value);
	let at = copy as Record<string, unknown>;
	for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
	const last = path.at(-1) ?? "";
	if (to === undefined) delete at[last];
	else at[last] = to;
	return copy;
}
