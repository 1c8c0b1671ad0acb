/** No endpoint of a Service and no gate may have a machine's own address, in any spelling. */
import t from "tap";
import { machineAddress } from "../../../src/declare/resources/machineAddress.js";
import { checkRows, problemsOf, type Row, shortProblemsOf } from "./faultTable.js";

const service = (address: string): string => `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: x}
spec:
  hosts: [x.example]
  access: open
  defaultVariant: v1
  variants: [{name: v1, endpoints: [{address: 10.0.0.9, port: 80}, {port: 80, address: '${address}'}]}]
`;
const gated = (url: string): string => `apiVersion: weir.dev/v1alpha1
kind: Experiment
metadata: {name: trial}
spec:
  service: x
  unit: {header: x-user-id}
  arms: [{name: a, variant: v1, weight: 1, baseline: true}]
  rollout:
    steps: [50%]
    gates: [{at: before-step, url: '${url}'}]
`;
const LINK = "a link-local address";
const METADATA = "an address of a cloud's metadata";
const OWN: readonly (readonly [address: string, what: string])[] = [
	["169.254.169.254", LINK],
	["169.254.0.0", LINK],
	["169.254.255.255", LINK],
	["::ffff:169.254.169.254", LINK],
	["::ffff:a9fe:a9fe", LINK],
	["0:0:0:0:0:FFFF:A9FE:A9FE", LINK],
	["::169.254.169.254", LINK],
	["64:ff9b::a9fe:a9fe", LINK],
	["fe80::1", LINK],
	["FEBF:ffff::1", LINK],
	["fe80::a9fe:a9fe", LINK],
	["fd00:ec2::254", METADATA],
	["fd00:0ec2:0:0::254", METADATA],
	["fd20:ce::254", METADATA],
	["100.100.100.200", METADATA],
	["192.0.0.192", METADATA],
	["168.63.129.16", METADATA],
	["::ffff:168.63.129.16", METADATA],
];
const OTHERS = [
	...["169.253.255.255", "169.255.0.0", "10.0.0.1", "127.0.0.1", "0.0.0.0", "192.0.2.1", "168.63.129.17", "8.8.8.8"],
	...["::1", "::", "fec0::1", "fe7f::1", "fd00:ec3::254", "fd00::1", "2001:db8::a9fe:a9fe", "::ffff:10.0.0.1", "1::"],
];

t.test("numeric addresses of the machine are refused", async (t) => {
	for (const [address, what] of OWN) t.equal(machineAddress(address), what, address);
	t.equal(machineAddress("fe80::1%eth0"), LINK, "with its zone");
	for (const address of [...OTHERS, "", "x", "fe80.example", "169.254.169.254.example"])
		t.equal(machineAddress(address), null, address);
});

checkRows(t, [
	...OWN.map(
		([address, what]): Row => [
			`endpoint ${address}`,
			service(address),
			[`w.yaml:8:88: spec.variants[0].endpoints[1].address is ${address}, ${what}`],
		],
	),
	...OTHERS.map((address): Row => [`endpoint ${address}`, service(address), []]),
]);

t.test("a number in the form of a name is refused as an endpoint", async (t) => {
	for (const name of ["0xa9fea9fe", "169.254.0xa9fe", "2852039166", "0xA9.0xfe.0xa9.0xfe", "0x"])
		t.match(problemsOf(service(name)), [/^w.yaml:8:88: .*write an IP address or a DNS name/], name);
	t.same(shortProblemsOf(service("0xa9.example")), []);
});

t.test("a gate's address is reported with its position, in any scheme and spelling", async (t) => {
	for (const [written, host, what] of [
		["https://[fd00:ec2::254]/", "[fd00:ec2::254]", METADATA],
		["https://169.254.169.254/latest?x=1", "169.254.169.254", LINK],
		["https://2852039166/", "169.254.169.254", LINK],
		["https://169.254.169.254./", "169.254.169.254", LINK],
		["https://[::ffff:169.254.169.254]/", "[::ffff:a9fe:a9fe]", LINK],
	] as const) {
		const said = `w.yaml:10:36: spec.rollout.gates[0].url leads to ${host}, ${what}`;
		t.match(problemsOf(gated(written)).join("\n"), `${said}; name a server`, written);
	}
	for (const url of ["https://ci.example/", "http://127.0.0.1:8080/", "https://10.0.0.1/", "https://[fd00::1]/"])
		t.notMatch(problemsOf(gated(url)).join("\n"), /gates/, url);
	t.match(problemsOf(gated("http://169.254.169.254/")).join("\n"), /gates\[0\].url .*write an https URL/);
});

t.test("an issuer's keys cannot have a machine's own address either", async (t) => {
	const gateway = (url: string) =>
		`apiVersion: weir.dev/v1alpha1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  address: 127.0.0.1\n  port: 8443\n  tls: {certificateFile: a, privateKeyFile: b}\n  tokens:\n    - {issuer: "https://id.example", audiences: [a], jwksUrl: "${url}"}\n`;
	for (const url of ["https://169.254.169.254/k", "https://[fd00:ec2::254]/k", "https://2852039166/k"])
		t.match(problemsOf(gateway(url)).join("\n"), /jwksUrl leads to .*; name the issuer's server/, url);
	t.notMatch(problemsOf(gateway("https://127.0.0.1/k")).join("\n"), /jwksUrl/);
});
