/** The alarm of a bypass, from a Gateway that lets the probe pass to the line of `weir status`; and its end. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import t from "tap";
import { alarmLines } from "../../src/cli/commands/alarms.js";
import { watchForBypass } from "../../src/cli/roles/probe.js";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { loadResources } from "../../src/resources/parse.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { createLog } from "../../src/telemetry/log.js";
import { createMeter } from "../../src/telemetry/meter.js";

/** One protected and one open Service behind one Gateway without TLS. */
function planOf(port: number) {
	const service = (name: string, access: string) => `---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: ${name}}
spec: {hosts: [${name}.test], defaultVariant: v1, ${access}variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: 9}]}]}
`;
	const text = `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {port: ${port}}
${service("guarded", "")}${service("open", "access: open, ")}---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: someone}
spec: {action: allow, services: [guarded], principals: ["spiffe://weir.test/a"]}
`;
	const { resources, problems } = loadResources([{ name: "w.yaml", text }]);
	if (resources === null) throw new Error(JSON.stringify(problems));
	const { table } = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS });
	return { gateways: resources.gateways, table };
}

t.test("a Gateway that does not refuse raises an alarm, and one that does again ends it", async (t) => {
	let refuses = false;
	const asked: string[] = [];
	const gateway = createServer((request, response) => {
		asked.push(`${request.method} ${request.url} ${request.headers.host}`);
		if (refuses) response.writeHead(403).end("access denied: not-canonical\n");
		else response.end("ok");
	});
	await new Promise<void>((resolve) => gateway.listen(0, "127.0.0.1", resolve));
	t.teardown(() => {
		gateway.closeAllConnections();
		gateway.close();
	});
	const { gateways, table } = planOf((gateway.address() as AddressInfo).port);
	const lines: string[] = [];
	const meter = createMeter({ role: "xds" });
	let connected = false;
	const watch = watchForBypass({
		log: createLog({ role: "xds", write: (line) => lines.push(line), environment: {} }),
		meter,
		identity: null,
		adminSocket: null,
		connected: () => connected,
		intervalMs: 3_600_000,
	});
	t.teardown(() => watch.close());
	watch.served(gateways, table);
	await watch.round();
	t.same(asked, [], "where no Envoy is connected there is nothing to ask");
	connected = true;
	await watch.round();
	t.same(asked, ["OPTIONS /.well-known/weir-probe guarded.test"]);
	t.match(lines, [/"level":"error".*"alarm":"probe-passed".*"gateway":"edge".*"service":"guarded".*"status":200/]);
	t.same(alarmLines(await meter.text()), [
		"ALARM probe-passed at Gateway edge: a request that every policy denies was not refused",
	]);
	refuses = true;
	await watch.round();
	t.equal(lines.length, 1);
	t.same(alarmLines(await meter.text()), []);
	t.match(await meter.text(), /weir_probe_alarms_total\{[^}]*alarm="probe-passed"[^}]*\} 1/);
	gateway.closeAllConnections();
	await new Promise((resolve) => gateway.close(resolve));
	await watch.round();
	t.match(alarmLines(await meter.text()), [/probe-unanswered at Gateway edge/]);
});
