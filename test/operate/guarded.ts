/** Documents of protected Services for the tests of operations. */
const HEAD = "apiVersion: weir.dev/v1alpha1\n";

/** Options of a Service whose servers have no identity. */
export const PLAIN = "  identities: plaintext\n";

/** Asks for client certificates, so that callers have an identity. */
export const RULES_GATEWAY = `${HEAD}kind: Gateway
metadata: {name: edge}
spec:
  address: 127.0.0.1
  port: 0
  tls: {certificateFile: a.pem, privateKeyFile: a.key, clientCaFile: ca.pem}
`;

/** Protected, with Variants v1 and v2 and servers of its own, in plain text where `more` names no identities. */
export const serviceText = (name: string, namespace = "default", more = ""): string => `${HEAD}kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  hosts: [${name}.${namespace}.example]
  protocol: http1
  defaultVariant: v1
${more}  variants:
    - {name: v1, endpoints: [{address: ${name}.${namespace}.internal, port: 9001, locality: {region: eu}}]}
    - {name: v2, endpoints: [{address: ${name}.${namespace}.internal, port: 9002, locality: {region: eu}}]}
${more.includes("identities:") ? "" : PLAIN}`;

/** Lets one caller in: `spiffe://a.example/NAME`. */
export const policyText = (
	name: string,
	services: string,
	namespace = "default",
	more = "",
): string => `${HEAD}kind: AccessPolicy
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  services: ["${services}"]
  action: allow
  principals: ["spiffe://a.example/${name}"]
${more}`;

export const metricText = (name: string, namespace = "default"): string => `${HEAD}kind: Metric
metadata: {name: ${name}, namespace: ${namespace}}
spec: {type: rate, source: outcome, direction: up, window: 1s}
`;
