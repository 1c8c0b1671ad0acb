/**
 * CPU of xds for one changed rule, compiled and encoded: 20 Gateways with issuers and 100 Services with access rules. Every
 * route names the plan's version, so every route configuration changes. Run: `node dist/test/bench/publish.js`; the last line
 * is `RESULT {"changeMs":…,"compileMs":…,"firstMs":…,"routesMiB":…}`.
 */
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import type { ResourceSet } from "../../src/declare/resources/resource.js";
import { SnapshotMaker } from "../../src/publish/xds/snapshot.js";
import { AUDIENCE, ISSUER } from "../compile/envoy/secure/tokens.js";
import { accessPolicy, gateway, resourceSet, service, tokenIssuer, variant } from "../fixtures/resources.js";
import { median } from "./native/median.js";

const GATEWAYS = 20;
const SERVICES = 100;
const ROUNDS = 11;

const names = Array.from({ length: SERVICES }, (_, index) => `service-${index}`);
const SERVED: ResourceSet = resourceSet({
	gateways: Array.from({ length: GATEWAYS }, (_, index) =>
		gateway({ port: 10_000 + index, tokens: [tokenIssuer(ISSUER, [AUDIENCE], "/keys.json")] }, `gateway-${index}`),
	),
	services: names.map((name) => service(name, [variant("v1", 9_000)], { access: null, hosts: [`${name}.test`] })),
	accessPolicies: names.map((name) => accessPolicy(`people-${name}`, "allow", [name], { users: [`${ISSUER}#*`] })),
});

const maker = new SnapshotMaker();
const cpuMs = (sinceMs = 0): number => {
	const { user, system } = process.cpuUsage();
	return (user + system) / 1_000 - sinceMs;
};

/** CPU ms of the whole and of the compiler. */
function publish(round: number): { readonly ms: number; readonly compileMs: number; readonly routesMiB: number } {
	const rule = accessPolicy("changed", "deny", ["service-0"], { pathPrefixes: [`/round-${round}`] });
	const resources = { ...SERVED, accessPolicies: [...SERVED.accessPolicies, rule] };
	const start = cpuMs();
	const plan = compile(resources, EMPTY_STATUS, {
		collectors: NO_COLLECTORS,
		sidecar: "always",
		installation: "bench",
	});
	const compileMs = cpuMs(start);
	const { views } = maker.make(plan, round);
	const bytes = [...views.routes.values()].reduce((sum, route) => sum + route.bytes.length, 0);
	return { ms: cpuMs(start), compileMs, routesMiB: bytes / 2 ** 20 };
}

const first = publish(0);
console.log(`first: ${Math.round(first.ms)} ms of CPU, ${Math.round(first.compileMs)} of them the compiler's`);
const rounds = Array.from({ length: ROUNDS }, (_, index) => {
	const round = publish(index + 1);
	console.log(`change ${index + 1}: ${Math.round(round.ms)} ms, compiler ${Math.round(round.compileMs)}`);
	return round;
});
const result = {
	changeMs: Math.round(median(rounds.map(({ ms }) => ms))),
	compileMs: Math.round(median(rounds.map(({ compileMs }) => compileMs))),
	firstMs: Math.round(first.ms),
	routesMiB: Number(first.routesMiB.toFixed(1)),
};
console.log(`RESULT ${JSON.stringify(result)}`);
