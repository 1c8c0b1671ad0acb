/**
 * Tables of requests and the verdicts that are expected of them, for users' CI: strict YAML, every fault with its
 * place. `tests:` is a list of {name, request, expect}.
 */
import { POLICY_TESTS_MAX, PROBLEMS_MAX } from "../../limits.js";
import type { Path } from "../../resources/position.js";
import type { Position, Problem } from "../../resources/resource.js";
import { workloadFault } from "../../resources/spiffe.js";
import { readYaml, type YamlDocument } from "../../resources/yaml/yaml.js";
import { epochMs } from "../requests/rfc3339.js";
import type { Barred, JudgedRequest, NameField, PolicyJudge, PolicyRequest } from "./policyCheck.js";

export interface PolicyTest {
	readonly name: string;
	readonly position: Position | null;
	/** Where its request names them. */
	readonly positions: Readonly<Record<NameField | "principal" | "via", Position | null>>;
	/** nowMs null = the table does not say. */
	readonly request: Omit<PolicyRequest, "nowMs"> & { readonly nowMs: number | null };
	readonly expect: {
		readonly allowed: boolean;
		/** null = any. */
		readonly reason: JudgedRequest["reason"] | null;
		/** undefined = any; null = none. */
		readonly policy: string | null | undefined;
	};
}

export interface PolicyTests {
	readonly tests: readonly PolicyTest[];
	readonly problems: readonly Problem[];
}

