/** Documents of a declaration for stacks on this machine, to be joined by `---\n`. */
const HEAD = "apiVersion: weir.dev/v1alpha1\n";

export const gatewayText = (spec = "port: 0", name = "edge"): string => `${HEAD}kind: Gateway
metadata: {name: ${name}}
spec: {${spec}}
`;

/** One that demands certificates of the mesh. */
export const MESH_GATEWAY = gatewayText("port: 0, tls: {identity: mesh}");

/** A Service with a Variant a port: v1, v2 and so on. @param more lines of its spec */
export const serviceText = (
	name: string,
	ports: readonly number[],
	more = "",
	host = `${name}.test`,
): string => `${HEAD}kind: Service
metadata: {name: ${name}}
spec:
  hosts: [${host}]
  defaultVariant: v1
${more === "" ? "" : `  ${more}\n`}  variants:
${ports.map((port, at) => `    - {name: v${at + 1}, endpoints: [{address: 127.0.0.1, port: ${port}}]}\n`).join("")}`;

/** An open Service at 127.0.0.1. */
export const openService = (name: string, ports: readonly number[]): string =>
	serviceText(name, ports, "access: open", "127.0.0.1");

/** @param rule more of its spec */
export const policyText = (name: string, service: string, rule: string): string => `${HEAD}kind: AccessPolicy
metadata: {name: ${name}}
spec: {action: allow, services: [${service}], ${rule}}
`;

/** A Service, and the one caller that may use it. */
export const protectedService = (name: string, port: number, caller: string): string =>
	[serviceText(name, [port]), policyText(name, name, `principals: ["${caller}"]`)].join("---\n");

/** A rate Metric from outcomes. */
export const outcomeMetric = (name: string, window: string): string => `${HEAD}kind: Metric
metadata: {name: ${name}}
spec: {type: rate, source: outcome, window: ${window}}
`;

/** Arm control of v1 against a challenger of v2, half each. @param more lines of its spec */
export const experimentText = (
	name: string,
	service: string,
	challenger: string,
	more: string,
	unit = "header: x-user-id",
): string => `${HEAD}kind: Experiment
metadata: {name: ${name}}
spec:
  service: ${service}
  unit: {${unit}}
  layer: {name: ${service}}
  arms: [{name: control, variant: v1, weight: 1, baseline: true}, {name: ${challenger}, variant: v2, weight: 1}]
  ${more}
`;
