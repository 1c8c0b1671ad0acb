/** A condition on the path is not passed by another spelling of the same path, through a real Envoy. */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { text as bodyOf } from "node:stream/consumers";
import type { Test } from "tap";
import { type MutualTls, spiffe } from "../compile/access/mutualTls.js";
import { AUDIENCE, createMinter, ISSUER } from "../compile/envoy/secure/tokens.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, tokenIssuer, variant } from "../fixtures/resources.js";
import { attackScene } from "./scene.js";
import { exchange, get } from "./wire.js";

const PRINTABLE = Array.from({ length: 0x7f - 0x21 }, (_, index) => String.fromCharCode(0x21 + index));
const WIDE = ["é", "ü", "€", "𝄞", "\u202e"];

/** Every printable character, every escape in every case, and what takes several. */
const SPELLINGS: readonly string[] = [
	...PRINTABLE,
	...Array.from({ length: 256 }, (_, byte) => casesOf(`%${byte.toString(16).padStart(2, "0")}`)).flat(),
	...WIDE.flatMap((char) => casesOf(encodeURIComponent(char))),
	...["%C3%a9", "%c3%A9", "%25%37%43", "%u0041", "%2%35", "%E2%82", "%C0%AF", "%c1%9c", "%E0%80%AF", "%ED%A0%80"],
	...["%F4%90%80%80", "%252F", "%252e", "%2541", "%25zz"],
];

function casesOf(code: string): readonly string[] {
	const [lower, upper] = [code.toLowerCase(), code.toUpperCase()];
	const mixed = lower.replaceAll(/%(.)(.)/g, (_, first, second) => `%${first.toUpperCase()}${second}`);
	return [...new Set([lower, upper, mixed])];
}

/** As lenient servers decode: nothing is invalid. */
const decoded = (path: string): string =>
	Buffer.from(
		path.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
		"latin1",
	).toString("utf8");

/** What conditions name as a text. `?` cannot be: a path is compared without its query. */
const NAMED = [...PRINTABLE.filter((char) => char !== "?"), " ", ...WIDE];
/** Printable, and in no path that is served. */
const NEVER_SERVED = [";", "\\"];

/** In no path that is served where a condition reads it. */
const REFUSED = [
	...["%2F", "%2f", "%5C", "%5c", ";", "%3B", "%3b", "%00", "%0a", "%7F", "/%2e%2e%2f", "%2e%2e%2f"],
	...["%252F", "%252e%252e", "%2541", "%25%34%31", "%", "%z", "%u002f"],
	...["%ff", "%80", "%C3", "%c3%28", "%E2%82", "%C0%AF", "%E0%80%AF", "%ED%A0%80", "%F4%90%80%80", "%F8%88%80%80%80"],
];

const inList = (chars: readonly string[]): string =>
	`request.path in [${chars.map((char) => JSON.stringify(`/no${char}x`)).join()}]`;

/**
 * All spellings against an Envoy of a version, with its sidecar in a form.
 * @param spelled by which protocols each spelling is asked; all else is by both
 */
