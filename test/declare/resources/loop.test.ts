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
const itself = (named: string): readonly string[] => [`w.yaml:13:37: endpoint ${named} is where Gateway edge listens`];
const LOCAL = "address: 127.0.0.1, port: 8080";

const rows: readonly Row[] = [
	[
		"the very address",
		two("address: 192.0.2.1, port: 8080", "address: 192.0.2.1, port: 8080"),
		itself("192.0.2.1:8080"),
	],
	["the loopback by name", two(LOCAL, "address: localhost, port: 8080"), itself("localhost:8080")],
	["the loopback by IPv6", two(LOCAL, "address: '::1', port: 8080"), itself("::1:8080")],
	["a Gateway on all addresses", two("address: 0.0.0.0, port: 8080", LOCAL), itself("127.0.0.1:8080")],
	["a Gateway on all of IPv6", two("address: '::', port: 8080", LOCAL), itself("127.0.0.1:8080")],
	["all addresses as an endpoint", two(LOCAL, "address: 0.0.0.0, port: 8080"), itself("0.0.0.0:8080")],
	["another port", two(LOCAL, "address: 127.0.0.1, port: 8081"), []],
	["another machine", two("address: 0.0.0.0, port: 8080", "address: 192.0.2.1, port: 8080"), []],
	["a Gateway on any free port", two("address: 127.0.0.1, port: 0", LOCAL), []],
];

checkRows(t, rows);
