/**
 * A real Envoy, the real sidecar and ingest: units that a filter makes (a verified claim, a cookie that the sidecar
 * mints) become exposures, a hung request too, and each request has an account with its identity.
 */
import { createSign, generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { request } from "node:https";
import { join } from "node:path";
import t from "tap";
import { claimHeader } from "../../../../../src/compile/plan/headers.js";
import type { Evidence } from "../../../../../src/infer/statistics/evidence.js";
import { COUNTERS } from "../../../../../src/observe/events/meter.js";
import type { RequestAccount, WholeAccount } from "../../../../../src/observe/events/query/account.js";
import { mutualTls, spiffe } from "../../../../compile/access/mutualTls.js";
import { bootstrapOf, startEnvoy } from "../../../../envoy/harness.js";
import { inThisTier } from "../../../../envoy/tierVersions.js";
import {
	accessPolicy,
	CALLOUT,
	experiment,
	gateway,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../../../../fixtures/resources.js";
import { startUpstream } from "../../../../fixtures/upstream.js";
import { startSidecar } from "../../../../publish/sidecar/rig.js";
import { metric, query, seriesKey, startLiveRig } from "../../rig.js";

/** `/hang` is never answered. */
const startVariant = (t: { teardown(run: () => void): unknown }): Promise<number> =>
	startUpstream(t, ({ url }, response) => {
		if (url !== "/hang") response.end("ok");
	});

const ISSUER = "https://issuer.test";
const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "k", alg: "RS256", use: "sig" }] });
const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function token(sub: string): string {
	const iat = Math.floor(Date.now() / 1e3);
	const claims = { iss: ISSUER, aud: "weir", sub, iat, exp: iat + 600 };
	const signed = `${base64({ alg: "RS256", kid: "k", typ: "JWT" })}.${base64(claims)}`;
	return `${signed}.${createSign("RSA-SHA256").update(signed).sign(privateKey, "base64url")}`;
}

interface Answered {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	readonly arm: string;
}

t.setTimeout(120_000);

