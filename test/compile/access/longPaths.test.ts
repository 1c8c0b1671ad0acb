/**
 * Paths of PATH_CHARS_MAX characters and of one more, in every execution: the longer ones are refused if an enforced policy
 * reads paths, and reported as refused by the dry run if a shadow policy does.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { accessTable, compileAccess, compileShadow } from "../../../src/compile/access/rules/policy.js";
import { denialOf, ruleDenial } from "../../../src/compile/envoy/denial.js";
import { PATH_CHARS_MAX } from "../../../src/limits/index.js";
import { attackScene, FORMS } from "../../attack/scene.js";
import { exchange, get } from "../../attack/wire.js";
import type { TestScope } from "../../envoy/harness.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, variant } from "../../fixtures/resources.js";
import { withAccessLog } from "../../parity/observation.js";
import { type MutualTls, spiffe } from "./mutualTls.js";

t.setTimeout(240_000);

const LENGTHS = [PATH_CHARS_MAX - 1, PATH_CHARS_MAX, PATH_CHARS_MAX + 1];
const pathOf = (length: number): string => `/${"a".repeat(length - 1)}`;
const HOSTS = ["judged", "tried", "allows", "open"] as const;
const any = { pathTemplates: ["/{x}"] };

/** Enforced policies of judged alone look at paths; shadow policies that take any path would deny, or allow, all. */
function resources(port: number, tls: MutualTls) {
	const fields = { access: null, callout: PATIENT } as const;
	const alice = { principals: [spiffe("alice")] };
	return resourceSet({
		gateways: [gateway({ tls: tls.gateway })],
		services: HOSTS.map((name) => service(name, [variant("v1", port)], name === "open" ? {} : fields)),
		accessPolicies: [
			accessPolicy("judged-any", "allow", ["judged"], { ...alice, ...any }),
			accessPolicy("tried-get", "allow", ["tried"], { ...alice, methods: ["GET"] }),
			accessPolicy("tried-any", "deny", ["tried"], { ...any, mode: "shadow" }),
			accessPolicy("allows-get", "allow", ["allows"], { ...alice, methods: ["GET"] }),
			accessPolicy("allows-any", "allow", ["allows"], { ...alice, ...any, mode: "shadow" }),
			accessPolicy("open-any", "deny", ["open"], { ...any, mode: "shadow" }),
		],
	});
}

/** By host and length: the status, and what the dry run would refuse, why, and by which policy. */
const WANTED = Object.fromEntries(
	HOSTS.map((host) => [
		host,
		LENGTHS.map((length) => {
			const long = length > PATH_CHARS_MAX;
			if (host === "judged") return long ? [403, "not-canonical", "-"] : [200, "-", "-"];
			if (host === "allows") return [200, "-", long ? "not-canonical null" : "-"];
			return [200, "-", long ? "not-canonical null" : `forbidden ${host}-any`];
		}),
	]),
);

async function observed(t: TestScope, form: string, version?: string) {
	const directory = await mkdtemp(join(tmpdir(), "weir-long-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const log = join(directory, "log");
	const fields = { rbac: "%DYNAMIC_METADATA(envoy.filters.http.rbac)%" };
	const logged = (bootstrap: object) => withAccessLog(bootstrap, log, fields);
	const scene = await attackScene(t, form, resources, logged, undefined, version);
	const sent = HOSTS.flatMap((host) => LENGTHS.map((length) => ({ host, length })));
	const statuses: number[] = [];
	for (const { host, length } of sent) {
		const answer = await exchange(await scene.as("alice"), get(`${host}.test`, pathOf(length)));
		statuses.push(answer.statuses[0] ?? 0);
	}
	await scene.envoy.stop();
	const lines = (await readFile(log, "utf8")).split("\n").filter((line) => line !== "");
	return { sent, statuses, lines: lines.map((line) => JSON.parse(line)) };
}

/** @param rbac Envoy's word, or else the sidecar's */
function dryRun(rbac: Readonly<Record<string, string>>, said: Readonly<Record<string, string>> | null): string {
	if (said?.shadow === "deny") return `${said.shadowReason} ${said.shadowPolicy ?? null}`;
	if (rbac.weir_deny_shadow_engine_result !== "denied") return "-";
	const { reason, policy } = ruleDenial(rbac.weir_deny_shadow_effective_policy_id ?? "");
	return `${reason} ${policy}`;
}

const EXECUTIONS = [
	...["1.40.0", "1.38.3", "1.36.2"].map((version) => ["native", version] as const),
	...Object.keys(FORMS).flatMap((form) => (form === "native" ? [] : [[form, undefined] as const])),
];

for (const [form, version] of EXECUTIONS) {
	t.test(`long paths are refused or reported, ${form} ${version ?? ""}`, async (t) => {
		const { sent, statuses, lines } = await observed(t, form, version);
		t.equal(lines.length, sent.length);
		const got = sent.map(({ host }, at) => {
			const { details, rbac, verdict, process } = lines[at];
			const refused = denialOf(details ?? "")?.reason ?? "-";
			return { host, results: [statuses[at], refused, dryRun(rbac ?? {}, verdict ?? process ?? null)] };
		});
		for (const host of HOSTS) {
			t.same(
				got.filter((one) => one.host === host).map(({ results }) => results),
				WANTED[host],
				host,
			);
		}
		if (form !== "native") return;
		// Envoy logs where its evaluation of the allow rules ended: for a long path before any of them.
		const ends = lines.slice(-2 * LENGTHS.length, -LENGTHS.length).map(({ rbac }) => rbac);
		t.same(
			ends.map((rbac) => rbac.weir_allow_shadow_effective_policy_id),
			["allows-any", "allows-any", "(ambiguous path length)"],
		);
	});
}

t.test("the pure function refuses long paths, for policy test and the sidecar", async (t) => {
	const { services, accessPolicies } = resources(1, { gateway: null } as unknown as MutualTls);
	t.equal(services.length, HOSTS.length);
	t.equal(accessPolicies.length, 6);
	for (const one of services) {
		const { name } = one.metadata;
		const table = accessTable(one, accessPolicies);
		const [verdict, shadow] = [compileAccess(table, name), compileShadow(table, name)];
		const asked = (path: string) => ({
			...{ principal: spiffe("alice"), method: "GET", path, variant: "v1", token: null, region: null, nowMs: 0 },
		});
		const told = LENGTHS.map((length) => {
			const [given, tried] = [verdict(asked(pathOf(length))), shadow?.(asked(pathOf(length))) ?? null];
			const would = given.allowed && tried?.allowed === false ? `${tried.reason} ${tried.policy}` : "-";
			return [given.allowed ? 200 : 403, given.allowed ? "-" : given.reason, would];
		});
		t.same(told, WANTED[name], name);
	}
});
