/** `weir why` and the access record log agree on each request of a real Envoy and sidecar: judge, verdict, reason. */
import { type ClientRequest, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import type { AccessRecordsAnswer } from "../../../../src/observe/events/query/accessRecordQuery.js";
import type { WholeAccount } from "../../../../src/observe/events/query/account.js";
import { bootstrapOf, startEnvoy } from "../../../envoy/harness.js";
import { inThisTier } from "../../../envoy/tierVersions.js";
import { accessPolicy, experiment, PATIENT, resourceSet, service, variant } from "../../../fixtures/resources.js";
import { startUpstream } from "../../../fixtures/upstream.js";
import { startSidecar } from "../../../publish/sidecar/rig.js";
import { startLiveRig } from "../rig.js";

t.setTimeout(120_000);

for (const [version, protocol] of inThisTier([
	["1.40.0", "ext_authz"],
	["1.36.2", "ext_proc"],
] as const))
	t.test(`Envoy ${version}, ${protocol}`, { timeout: 90_000 }, async (t) => {
		const port = await startUpstream(t, (_request, response) => response.end("ok"));
		const variants = [variant("v1", port), variant("v2", port)];
		const { rig, planOf, collectors } = await startLiveRig(t, { allowedRecordsPpm: 1_000_000 });
		const guarded = { access: null, callout: PATIENT } as const;
		const plan = planOf(
			resourceSet({
				services: ["purge", "shut", "cookies"].map((name) => service(name, variants, guarded)),
				accessPolicies: [
					accessPolicy("may-purge", "allow", ["purge"], { principals: ["anyone"], methods: ["PURGE", "GET"] }),
					accessPolicy("no-propfind", "deny", ["purge"], { methods: ["PROPFIND"] }),
					accessPolicy("all", "allow", ["shut", "cookies"], { principals: ["anyone"] }),
					accessPolicy("no-secrets", "deny", ["cookies"], { pathPrefixes: ["/secret"] }),
				],
				experiments: [
					experiment("by-cookie", "cookies", [1, 1], { unit: { from: "cookie", cookie: "id", maxAgeMs: 60_000 } }),
				],
			}),
			{ protocol, closed: new Set(["shut"]) },
		);
		t.match(plan.table.services.find(({ name }) => name === "cookies")?.callout, { verdict: false, assignment: true });
		const sidecar = await startSidecar(t, plan);
		const envoy = await startEnvoy(t, bootstrapOf(plan, collectors, sidecar.socketPath), { version });
		const ask = (host: string, method: string, path: string): Promise<string> =>
			new Promise((resolve, reject) => {
				const sent: ClientRequest = request(
					{ host: "127.0.0.1", port: envoy.port(), method, path, headers: { host: `${host}.test` } },
					(response) => {
						response.resume();
						response.on("end", () => resolve(String(response.headers["x-request-id"])));
					},
				);
				sent.on("error", reject).end();
			});
		/** Waits until both have the request. */
		const accountAndRecord = async (host: string, method: string, path: string) => {
			const id = await ask(host, method, path);
			for (let tries = 0; ; tries++) {
				const account = (await rig.call("GET", `/v1/requests/${id}`, "")).json as WholeAccount;
				const { decisions } = (await rig.call("GET", `/v1/requests?requestId=${id}`, "")).json as AccessRecordsAnswer;
				const [record] = decisions;
				if (account.known === "whole" && record !== undefined) return { account, record };
				if (tries > 200) throw new Error(`not recorded: ${JSON.stringify([account, decisions])}`);
				await pause(50);
			}
		};
		for (const [host, method, path, reason, policy, by] of [
			["purge", "GET", "/", "allowed", "may-purge", "envoy"],
			["purge", "PURGE", "/", "allowed", null, "envoy"],
			["purge", "PROPFIND", "/", "forbidden", "no-propfind", "envoy"],
			["purge", "POST", "/", "no-policy-allows", null, "envoy"],
			["cookies", "GET", "/", "allowed", "all", "envoy"],
			["cookies", "GET", "/secret", "forbidden", "no-secrets", "envoy"],
			["cookies", "GET", "/a;b", "not-canonical", null, "envoy"],
		] as const) {
			const { account, record } = await accountAndRecord(host, method, path);
			const what = `${method} ${host}${path}`;
			t.match(account.access, { reason, policy, by }, what);
			t.match(record, { reason, by, method: account.method }, what);
			if (host === "cookies") t.equal(account.route?.assignment === null, path !== "/", what);
		}
		const { account, record } = await accountAndRecord("shut", "GET", "/");
		t.match([account.access, record], Array(2).fill({ kind: "denied", reason: "configuration-refused", by: "envoy" }));
		t.equal((await accountAndRecord("nobodys", "GET", "/")).account.access.reason, "unknown-service");
		await sidecar.server.close();
		const silent = await accountAndRecord("cookies", "GET", "/");
		t.match(silent.account, { access: { kind: "denied", reason: "unanswered" }, route: { assignment: null } });
		t.match(silent.record, { kind: "denied", reason: "unanswered" });
	});