const REASONS: readonly JudgedRequest["reason"][] = [
	"open",
	"allowed",
	"forbidden",
	"no-policy-allows",
	"not-canonical",
	"unknown-service",
	"invalid-token",
];
const REQUEST_FIELDS = [
	"service",
	"host",
	"gateway",
	"region",
	"principal",
	"via",
	"token",
	"method",
	"path",
	"variant",
	"time",
] as const;
/** What Envoy sends on as escapes, before the query. */
const ESCAPED = /^[^?]*["<>^`{|}]/;
/** Doubled slashes and dot segments, before the query; Envoy 1.40 takes `..;x` for one. */
const RESOLVED = /\/\/|\/\.{1,2}(?:;[^/]*)?(?:\/|$)/;
/** What Envoy writes otherwise: backslashes, and escapes of unreserved characters (RFC 3986 2.3). */
const REWRITTEN = /\\|%(?:2[de]|3[0-9]|[46][1-9a-f]|[57][0-9a]|5f|7e)/gi;

/** Never throws. With problems, nothing of the table may be believed. */
export function readPolicyTests(file: { readonly name: string; readonly text: string }): PolicyTests {
	const yaml = readYaml(file, "write tests: with a list of {name, request, expect}");
	const problems: Problem[] = [...yaml.problems];
	const tests = yaml.documents.flatMap((document) => new Reader(document, problems).tests());
	return { tests, problems: problems.slice(0, PROBLEMS_MAX) };
}

/**
 * What tests name and nobody declares: a misspelt name would be denied whatever the rules say. A Service may be unknown
 * where just that is expected.
 */
export function undeclaredIn(tests: readonly PolicyTest[], judge: Pick<PolicyJudge, "undeclared">): readonly Problem[] {
	return tests.flatMap(({ request, positions, expect }) =>
		judge
			.undeclared(request)
			.filter(({ field }) => (field !== "service" && field !== "host") || expect.reason !== "unknown-service")
			.map(({ field, name, known }) => ({
				position: positions[field],
				message: `${WORDS[field]} ${JSON.stringify(name)}`,
				hint: known.length === 0 ? "none is declared" : `declared are ${known.slice(0, KNOWN_SHOWN).join(", ")}`,
			})),
	);
}

/**
 * Requests that come through no Gateway: what the rules say of them nobody would ever hear. Where a Gateway demands no
 * certificate, a caller would be served as whoever comes; where it demands one, who has none would not be served.
 */
export function barredIn(tests: readonly PolicyTest[], judge: Pick<PolicyJudge, "barred">): readonly Problem[] {
	return tests.flatMap(({ request, positions }) => {
		const barred = judge.barred(request);
		return barred === null ? [] : [{ position: positions[barred.field], ...barredWords(request, barred) }];
	});
}

function barredWords(
	{ principal, region, via }: PolicyTest["request"],
	{ field, gateway, domains, others }: Barred,
): Pick<Problem, "message" | "hint"> {
	const where = JSON.stringify(region);
	const orName = (what: string): string =>
		others.length === 0 ? "" : `, or name a Gateway ${what}: ${others.slice(0, KNOWN_SHOWN).join(", ")}`;
	if (field === "region")
		return {
			message: `Gateway ${gateway} is not in region ${where}`,
			hint: `remove region: from the request${orName("there")}`,
		};
	const there = region === null ? "" : ` in region ${where}`;
	if (field === "via")
		return {
			message:
				gateway === null
					? `no Gateway${there} has the trusted proxy ${via}`
					: `Gateway ${gateway} does not trust ${via}`,
			hint: `remove via: from the request${orName("that has it")}`,
		};
	if (domains !== null) {
		const taken = [...new Set(domains)].sort().join(" or ");
		return {
			message: `${gateway === null ? `no Gateway${there} takes` : `Gateway ${gateway} does not take`} the trust domain of ${principal}, so that it cannot connect`,
			hint: `write a principal of ${taken}${orName("that takes it")}`,
		};
	}
	if (principal !== null) {
		const none =
			gateway === null
				? `no Gateway${there} demands client certificates`
				: `Gateway ${gateway} demands no client certificates`;
		return {
			message: `${none}, so that a caller's principal cannot be known`,
			hint: `remove principal: from the request${orName("that demands them")}`,
		};
	}
	return {
		message: `${gateway === null ? `each Gateway${there}` : `Gateway ${gateway}`} demands client certificates, so that a caller without one does not get there`,
		hint: `add principal: to the request${orName("that demands none")}`,
	};
}

const WORDS: Readonly<Record<NameField, string>> = {
	service: "there is no Service",
	host: "no Service has the host",
	gateway: "there is no Gateway",
	region: "there is no region",
	variant: "there is no Variant",
};
const KNOWN_SHOWN = 10;

type Fields = Readonly<Record<string, unknown>>;

/** Walks one document; every fault goes to `problems`. */
class Reader {
	constructor(
		private readonly document: YamlDocument,
		private readonly problems: Problem[],
	) {}

	tests(): readonly PolicyTest[] {
		const { value } = this.document;
		this.#known(value, [], ["tests"]);
		const { tests } = value;
		if (!Array.isArray(tests) || tests.length === 0) {
			this.#fault(["tests"], "tests is no list of cases", "write tests: and under it - name: …, request: …, expect: …");
			return [];
		}
		if (tests.length > POLICY_TESTS_MAX) {
			this.#fault(["tests"], `more than ${POLICY_TESTS_MAX} cases`, "split the table");
			return [];
		}
		return tests.flatMap((test: unknown, index) => this.#test(test, ["tests", index]));
	}

	#test(test: unknown, path: Path): readonly PolicyTest[] {
		const before = this.problems.length;
		const fields = this.#mapping(test, path, ["name", "request", "expect"]);
		if (fields === null) return [];
		const request = this.#request(fields.request, [...path, "request"]);
		const expect = this.#expect(fields.expect, [...path, "expect"]);
		const name = this.#text(fields, path, "name") ?? "";
		if (name === "") this.#fault([...path, "name"], "name is missing", "say what the case is about");
		if (request === null || expect === null || this.problems.length > before) return [];
		const position = this.document.places.nearest(path)?.position ?? null;
		return [{ name, position, positions: this.#positions([...path, "request"]), request, expect }];
	}

	#positions(path: Path): PolicyTest["positions"] {
		const at = (field: string): Position | null => this.document.places.nearest([...path, field])?.position ?? null;
		return {
			service: at("service"),
			host: at("host"),
			gateway: at("gateway"),
			region: at("region"),
			variant: at("variant"),
			principal: at("principal"),
			via: at("via"),
		};
	}

	#request(value: unknown, path: Path): PolicyTest["request"] | null {
		const fields = this.#mapping(value, path, REQUEST_FIELDS);
		if (fields === null) return null;
		const text = (name: (typeof REQUEST_FIELDS)[number]): string | null => this.#text(fields, path, name);
		const service = text("service");
		const host = text("host");
		if ((service === null) === (host === null)) {
			this.#fault(path, "a request has either service or host", "write service: NAME or host: shop.example.org");
		}
		const [principal, via] = [text("principal"), text("via")];
		for (const [field, id] of Object.entries({ principal, via })) {
			const fault = id === null ? null : workloadFault(id);
			if (fault !== null) this.#fault([...path, field], `${field} ${fault}`, "write spiffe://example.org/web");
		}
		if (via !== null && fields.principal == null)
			this.#fault([...path, "via"], "via names a proxy, and nothing its client", "add principal: to the request");
		const method = text("method") ?? "GET";
		if (!/^[A-Z][A-Z-]*$/.test(method))
			this.#fault([...path, "method"], "method is no HTTP method", "write GET or POST");
		const target = text("path") ?? "/";
		if (!target.startsWith("/")) this.#fault([...path, "path"], "path does not begin with /", "write /v2/models");
		// What is written here stands for what comes to the rules: of other paths another verdict than Envoy's would be told.
		const [before = ""] = target.split(/[?#]/, 1);
		const after = before.replace(REWRITTEN, (found) => (found === "\\" ? "/" : decodeURIComponent(found)));
		if (RESOLVED.test(after))
			this.#fault(
				[...path, "path"],
				"Envoy resolves // and dot segments before any rule",
				"write the path as it is after",
			);
		else if (after !== before)
			this.#fault(
				[...path, "path"],
				"Envoy makes \\ a slash, and undoes escapes of letters, digits and -._~, before any rule",
				`write the path as it is after: ${after}${target.slice(before.length)}`,
			);
		if (ESCAPED.test(target))
			this.#fault([...path, "path"], 'Envoy escapes "<>^`{|} before any rule', "write them so, such as %7C for |");
		const time = text("time");
		const nowMs = time === null ? null : (epochMs(time) ?? Number.NaN);
		if (Number.isNaN(nowMs)) {
			this.#fault([...path, "time"], "time is no RFC 3339 date-time", "write 2026-01-31T12:00:00Z, in quotes");
		}
		return {
			service,
			host,
			gateway: text("gateway"),
			region: text("region"),
			principal,
			via,
			token: this.#token(fields.token, [...path, "token"]),
			method,
			path: target,
			variant: text("variant"),
			nowMs,
		};
	}

	#token(value: unknown, path: Path): PolicyRequest["token"] {
		if (value === undefined || value === null || value === "none") return null;
		if (value === "invalid") return "invalid";
		if (typeof value !== "object" || Array.isArray(value)) {
			this.#fault(path, "token is neither claims nor invalid", "write its claims: token: {iss: …, sub: …}");
			return null;
		}
		const claims: Fields = { ...value };
		if (typeof claims.iss !== "string") {
			this.#fault(path, "the token has no issuer", "write iss: as the Gateway's spec.tokens names it");
		}
		return claims;
	}

	#expect(value: unknown, path: Path): PolicyTest["expect"] | null {
		if (value === "allow" || value === "deny") {
			return { allowed: value === "allow", reason: null, policy: undefined };
		}
		const hint = "write allow, deny, or {verdict: deny, reason: forbidden, policy: NAME}";
		if (value === undefined || typeof value !== "object" || value === null) {
			this.#fault(path, "expect is neither allow nor deny", hint);
			return null;
		}
		const fields = this.#mapping(value, path, ["verdict", "reason", "policy"]);
		if (fields === null) return null;
		const { verdict } = fields;
		if (verdict !== "allow" && verdict !== "deny")
			this.#fault([...path, "verdict"], "verdict is neither allow nor deny", hint);
		const said = this.#text(fields, path, "reason");
		const reason = REASONS.find((one) => one === said) ?? null;
		if (said !== null && reason === null) {
			this.#fault([...path, "reason"], `there is no reason ${JSON.stringify(said)}`, `reasons: ${REASONS.join(", ")}`);
		}
		const policy = fields.policy === null ? null : (this.#text(fields, path, "policy") ?? undefined);
		return { allowed: verdict === "allow", reason, policy };
	}

	#mapping(value: unknown, path: Path, known: readonly string[]): Fields | null {
		if (typeof value !== "object" || value === null || Array.isArray(value)) {
			this.#fault(path, `${path.at(-1)} is no mapping`, `its fields are ${known.join(", ")}`);
			return null;
		}
		const fields: Fields = { ...value };
		this.#known(fields, path, known);
		return fields;
	}

	#known(fields: Fields, path: Path, known: readonly string[]): void {
		for (const name of Object.keys(fields)) {
			if (known.includes(name)) continue;
			const position = this.document.places.keyOf([...path, name]);
			this.problems.push({ position, message: `unknown field ${name}`, hint: `known are ${known.join(", ")}` });
		}
	}

	#text(fields: Fields, path: Path, name: string): string | null {
		const value = fields[name];
		if (value === undefined || value === null) return null;
		if (typeof value === "string" && value !== "") return value;
		this.#fault([...path, name], `${name} is no text`, "put it in quotes");
		return null;
	}

	#fault(path: Path, message: string, hint: string): void {
		this.problems.push({ position: this.document.places.nearest(path)?.position ?? null, message, hint });
	}
}
