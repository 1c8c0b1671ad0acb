/** A Gateway of the same declaration is refused as an endpoint. */
import t from "tap";
import { checkRows, type Row } from "./faultTable.js";

const two = (gateway: string, endpoint: string): string => `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {${gateway}}
---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: x, namespace: team}
spec:
  hosts: [x.example]
  access: open
  defaultVariant: v1
  variants: [{name: v1, endpoints: [{${endpoint}}]}]
`;
const itself = (it: string): readonly string[] => [`w.yaml:13:37: endpoint ${it} is where Gateway edge listens`];
const LOCAL = "it: 127.0.0.1, port: 8080";

const rows: readonly Row[] = [
	["the very it", two("it: 192.0.2.1, port: 8080", "it: 192.0.2.1, port: 8080"), itself("192.0.2.1:8080")],
	["the loopback by name", two(LOCAL, "it: localhost, port: 8080"), itself("localhost:8080")],
	["the loopback by IPv6", two(LOCAL, "it: '::1', port: 8080"), itself("::1:8080")],
	["a Gateway on all addresses", two("it: 0.0.0.0, port: 8080", LOCAL), itself("127.0.0.1:8080")],
	["a Gateway on all of IPv6", two("it: '::', port: 8080", LOCAL), itself("127.0.0.1:8080")],
	["all addresses as an endpoint", two(LOCAL, "it: 0.0.0.0, port: 8080"), itself("0.0.0.0:8080")],
	["another port", two(LOCAL, "it: 127.0.0.1, port: 8081"), []],
	["another machine", two("it: 0.0.0.0, port: 8080", "it: 192.0.2.1, port: 8080"), []],
	["a Gateway on any free port", two("it: 127.0.0.1, port: 0", LOCAL), []],
];

checkRows(t, rows);
