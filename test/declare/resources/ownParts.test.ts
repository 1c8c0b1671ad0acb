/** A Service's servers must not be the mesh's own parts or control's own listeners. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { controlListeners } from "../../../src/cli/roles/api.js";
import {
	type ControlListener,
	controlListenerProblems,
} from "../../../src/declare/resources/checks/controlListener.js";
import { parseResources } from "../../../src/declare/resources/parse.js";
import { formatProblem } from "../../../src/declare/resources/resource.js";
import { Store } from "../../../src/operate/state/store/store.js";
import { checkRows, type Row } from "./faultTable.js";

const service = (endpoint: string, more: string): string => `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: evil}
spec:
  hosts: [evil.example]
  access: open
  defaultVariant: v1
  variants: [{name: v1, endpoints: [{${endpoint}}]}]
${more}`;
const named = (id: string): string => service("address: 10.0.0.1, port: 1", `  identities: ['${id}']\n`);
const refused = (id: string): Row => [
	`${id} is refused`,
	named(id),
	[`w.yaml:9:16: spec.identities[0] is ${id}, a part of the mesh itself`],
];
const taken = (id: string): Row => [`${id} is taken`, named(id), []];

checkRows(t, [
	refused("spiffe://weir.local/weir/control"),
	refused("spiffe://another.domain/weir/control"),
	refused("spiffe://weir.local/weir/envoy/edge"),
	refused("spiffe://weir.local/weir/sidecar"),
	refused("spiffe://weir.local/weir/sidecar/a"),
	refused("spiffe://weir.local/weir/operator/ada"),
	refused("spiffe://weir.local/weir/whatever-comes"),
	refused("spiffe://weir.local/weir/predictors"),
	refused("spiffe://weir.local/weir"),
	taken("spiffe://weir.local/weir/predictor"),
	taken("spiffe://weir.local/weir/predictor/a"),
	taken("spiffe://weir.local/ns/weir/sa/control"),
	taken("spiffe://weir.local/weirs/control"),
]);

const listener = { address: "127.0.0.1", port: 18000, what: "control's xDS" };
for (const [endpoint, message] of [
	["address: 127.0.0.1, port: 18000", "127.0.0.1:18000"],
	["address: localhost, port: 18000", "localhost:18000"],
	["address: '::ffff:127.0.0.1', port: 18000", "::ffff:127.0.0.1:18000"],
	["address: 127.0.0.1, port: 18001", null],
	["address: 10.0.0.1, port: 18000", null],
] as const) {
	t.test(`endpoint ${endpoint} is ${message === null ? "accepted" : "refused as control's listener"}`, async (t) => {
		const { resources, positions } = parseResources([{ name: "w.yaml", text: service(endpoint, "") }]);
		t.same(
			controlListenerProblems(resources.services, [listener], positions).map(
				(one) => formatProblem(one).split("; ")[0],
			),
			message === null ? [] : [`w.yaml:8:37: endpoint ${message} is control's xDS`],
		);
	});
}

t.test("the store refuses a Service at an open listener of control", async (t) => {
	const directory = mkdtempSync(join(tmpdir(), "weir-listeners-"));
	t.teardown(() => rmSync(directory, { recursive: true, force: true }));
	let listeners: readonly ControlListener[] = [];
	const store = new Store(directory, { controlListeners: () => listeners });
	t.teardown(() => store.close());
	const files = [{ name: "w.yaml", text: service("address: 127.0.0.1, port: 18000", "") }];
	const dryRun = { by: "ada", dryRun: true, nowMs: 1 };
	t.equal(store.apply(files, dryRun).outcome, "applied");
	const context = { apiListener: null, xdsListen: { host: "0.0.0.0", port: 18000 }, accessLogListen: null };
	listeners = controlListeners(context, "unix:/run/api.sock");
	t.match(store.apply(files, dryRun), { outcome: "refused", problems: [{ message: /is control's xDS$/ }] });
	t.same(controlListeners({ ...context, xdsListen: null }, "unix:/run/api.sock"), []);
	const tls = { key: "", cert: "", ca: "" };
	const apiListener = { address: "127.0.0.1", port: 0, tls, peer: () => null };
	t.same(
		controlListeners(
			{ apiListener, xdsListen: null, accessLogListen: { host: "10.0.0.1", port: 7 } },
			"https://127.0.0.1:9",
		),
		[
			{ address: "127.0.0.1", port: 9, what: "control's API" },
			{ address: "10.0.0.1", port: 7, what: "control's access log" },
		],
	);
});