// The oldest and the newest Envoy, each protocol once: what differs between them is how entries carry the answer.
for (const [version, protocol] of inThisTier([
	["1.40.0", "ext_authz"],
	["1.36.2", "ext_proc"],
] as const)) {
	t.test(`Envoy ${version}, ${protocol}`, { timeout: 60_000 }, async (t) => {
		const tls = await mutualTls(t);
		const [v1, v2] = [await startVariant(t), await startVariant(t)];
		const { rig, planOf, collectors } = await startLiveRig(t);
		const jwksFile = join(rig.directory, "jwks.json");
		await writeFile(jwksFile, jwks);
		const variants = [variant("v1", v1), variant("v2", v2)];
		const names = ["cookies", "claims", "plain"];
		const plan = planOf(
			resourceSet({
				gateways: [gateway({ tls: tls.gateway, tokens: [tokenIssuer(ISSUER, ["weir"], jwksFile)], exposeArm: true })],
				// The sidecar lives in this process, which is busy with much else.
				services: names.map((name) =>
					service(name, variants, {
						access: null,
						callout: { ...CALLOUT, access: name === "cookies" ? "sidecar" : "native", timeoutMs: 10_000 },
					}),
				),
				accessPolicies: [
					accessPolicy("alice-may", "allow", names, { principals: [spiffe("alice")] }),
					accessPolicy("no-admin", "deny", names, { pathPrefixes: ["/admin"] }),
				],
				experiments: [
					experiment("by-cookie", "cookies", [1, 1], {
						unit: { from: "cookie", cookie: "id", maxAgeMs: 60_000 },
						layer: "a",
						stepsPpm: [1_000_000],
					}),
					experiment("by-claim", "claims", [1, 1], {
						unit: { from: "claim", claim: "sub" },
						layer: "b",
						stepsPpm: [1_000_000],
					}),
				],
			}),
			{ protocol },
		);
		t.same(
			plan.table.services.map(({ callout }) => callout?.assignment ?? null),
			[true, null, null],
			"a minted cookie needs the sidecar, a claim does not",
		);
		const sidecar = await startSidecar(t, plan);
		const envoy = await startEnvoy(t, bootstrapOf(plan, collectors, sidecar.socketPath), { version });
		const [alice, unknown] = [
			await tls.ca.issue({ spiffeId: spiffe("alice") }),
			await tls.ca.issue({ spiffeId: spiffe("unknown") }),
		];
		const call = (host: string, path: string, headers: Record<string, string> = {}, caller = alice) =>
			request({
				host: "127.0.0.1",
				port: envoy.port(),
				servername: "gateway.test",
				ca: tls.ca.certificate,
				cert: caller.certificate,
				key: caller.privateKey,
				path,
				headers: { host: `${host}.test`, ...headers },
			});
		const ask = (host: string, path: string, headers: Record<string, string> = {}, caller = alice): Promise<Answered> =>
			new Promise((resolve, reject) => {
				const sent = call(host, path, headers, caller);
				sent.on("error", reject);
				sent.on("response", (response) => {
					response.resume();
					const arm = String(response.headers["x-weir-arm"] ?? "").split("/")[1] ?? "";
					response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, arm }));
				});
				sent.end();
			});
		/** Goes before it is answered. */
		const leave = (host: string, headers: Record<string, string>): Promise<void> =>
			new Promise((resolve) => {
				const sent = call(host, "/", headers, unknown);
				sent.on("error", () => undefined).on("close", () => resolve());
				sent.on("socket", (socket) => socket.once("secureConnect", () => setTimeout(() => sent.destroy(), 1)));
				sent.on("response", (response) => response.resume());
				sent.end();
			});
		const evidence = (name: string, of: string): Promise<Evidence> =>
			rig.ingest.evidence.evidence({ ...query(metric("errors")), experiment: name, service: of });
		const until = async (name: string, of: string, so: (evidence: Evidence) => boolean): Promise<Evidence> => {
			for (let tries = 0; ; tries++) {
				const found = await evidence(name, of);
				if (so(found)) return found;
				if (tries > 300) throw new Error(`it never was so: ${JSON.stringify(found)}\n${rig.lines.join("\n")}`);
				await new Promise((resolve) => setTimeout(resolve, 50));
			}
		};
		const account = async (id: unknown): Promise<RequestAccount> => {
			for (let tries = 0; ; tries++) {
				const { status, json } = await rig.call("GET", `/v1/requests/${String(id)}`, "");
				if (status === 200) return json as RequestAccount;
				if (tries > 200) throw new Error(`answered ${status}: ${JSON.stringify(json)}`);
				await new Promise((resolve) => setTimeout(resolve, 50));
			}
		};
		const whole = async (answered: Answered): Promise<WholeAccount> => {
			for (let tries = 0; ; tries++) {
				const found = await account(answered.headers["x-request-id"]);
				if (found.known === "whole") return found;
				// It is known as soon as it is sent on.
				if (tries > 200) throw new Error(`in outline only: ${JSON.stringify(found)}`);
				await new Promise((resolve) => setTimeout(resolve, 50));
			}
		};

		for (const [host, name, headers] of [
			["cookies", "by-cookie", (unit: string) => ({ cookie: `id=${unit}` })],
			["claims", "by-claim", (unit: string) => ({ authorization: `Bearer ${token(unit)}` })],
		] as const) {
			const arms = new Map<string, string>();
			for (let index = 0; index < 12; index++) {
				const unit = `person-${index}`;
				const { status, arm } = await ask(host, "/", headers(unit));
				t.equal(status, 200);
				arms.set(unit, arm);
			}
			const of = (arm: string): number => [...arms.values()].filter((own) => own === arm).length;
			const early = await evidence(name, host);
			t.same(early.exposures, [], "no unit counts before two intervals are over");
			// It hangs and has a periodic entry. A unit that is refused every Variant is not in the Experiment.
			const hung = call(host, "/hang", headers("hanging"));
			hung.on("error", () => undefined).end();
			const denied = await ask(host, "/admin", headers("denied"));
			t.equal(denied.status, 403);
			for (let index = 0; index < 300; index++) {
				const unit = `person-${index}`;
				if (index % 3 === 0) await leave(host, headers(unit));
				else t.equal((await ask(host, "/", headers(unit), unknown)).status, 403);
			}
			const fresh = host === "cookies" ? await ask(host, "/") : null;
			const more = fresh === null ? 1 : 2;
			const total = (found: Evidence): number => found.arms.reduce((sum, { exposedUnits }) => sum + exposedUnits, 0);
			const found = await until(name, host, (one) => total(one) >= 12 + more);
			t.equal(total(found), 12 + more, "each once, also the one that hangs");
			t.equal(found.conflictingUnits, 0);
			t.equal(found.droppedEntries, 0, rig.lines.join("\n"));
			for (const arm of ["arm1", "arm2"]) {
				const exposed = found.arms.find((one) => one.arm === arm)?.exposedUnits ?? 0;
				t.ok(exposed >= of(arm) && exposed <= of(arm) + more, `${arm}: ${exposed} of ${of(arm)} and ${more} more`);
			}
			t.equal(found.exposures[0]?.planVersion, plan.version);
			hung.destroy();

			const [unit = "", arm = ""] = [...arms][0] ?? [];
			const known = await whole(await ask(host, "/v2/x?secret=1", headers(unit)));
			t.match(known, { principal: spiffe("alice"), method: "GET", path: "/v2/x", status: 200, host: `${host}.test` });
			t.equal(known.codeDetails, "via_upstream");
			const by = host === "cookies" ? "sidecar" : "envoy";
			t.match(known.access, { by, kind: "allowed", reason: "allowed", policy: "alice-may" });
			t.match(known.route, {
				service: host,
				plan: plan.version,
				sentTo: arm === "arm1" ? "v1" : "v2",
				assignment: { by, experiment: name, arm, unit: /^[0-9a-f]{32}$/ },
			});
			if (host === "claims") {
				t.match(known.route?.assignment?.unitFrom, { from: "claim", header: claimHeader("sub"), claim: "sub" });
			}
			t.notMatch(JSON.stringify(known), /secret|person-/);
			t.match(await whole(denied), {
				access: { by, kind: "denied", reason: "forbidden", policy: "no-admin" },
				route: { sentTo: null, assignment: { experiment: name } },
			});
			if (fresh !== null) {
				t.match(fresh.headers["set-cookie"]?.[0], /^id=/);
				t.match((await whole(fresh)).route?.assignment, { by: "sidecar", arm: fresh.arm });
			}
		}

		// Before its token is looked at, which is a good one.
		const early = await ask("claims", "/a;b", { authorization: `Bearer ${token("person-1")}` });
		t.match(await whole(early), { access: { reason: "not-canonical" }, route: { assignment: { unit: null } } });

		// Native through and through.
		t.match(await whole(await ask("plain", "/")), {
			access: { by: "envoy", kind: "allowed", policy: "alice-may" },
			route: { assignment: { unitFrom: null, variant: "v1" } },
		});
		t.match((await whole(await ask("plain", "/admin/x"))).access, { by: "envoy", kind: "denied", policy: "no-admin" });
		t.equal((await whole(await ask("unknown", "/"))).route, null, "no Service has that host");

		// Without the sidecar a verdict fails closed; the request is outside the experiment.
		await sidecar.server.close();
		const closed = await ask("cookies", "/", { cookie: "id=person-1" });
		t.equal(closed.status, 503);
		t.match(await whole(closed), {
			access: { by: "sidecar", kind: "denied", reason: "unanswered" },
			route: { sentTo: null, assignment: null },
		});
		t.equal(rig.meter.counts.get(seriesKey(COUNTERS.contradictions.name, { service: "cookies" })), undefined);
		t.notMatch(rig.lines.join("\n"), /person-|hanging/);
	});
}
