/** Access rules on a whole stack with a real Envoy: probe, change, rollback, grant and its end, delete. */

import t from "tap";
import { answerOf } from "../../fixtures/answerOf.js";
import { startBackend } from "../backend.js";
import { fileOf, temporaryDirectory, weir, weirUp } from "../command.js";
import { gatewayText, serviceText } from "../documents.js";

t.setTimeout(120_000);

const policy = (name: string, methods: string, namespace = "default", service = "guarded"): string => `---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: ${name}, namespace: ${namespace}}
spec: {action: allow, services: ["${service}"], principals: [anyone], methods: [${methods}]}
`;
const GRANT = `---
apiVersion: weir.dev/v1alpha1
kind: ReferenceGrant
metadata: {name: in}
spec: {from: [{kind: AccessPolicy, namespace: security}], to: [{kind: Service, name: guarded}]}
`;

t.test("probe, rollback, grants and delete change what a real Envoy allows", async (t) => {
	const port = await startBackend(t, "served");
	const directory = await temporaryDirectory(t);
	const file = await fileOf(
		directory,
		"weir.yaml",
		`${[gatewayText(), serviceText("guarded", [port])].join("---\n")}${policy("callers", "GET")}`,
	);
	const up = await weirUp(file, `${directory}/data`);
	t.teardown(() => up.stop());
	const gateway = new URL(up.ready.gateway);
	const headers = { host: "guarded.test", "content-length": 0 };
	const status = async (method: string): Promise<number> =>
		(await answerOf({ port: gateway.port, method, headers })).status;
	/** Envoy takes a change some milliseconds after it was accepted. */
	const becomes = async (method: string, wanted: number): Promise<number> => {
		const until = Date.now() + 20_000;
		let seen = await status(method);
		while (seen !== wanted && Date.now() < until) seen = await status(method);
		return seen;
	};
	const run = async (...args: readonly string[]) => {
		const { code, stdout, stderr } = await weir([...args, "--api", up.ready.api]);
		return { code, out: stdout.toString(), stderr };
	};
	const apply = async (text: string): Promise<void> => {
		const { code, stderr } = await run("apply", "-f", await fileOf(directory, "next.yaml", text));
		t.equal(code, 0, stderr);
	};
	t.equal(await becomes("GET", 200), 200);
	t.equal(await status("PUT"), 403);

	t.match(await run("probe"), {
		code: 0,
		out: "denied      Envoy weir-gateway  Gateway edge  Service guarded\n",
	});

	const [{ revision }] = JSON.parse((await run("history", "--json")).out);
	await apply(policy("callers", "PUT"));
	t.equal(await becomes("GET", 403), 403);
	t.match(await run("rollback", "--to", String(revision)), { code: 0, out: "configured AccessPolicy callers\n" });
	t.equal(await becomes("GET", 200), 200);
	t.equal(await status("PUT"), 403);

	await apply(GRANT + policy("central", "PUT", "security", "default/guarded"));
	t.equal(await becomes("PUT", 200), 200);
	t.match(await run("delete", "ReferenceGrant", "in"), { code: 0 });
	t.equal(await becomes("PUT", 403), 403, "with the grant goes what it carried");
	t.equal(await status("GET"), 200);

	t.match(await run("delete", "AccessPolicy", "callers"), { code: 1, stderr: /the last one about Service guarded/ });
	t.equal(await status("GET"), 200);
});