export async function conditionsHold(
	t: Test,
	version: string,
	form: "ext_authz" | "ext_proc",
	spelled: readonly ("http1" | "http2")[] = ["http1", "http2"],
): Promise<void> {
	const minter = createMinter(Date.now());
	const keys = (tls: MutualTls): string => join(dirname(tls.gateway.certificateFile), "keys.json");
	const resources = (port: number, tls: MutualTls) =>
		resourceSet({
			gateways: [gateway({ tls: tls.gateway, tokens: [tokenIssuer(ISSUER, [AUDIENCE], keys(tls))] })],
			services: ["literal", "claimed", "own", "docs"].map((name) =>
				service(name, [variant("v1", port)], { access: null, callout: PATIENT }),
			),
			accessPolicies: [
				accessPolicy("all", "allow", ["literal", "claimed", "docs"], { principals: [spiffe("web")] }),
				accessPolicy("no-0", "deny", ["literal"], { condition: inList(NAMED.slice(0, 50)) }),
				accessPolicy("no-1", "deny", ["literal"], { condition: inList(NAMED.slice(50)) }),
				accessPolicy("no-claimed", "deny", ["claimed"], {
					condition: 'request.path == "/no" + string(user.claims.blocked) + "x"',
				}),
				accessPolicy("own", "allow", ["own"], {
					users: ["*"],
					condition: 'request.path.startsWith("/users/" + user.subject + "/")',
				}),
				accessPolicy("blocked", "deny", ["docs"], {
					condition: 'has(user.claims.blocked) && request.path == "/docs/" + string(user.claims.blocked)',
				}),
				accessPolicy("no-export", "deny", ["docs"], { condition: 'request.path.startsWith("/export")' }),
			],
		});
	const prepare = async (tls: MutualTls) => {
		await writeFile(keys(tls), JSON.stringify(minter.jwks));
		return {};
	};
	const scene = await attackScene(t, form, resources, undefined, prepare, version);
	const session = await scene.tls.http2(scene.envoy.port(), "web");
	const by = {
		async http1(host: string, path: string, token: string): Promise<string> {
			const lines = [`Authorization: Bearer ${token}`];
			return (await exchange(await scene.as("web"), get(host, path, lines))).text;
		},
		async http2(host: string, path: string, token: string): Promise<string> {
			const stream = session.request({ ":authority": host, ":path": path, authorization: `Bearer ${token}` });
			await once(stream, "response");
			return bodyOf(stream);
		},
	};
	// One for each user: new ones cost, and are limited.
	const tokens = new Map<string, string>();
	const tokenOf = (claims: object): string => {
		const key = JSON.stringify(claims);
		const token = tokens.get(key) ?? minter.token(claims);
		tokens.set(key, token);
		return token;
	};
	/** The path that the upstream was sent, else why not. */
	const asked = async (
		how: keyof typeof by,
		host: string,
		path: string,
		claims: object = {},
	): Promise<{ readonly url: string | null; readonly denial: string }> => {
		const answer = await by[how](`${host}.test`, path, tokenOf(claims));
		const [denial = "none"] = /access denied: \S+/.exec(answer) ?? [];
		return { url: scene.upstream.take()[0]?.url.split("?")[0] ?? null, denial };
	};

	for (const how of ["http1", "http2"] as const) {
		// Each HTTP/1 request is a handshake.
		for (const host of !spelled.includes(how) ? [] : how === "http1" ? ["claimed"] : ["literal", "claimed"]) {
			await t.test(`${how}: a deny on the decoded path holds in every spelling, ${host}`, async (t) => {
				const served = new Set<string>();
				for (const spelling of SPELLINGS) {
					const text = decoded(spelling);
					const ok = await asked(how, host, `/ok${spelling}x`, { blocked: text });
					const no = await asked(how, host, `/no${spelling}x`, { blocked: text });
					const named = host === "claimed" || NAMED.includes(text);
					if (named && no.url !== null) t.not(decoded(no.url), `/no${text}x`, `${spelling} is served as ${no.url}`);
					if (ok.url === null) t.equal(no.url, null, `${spelling} is refused, whatever is before it`);
					else if (decoded(ok.url) === `/ok${text}x`) {
						served.add(text);
						if (named) t.equal(no.denial, "access denied: forbidden", spelling);
					}
				}
				const wanted = [...NAMED, "?"].filter((char) => !NEVER_SERVED.includes(char));
				t.same([...served].sort(), [...wanted, "%zz"].sort(), "what is served, in some spelling");
			});
		}

		await t.test(`${how}: names and claims of users in conditions`, async (t) => {
			for (const [sub, ...segments] of [
				["auth0|5f7c", "auth0|5f7c", "auth0%7C5f7c", "auth0%7c5f7c"],
				["jörg", "j%C3%B6rg", "j%c3%b6rg"],
				["ann@x.org", "ann@x.org"],
				["who? me#1", "who%3F%20me%231"],
				["plain", "plain", "%70lain"],
			] as const) {
				for (const segment of segments) {
					t.not((await asked(how, "own", `/users/${segment}/x`, { sub })).url, null, segment);
					const other = await asked(how, "own", `/users/${segment}/x`, { sub: `${sub}-` });
					t.equal(other.denial, "access denied: no-policy-allows", `${segment}, for another`);
				}
			}
			for (const [blocked, ...segments] of [
				["secret", "secret", "%73ecret", "x/../secret"],
				["my secret", "my%20secret"],
				["a|b", "a|b", "a%7Cb", "a%7cb"],
				["über", "%C3%BCber", "%c3%bcber", "%c3%BCber"],
				["[x]", "[x]", "%5Bx%5D", "%5bx]"],
			] as const) {
				for (const segment of segments) {
					const { denial } = await asked(how, "docs", `/docs/${segment}?q`, { blocked });
					t.equal(denial, "access denied: forbidden", segment);
					t.not((await asked(how, "docs", `/docs/${segment}`, { blocked: "other" })).url, null, segment);
					t.not((await asked(how, "docs", `/docs/${segment}`)).url, null, segment);
				}
			}
			t.equal((await asked(how, "docs", "/export?all=1")).denial, "access denied: forbidden");
		});

		await t.test(`${how}: ambiguous paths are refused`, async (t) => {
			for (const part of REFUSED) {
				for (const host of ["literal", "claimed", "docs"]) {
					t.equal((await asked(how, host, `/a${part}x`, { blocked: "z" })).url, null, `${host} ${part}`);
				}
			}
			for (const before of ["/z/../", "/z/%2e%2e/", "/./", "//", "/z/..//", "/z/..;/", "/z\\..\\"]) {
				t.equal((await asked(how, "literal", `${before}no!x`)).url, null, before);
			}
		});
	}
}
