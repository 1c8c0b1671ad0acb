/**
 * Claims with any text as units: jwt_authn puts them into a header. Text that no header can hold must fail no
 * request, and an invalid unit is none in every execution, for the Variant and for its upstreams.
 */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import t from "tap";
import { isUnit } from "../../src/compile/assignment/unit.js";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { claimHeader } from "../../src/compile/plan/headers.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { type MutualTls, mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { AUDIENCE, createMinter, ISSUER, type Minter } from "../compile/envoy/secure/tokens.js";
import { bootstrapOf, startEnvoy, type TestScope } from "../envoy/harness.js";
import { inThisTier } from "../envoy/tierVersions.js";
import {
	accessPolicy,
	experiment,
	gateway,
	PATIENT,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../fixtures/resources.js";
import { startUpstream } from "../fixtures/upstream.js";
import { FORMS } from "./scene.js";
import { startVerifyingSidecar } from "./sidecar.js";
import { exchange, get } from "./wire.js";

t.setTimeout(600_000);

const NICK = claimHeader("nick");
const OTHER = claimHeader("other");

/** Each with an Experiment by `nick`. One's servers speak HTTP/2, where blanks around a value are an error. */
const ASSIGNED = ["open", "mesh", "users", "two"] as const;
/** Verifies tokens without assignment; assigns by another claim. */
const UNASSIGNED = ["plain", "others"] as const;

const VALUES: readonly unknown[] = [
	...["a\nb", "a\r\nx-injected: 1", "a\rb", "a\u0000b", "\u0007", "a\u007fb", "\n"],
	...[" ann", "ann ", "\tann", "ann\t", "a\tb", " ", "", "a b", "a,b"],
	...["jörg", "\u0080", "名", "a\u2028b", null, {}, []],
	...["ann", "a:b", "%0a", 5, true],
];

interface Seen {
	readonly status: number | undefined;
	readonly arm: string | null;
	/** The claims' headers that the upstream got. */
	readonly nick: string | null;
	readonly other: string | null;
	readonly injected: boolean;
}

async function ground(t: TestScope, tls: MutualTls, minter: Minter, form: string, version?: string) {
	const file = join(dirname(tls.gateway.certificateFile), "keys.json");
	await writeFile(file, JSON.stringify(minter.jwks));
	let got: NodeJS.Dict<string | string[]> | null = null;
	const http1 = await startUpstream(t as never, ({ headers }, response) => {
		got = headers;
		response.end();
	});
	const server = createServer((request, response) => {
		got = request.headers;
		response.end();
	});
	await once(server.listen(0, "127.0.0.1"), "listening");
	t.teardown(() => void server.close());
	const http2 = (server.address() as AddressInfo).port;
	const at = (port: number) => ["v1", "v2"].map((name) => variant(name, port));
	const plan = compile(
		resourceSet({
			gateways: [gateway({ tls: tls.gateway, tokens: [tokenIssuer(ISSUER, [AUDIENCE], file)] })],
			services: [
				service("open", at(http1), { callout: PATIENT }),
				service("two", at(http2), { callout: PATIENT, protocol: "http2" }),
				...["mesh", "users", ...UNASSIGNED].map((name) => service(name, at(http1), { access: null, callout: PATIENT })),
			],
			experiments: [...ASSIGNED, "others"].map((name) =>
				experiment(`e-${name}`, name, [1, 1], {
					unit: { from: "claim", claim: name === "others" ? "other" : "nick" },
					layer: name,
				}),
			),
			accessPolicies: [
				accessPolicy("web", "allow", ["mesh"], { principals: [spiffe("web")] }),
				accessPolicy("any-user", "allow", ["users", ...UNASSIGNED], { users: ["*"] }),
			],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS, allocationPpm: 1_000_000, ...FORMS[form] },
	);
	const envoy = await startEnvoy(
		t,
		bootstrapOf(plan, undefined, plan.asksSidecar ? await startVerifyingSidecar(t, plan) : null),
		version === undefined ? {} : { version },
	);
	const client = await tls.client(envoy.port(), "web");
	return async (host: string, claims: Readonly<Record<string, unknown>>): Promise<Seen> => {
		got = null;
		const { statuses, text } = await exchange(
			await client(),
			get(`${host}.test`, "/", [`Authorization: Bearer ${minter.token(claims)}`]),
		);
		const header = (name: string) => (got?.[name] === undefined ? null : String(got[name]));
		return {
			status: statuses[0],
			arm: /^x-weir-arm: (.*)$/im.exec(text)?.[1]?.trim() ?? null,
			nick: header(NICK),
			other: header(OTHER),
			injected: header("x-injected") !== null,
		};
	};
}

/** Names of tests are ASCII: some of the values end a line of theirs. */
const shown = (value: unknown): string => encodeURI(JSON.stringify(value));

/** As jwt_authn writes it into a header: lists and objects as base64 of their JSON. */
function written(value: unknown): string {
	if (value === null) return "";
	return typeof value === "object" ? Buffer.from(JSON.stringify(value)).toString("base64") : String(value);
}

const NO_UNIT: Seen = { status: 200, arm: null, nick: null, other: null, injected: false };

for (const version of inThisTier(["1.40.0", "1.36.2"]))
	t.test(`Envoy ${version}: each claim is a unit or none in all executions`, { timeout: 300_000 }, async (t) => {
		const tls = await mutualTls(t as never);
		const minter = createMinter(Date.now());
		const forms = await Promise.all(
			Object.keys(FORMS).map(async (form) => [form, await ground(t, tls, minter, form, version)] as const),
		);
		for (const value of VALUES) {
			for (const host of ASSIGNED) {
				const arms = new Set<string | null>();
				for (const [form, asked] of forms) {
					const seen = await asked(host, { nick: value, other: value });
					const what = `${form}, ${host}: ${shown(value)}`;
					const nick = written(value);
					if (isUnit(nick)) t.match(seen, { ...NO_UNIT, arm: new RegExp(`^e-${host}/arm[12]$`), nick }, what);
					else t.same(seen, NO_UNIT, what);
					arms.add(seen.arm);
				}
				t.equal(arms.size, 1, `${host}: ${shown(value)}: one arm, or none`);
			}
		}
		for (const [form, asked] of forms) {
			for (const nick of ["a\nb", " ann", "ann"]) {
				const what = `${form}: ${shown(nick)}`;
				t.same(await asked("plain", { nick, other: "bob" }), NO_UNIT, `${what}: a Service without Experiments`);
				t.match(await asked("others", { nick, other: "bob" }), { status: 200, nick: null, other: "bob" }, what);
				t.same(await asked("others", { nick }), NO_UNIT, `${what}, its own claim is missing`);
			}
		}
	});
