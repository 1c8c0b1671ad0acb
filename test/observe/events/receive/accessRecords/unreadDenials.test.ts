/**
 * One record per denied request, whatever its client does then. A client of HTTP/2 that takes no byte of the answer and
 * goes overwrites Envoy's response_code_details: the entry has the cause of the denial in other fields.
 */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from "node:http2";
import { dirname, join } from "node:path";
import t from "tap";
import type {
	AccessRecordsAnswer,
	ShownAccessRecord,
} from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { startVerifyingSidecar } from "../../../../attack/sidecar.js";
import { AUDIENCE, ISSUER, KEY_SET } from "../../../../attack/tokens.js";
import { mutualTls, spiffe } from "../../../../compile/access/mutualTls.js";
import { bootstrapOf, startEnvoy } from "../../../../envoy/harness.js";
import { inThisTier } from "../../../../envoy/tierVersions.js";
import {
	accessPolicy,
	gateway,
	PATIENT,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../../../../fixtures/resources.js";
import { startUpstream } from "../../../../fixtures/upstream.js";
import { startLiveRig } from "../../rig.js";

t.setTimeout(180_000);

const LEAVING: Readonly<Record<string, (stream: ClientHttp2Stream, session: ClientHttp2Session) => unknown>> = {
	cancels: (stream) => stream.close(constants.NGHTTP2_CANCEL),
	protests: (stream) => stream.close(constants.NGHTTP2_PROTOCOL_ERROR),
	refuses: (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM),
	disconnects: (_stream, session) => session.destroy(),
	// Envoy closes a connection on which most requests are reset at once, and does not log the others on it.
	floods: async (_stream, session) => {
		for (let n = 0; n < 1_000; n++) {
			const one = session.request({ ":path": "/", ":authority": "open.test" });
			one.on("error", () => undefined);
			one.close(constants.NGHTTP2_CANCEL);
			if (n % 20 === 0) await new Promise(setImmediate);
		}
	},
};

/** Caller, host, path, headers, status, and the reason and policy of the record. */
const ASKED = [
	["unknown", "guarded", "/none", {}, 403, "no-policy-allows", null],
	["alice", "guarded", "/secret", {}, 403, "forbidden", "no-secrets"],
	["alice", "guarded", "/gate", { "x-http-method-override": "PUT" }, 403, "not-canonical", null],
	["alice", "users", "/token", { authorization: "Bearer x" }, 401, "invalid-token", null],
	["alice", "limited", "/limit", {}, 429, "rate-limited", null],
	["alice", "shut", "/shut", {}, 503, "configuration-refused", null],
	["alice", "nobodys", "/unknown", {}, 403, "unknown-service", null],
	// The upstream's own.
	["alice", "guarded", "/own/403", {}, 403, null, null],
	["alice", "guarded", "/own/401", {}, 401, null, null],
	["alice", "guarded", "/own/503", {}, 503, null, null],
	["alice", "empty", "/no-server", {}, 503, null, null],
] as const;

/** A flood takes a while, so only one path each for metadata and for the status. */
const FLOODED: ReadonlySet<string> = new Set(["/none", "/token", "/shut"]);

/** Before the sidecar is asked, and so never by it. */
const BY_ENVOY: ReadonlySet<string> = new Set(["/gate", "/limit", "/shut", "/unknown"]);

for (const version of inThisTier(["1.40.0", "1.36.2"]))
	for (const mode of ["native", "ext_authz", "ext_proc"] as const)
		t.test(
			`Envoy ${version}, ${mode}: a denial that the client does not read is recorded`,
			{ timeout: 60_000 },
			async (t) => {
				const tls = await mutualTls(t);
				const keys = join(dirname(tls.gateway.certificateFile), "keys.json");
				await writeFile(keys, KEY_SET);
				const port = await startUpstream(t, ({ url }, response) => {
					response.statusCode = Number(/^\/own\/(\d+)/.exec(url ?? "")?.[1] ?? 200);
					response.end("own");
				});
				const { rig, planOf, collectors } = await startLiveRig(t);
				const guarded = {
					access: null,
					...(mode === "native" ? {} : { callout: { ...PATIENT, access: "sidecar" } as const }),
				};
				const variants = [variant("v1", port)];
				const rateLimits = { service: { requests: 1, perMs: 3_600_000 }, principal: null, tenant: null };
				const services = ["guarded", "empty", "limited", "shut"];
				const plan = planOf(
					resourceSet({
						gateways: [gateway({ tls: tls.gateway, tokens: [tokenIssuer(ISSUER, [AUDIENCE], keys)] })],
						services: [
							service("guarded", variants, guarded),
							service("users", variants, guarded),
							service("limited", variants, { ...guarded, rateLimits }),
							service("shut", variants, guarded),
							service("empty", [variant("v1")], guarded),
							service("open", variants),
						],
						accessPolicies: [
							accessPolicy("alice", "allow", services, { principals: [spiffe("alice")] }),
							accessPolicy("no-secrets", "deny", ["guarded"], { pathPrefixes: ["/secret"] }),
							accessPolicy("user", "allow", ["users"], { users: [`${ISSUER}#alice`] }),
						],
					}),
					{ closed: new Set(["shut"]), ...(mode === "native" ? {} : { protocol: mode }) },
				);
				const sidecar = plan.asksSidecar ? await startVerifyingSidecar(t, plan) : null;
				const envoy = await startEnvoy(t, bootstrapOf(plan, collectors, sidecar), { version });
				const ask = async (who: string, host: string, path: string, headers: object, how: string): Promise<number> => {
					const session = await tls.http2(envoy.port(), who, { initialWindowSize: 0 });
					session.on("error", () => undefined);
					const stream = session.request({ ":path": path, ":authority": `${host}.test`, ...headers });
					stream.on("error", () => undefined);
					const [answer] = await once(stream, "response");
					await LEAVING[how]?.(stream, session);
					// What was written goes first.
					session.close();
					return answer[":status"];
				};
				t.equal(await ask("alice", "limited", "/first", {}, "cancels"), 200);
				const wanted: string[] = [];
				for (const how of Object.keys(LEAVING))
					for (const [who, host, path, headers, status, reason, policy] of ASKED) {
						if (how === "floods" && !FLOODED.has(path)) continue;
						const own = `${path}/${how}`;
						t.equal(await ask(who, host, own, headers, how), status, own);
						const by = mode === "native" || BY_ENVOY.has(path) ? "envoy" : "sidecar";
						if (reason !== null) wanted.push([own, status, "denied deny", reason, policy, by].join(" "));
					}
				const shown = async (): Promise<readonly ShownAccessRecord[]> =>
					((await rig.call("GET", "/v1/requests?limit=1000", "")).json as AccessRecordsAnswer).decisions;
				// Entries come in their order: after this one's none of the others is still to come.
				t.equal(await ask("unknown", "guarded", "/last", {}, "cancels"), 403);
				wanted.push(`/last 403 denied deny no-policy-allows  ${mode === "native" ? "envoy" : "sidecar"}`);
				for (let tries = 0; (await shown()).length < wanted.length && tries < 60; tries++)
					await new Promise((resolve) => setTimeout(resolve, 100));
				t.same(
					(await shown())
						.map(({ path, status, kind, verdict, reason, policy, by }) =>
							[path, status, `${kind} ${verdict}`, reason, policy, by].join(" "),
						)
						.sort(),
					wanted.sort(),
				);
			},
		);
