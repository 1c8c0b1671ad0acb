/** Endpoints and identities of a Service belong to one namespace. */
import t from "tap";
import { checkRows, type Row } from "./faultTable.js";

const HEAD = "apiVersion: weir.dev/v1alpha1\nkind: Service\n";
/** Six lines of each Service, then its endpoint on the line `endpoints`. */
const service = (namespace: string, name: string, endpoint: string, more = ""): string =>
	`${HEAD}metadata: {name: ${name}, namespace: ${namespace}}
spec:
  hosts: [${name}.${namespace}.example]
  access: open
  defaultVariant: v1
  variants: [{name: v1, endpoints: [{${endpoint}}]}]
${more}`;
const two = (first: string, second: string, namespace = "team-b"): string =>
	`${service("team-a", "guarded", first)}---\n${service(namespace, "backdoor", second)}`;
const stolen = (endpoint: string): readonly string[] => [
	`w.yaml:17:37: endpoint ${endpoint} is declared by Service team-a/guarded`,
];
const IDENTITY = "  identities: ['spiffe://a/model']\n";

const rows: readonly Row[] = [
	[
		"the same address and port",
		two("address: m.internal, port: 1", "address: m.internal, port: 1"),
		stolen("m.internal:1"),
	],
	["in other letters", two("address: m.internal, port: 1", "address: M.Internal, port: 1"), stolen("m.internal:1")],
	["another port", two("address: m.internal, port: 1", "address: m.internal, port: 2"), []],
	["another address", two("address: m.internal, port: 1", "address: n.internal, port: 1"), []],
	["within one namespace", two("address: m.internal, port: 1", "address: m.internal, port: 1", "team-a"), []],
	[
		"IPv6, spelt otherwise",
		two("address: '2001:db8::1', port: 1", "address: '2001:DB8:0:0::1', port: 1"),
		stolen("2001:DB8:0:0::1:1"),
	],
	[
		"IPv4 as IPv6",
		two("address: 192.0.2.1, port: 1", "address: '::ffff:192.0.2.1', port: 1"),
		stolen("::ffff:192.0.2.1:1"),
	],
	[
		"this machine by another of its addresses",
		two("address: 127.0.0.1, port: 1", "address: localhost, port: 1"),
		stolen("localhost:1"),
	],
	["this machine by IPv6", two("address: 127.0.0.1, port: 1", "address: '::1', port: 1"), stolen("::1:1")],
	[
		"the same identity at another address, which may be the same server by another name",
		`${service("team-a", "guarded", "address: m.internal, port: 1", IDENTITY)}---\n${service("team-b", "backdoor", "address: alias.internal, port: 1", IDENTITY)}`,
		["w.yaml:19:16: spec.identities[0] names spiffe://a/model, which the endpoints of Service team-a/guarded have"],
	],
	[
		"the same identity within one namespace",
		`${service("team-a", "guarded", "address: m.internal, port: 1", IDENTITY)}---\n${service("team-a", "second", "address: n.internal, port: 1", IDENTITY)}`,
		[],
	],
];

checkRows(t, rows);
