/** The demo's resources, as a platform team would write them. Endpoints are where the demo's predictors listen. */
import type { DemoService } from "./modes.js";

/** Trust domain of the demo's own authority. */
export const DEMO_DOMAIN = "demo.weir";
const APP_ID = `spiffe://${DEMO_DOMAIN}/ns/people/sa/app`;
const LABELS_ID = `spiffe://${DEMO_DOMAIN}/ns/people/sa/labels`;
/** The app that asks, the reporter of labels, and a client without rights; by the names of their identities' sockets. */
export const PEOPLE = { app: APP_ID, labels: LABELS_ID, outsider: `spiffe://${DEMO_DOMAIN}/ns/people/sa/outsider` };

export interface DemoEndpoints {
	/** By service, ports of the two Variants. */
	readonly ports: ReadonlyMap<string, { readonly v1: number; readonly v2: number }>;
	/** SPIFFE id of the model servers. */
	readonly predictorId: string;
}

export const hostOf = (service: string): string => `${service}.demo`;

/** What is there before anyone thinks of an experiment. */
export function servicesYaml(services: readonly DemoService[], at: DemoEndpoints): string {
	return [
		`apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: demo}
spec:
  address: 127.0.0.1
  port: 0
  exposeArm: true
  tls: {identity: mesh}
`,
		`apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: people-may-ask}
spec:
  action: allow
  services: [${services.map(({ service }) => service).join(", ")}]
  principals: ["${APP_ID}"]
  methods: [POST]
  pathPrefixes: [/v2/models/employment]
`,
		`apiVersion: weir.dev/v1alpha1
kind: Metric
metadata: {name: accuracy}
spec: {type: rate, source: outcome, direction: up, window: 1s, senders: ["${LABELS_ID}"]}
`,
		`apiVersion: weir.dev/v1alpha1
kind: Metric
metadata: {name: latency-p90}
spec: {type: quantile, quantile: 0.9, source: latency, direction: down, window: 1s}
`,
		`apiVersion: weir.dev/v1alpha1
kind: Metric
metadata: {name: error-rate}
spec: {type: rate, source: errors, direction: down, window: 1s}
`,
		...services.map(({ service }) => {
			const ports = at.ports.get(service);
			return `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: ${service}}
spec:
  hosts: [${hostOf(service)}]
  protocol: http1
  defaultVariant: v1
  timeout: 2s
  retries: {attempts: 2, on: [connect-failure, refused-stream]}
  circuitBreaker: {maxConnections: 16, maxPendingRequests: 10000, maxRequests: 10000}
  identities: ["${at.predictorId}"]
  variants:
    - {name: v1, endpoints: [{address: 127.0.0.1, port: ${ports?.v1}}]}
    - {name: v2, endpoints: [{address: 127.0.0.1, port: ${ports?.v2}}]}
`;
		}),
	].join("---\n");
}

/** What the team declares then. */
export function experimentsYaml(services: readonly DemoService[]): string {
	return [
		...services.map(
			({ service, experiment }) => `apiVersion: weir.dev/v1alpha1
kind: Experiment
metadata: {name: ${experiment}}
spec:
  service: ${service}
  unit: {header: x-user-id}
  layer: {name: ${service}-models, slot: [0%, 100%]}
  arms:
    - {name: control, variant: v1, weight: 1, baseline: true}
    - {name: challenger, variant: v2, weight: 1}
  goal: {metric: accuracy, improveBy: {absolute: 0.5pp}}
  guardrails:
    - {metric: latency-p90, margin: {relative: 100%}}
    - {metric: error-rate, margin: {absolute: 0.5pp}}
  rollout: {steps: [20%, 50%, 100%], every: 3s, minUnits: 200, alpha: 0.05, maxDuration: 14d, onInconclusive: keep-default}
`,
		),
	].join("---\n");
}
