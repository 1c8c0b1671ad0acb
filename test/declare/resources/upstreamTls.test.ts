/** The hop from Envoy to the servers of a protected Service: mutual TLS, or plain text that is declared. */
import t from "tap";
import { parseResources } from "../../../src/declare/resources/parse.js";
import { checkRows, problemsOf, type Row } from "./faultTable.js";

const POLICY = `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {port: 0, tls: {identity: mesh}}
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: p}
spec: {action: allow, services: [demand], principals: ["spiffe://a.example/app"]}
---
`;
const GUARDED = (endpoints: string, more = ""): string => `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: demand}
spec:
  hosts: [demand.example]
  defaultVariant: v1
  variants:
    - {name: v1, endpoints: []}
    - {name: v2, endpoints: [${endpoints}]}
${more}---
${POLICY}`;
const OPEN = (endpoints: string, more = ""): string =>
	GUARDED(endpoints, `${more}  access: open\n`).replace(/---\n.*$/s, "");

const said = (server: string, column: number, more = ""): string =>
	`w.yaml:9:${column}: spec.variants[1].endpoints[${column < 40 ? 0 : 1}] is ${server}, off Envoy's machine${more}: what a protected Service is asked would go there in plain text, and the server could not tell Envoy from another client`;
const refused = (address: string): Row => [
	`${address}`,
	GUARDED(`{address: "${address}", port: 9001}`),
	[said(`${address.includes(":") ? `[${address}]` : address}:9001`, 30)],
];
const taken = (what: string, text: string): Row => [what, text, []];
const REMOTE = "{address: 10.1.2.3, port: 9001}";

checkRows(t, [
	refused("10.1.2.3"),
	refused("2001:db8::1"),
	refused("v2.internal"),
	refused("localhost.example"),
	refused("0.0.0.0"),
	refused("::ffff:10.1.2.3"),
	[
		"the first of several is named",
		GUARDED(`{address: 127.0.0.1, port: 1}, ${REMOTE}, {address: 10.1.2.4, port: 1}`),
		[said("10.1.2.3:9001", 61, " (1 more beside it)")],
	],
	...["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"].map((address) =>
		taken(`${address} is beside Envoy`, GUARDED(`{address: "${address}", port: 9001}`)),
	),
	taken("proved", GUARDED(REMOTE, "  identities: ['spiffe://a.example/model']\n")),
	taken("declared", GUARDED(REMOTE, "  identities: plaintext\n")),
	taken("open", OPEN(REMOTE)),
	taken("open, and declared", OPEN(REMOTE, "  identities: plaintext\n")),
]);

t.test("invalid identities are reported with their position", async (t) => {
	const of = (value: string) => problemsOf(GUARDED(REMOTE, `  identities: ${value}\n`));
	t.match(of("plain"), [/^w.yaml:10:15: spec.identities is "plain"; /]);
	t.match(of("[]"), [/^w.yaml:10:15: spec.identities is an empty list; /]);
	t.match(of("[plaintext]"), [/^w.yaml:10:16: spec.identities\[0\] does not begin with spiffe:/]);
	t.match(of("['spiffe://a.example/b', 'spiffe://a.example']"), [/^w.yaml:10:40: spec.identities\[1\] /]);
	t.match(of("['spiffe://a.example/b', 'spiffe://a.example/b']"), [/^w.yaml:10:40: .* repeats /]);
});

t.test("plaintext is not an identity", async (t) => {
	const text = GUARDED(REMOTE, "  identities: plaintext\n");
	const { services } = parseResources([{ name: "w.yaml", text }]).resources;
	t.equal(services[0]?.spec.identities, null);
});
