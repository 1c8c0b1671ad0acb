/** A valid declaration, for tests that change one field. */
export const GOOD = `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: employment}
spec:
  hosts: [employment.example]
  access: open
  defaultVariant: v1
  variants:
    - name: v1
      endpoints: [{address: 127.0.0.1, port: 9001, locality: {region: here}}]
    - name: v2
      endpoints: [{address: localhost, port: 9002}]
---
apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: public}
spec:
  port: 8080
---
apiVersion: weir.dev/v1alpha1
kind: Metric
metadata: {name: accuracy}
spec:
  type: mean
---
apiVersion: weir.dev/v1alpha1
kind: Metric
metadata: {name: latency-p99}
spec:
  type: quantile
  source: latency
  quantile: 0.99
---
apiVersion: weir.dev/v1alpha1
kind: Metric
metadata: {name: error-rate}
spec:
  type: rate
  source: errors
---
apiVersion: weir.dev/v1alpha1
kind: Experiment
metadata: {name: boosted-vs-logistic}
spec:
  service: employment
  unit: {header: x-user-id}
  layer: {name: models, slot: [0%, 100%]}
  arms:
    - {name: control, variant: v1, weight: 1, baseline: true}
    - {name: boosted, variant: v2, weight: 1}
  goal: {metric: accuracy, improveBy: {absolute: 0.5pp}}
  guardrails:
    - {metric: latency-p99, margin: {relative: 100%}}
    - {metric: error-rate, margin: {absolute: 0.5pp}}
  rollout:
    steps: [2%, 10%, 50%, 100%]
    every: 10s
    minUnits: 500
    alpha: 0.05
    maxDuration: 14d
    onInconclusive: keep-default
`;

/** GOOD with one text replaced by another; the text must be there. */
export function spoil(from: string, to: string, text = GOOD): string {
	if (!text.includes(from)) throw new Error(`not in the declaration: ${from}`);
	return text.replace(from, () => to);
}

/** Another Experiment, on the same Service unless `lines` replace it. */
export function experiment(
	name: string,
	lines: { service?: string; unit?: string; layer: string; salt?: string },
): string {
	return `---
apiVersion: weir.dev/v1alpha1
kind: Experiment
metadata: {name: ${name}}
spec:
  service: ${lines.service ?? "employment"}
  unit: {header: ${lines.unit ?? "x-user-id"}}
  layer: ${lines.layer}
  arms:
    - {name: a, variant: v1, baseline: true}
    - {name: b, variant: v2}
  rollout: {steps: [100%]}
${lines.salt === undefined ? "" : `  salt: ${lines.salt}\n`}`;
}

/**
 * GOOD with the Service under an AccessPolicy `web`, which is the last document, its spec in one line.
 * @param lines callout: its spec.callout, in line 6; unit: that of the Experiment; policy: more fields of the policy
 */
export function guarded(lines: { callout?: string; unit?: string; policy: string }): string {
	const callout = lines.callout === undefined ? "" : `  callout: ${lines.callout}\n`;
	const tls = "  port: 8080\n  tls: {certificateFile: a.pem, privateKeyFile: b.pem, clientCaFile: c.pem}";
	const text = spoil("{header: x-user-id}", lines.unit ?? "{header: x-user-id}", spoil("  port: 8080", tls));
	return `${spoil("  access: open\n", callout, text)}---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: web}
spec: {services: [employment], principals: [spiffe://example.org/web], ${lines.policy}}
`;
}
