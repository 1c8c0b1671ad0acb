/** Plans with protected Services, and what an Envoy has that has taken them. */
import type { Declared } from "../../src/cli/roles/probedPlans.js";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { loadResources } from "../../src/resources/parse.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import type { GatewayServed, Hosts, Served } from "../../src/xds/served.js";

/** A Service's name by its host's. */
const named = (host: string): string => host.replace("*", "any").replaceAll(".", "-");

/** Protected Services and an open one behind one Gateway without TLS. */
export function planOf(port: number, tls = "", guarded: readonly string[] = ["guarded"]): Declared {
	const service = (name: string, access: string) => `---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: ${named(name)}}
spec: {hosts: ["${name}.test"], defaultVariant: v1, ${access}variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: 9}]}]}
`;
	const text = `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {port: ${port}${tls}}
${guarded.map((name) => service(name, "")).join("")}${service("open", "access: open, ")}---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: someone}
spec: {action: allow, services: [${guarded.map(named).join(", ")}], principals: ["spiffe://weir.test/a"]}
`;
	const { resources, problems } = loadResources([{ name: "w.yaml", text }]);
	if (resources === null) throw new Error(JSON.stringify(problems));
	const { table, version } = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS });
	return { gateways: resources.gateways, table, version };
}

/** Virtual hosts of a plan: each Service is as it is in any other. */
export const hostsOf = ({ table }: Declared): Hosts => new Map(table.services.map(({ name }) => [name, name]));

/** Of which plan its routes are. */
export const routesOf = (plan: Declared) => ({ plan: plan.version, hosts: hostsOf(plan) });

/** What an Envoy has that has taken all of a plan, but for what is said. */
export const taken = (plan: Declared, more: Partial<GatewayServed> = {}): Served => {
	const all = { ...routesOf(plan), coming: null, listener: "1", moving: false, current: true, refused: false, ...more };
	return new Map(plan.gateways.map(({ metadata: { name } }) => [name, all]));
};
