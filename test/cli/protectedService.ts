/** YAML for stacks of which one caller may use a Service: documents to be joined by `---`. */

/** A Service with one endpoint on the loopback interface, and who may use it. */
export const protectedService = (name: string, port: number, caller: string): string => `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: ${name}}
spec:
  hosts: [${name}.test]
  defaultVariant: v1
  variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: ${port}}]}]
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: ${name}}
spec: {action: allow, services: [${name}], principals: ["${caller}"]}
`;

/** One that demands certificates of the mesh. */
export const MESH_GATEWAY = `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {port: 0, tls: {identity: mesh}}
`;
