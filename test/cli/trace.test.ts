import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { startPredictorCommand } from "./backend.js";
import { fileOf, temporaryDirectory, weir, weirUp } from "./command.js";

t.test("weir trace prints the path of one request", async (t) => {
	const directory = await temporaryDirectory(t);
	// The embedded store's socket exists before the first span.
	const port = await startPredictorCommand(t, { WEIR_TRACES_SOCKET: `${directory}/data/run/trace-query.sock` });
	const file = await fileOf(
		directory,
		"weir.yaml",
		`
apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {port: 0}
---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: employment}
spec:
  hosts: [127.0.0.1]
  access: open
  defaultVariant: v1
  variants:
    - {name: v1, endpoints: [{address: 127.0.0.1, port: ${port}}]}
    - {name: v2, endpoints: [{address: 127.0.0.1, port: ${port}}]}
---
apiVersion: weir.dev/v1alpha1
kind: Experiment
metadata: {name: same-model}
spec:
  service: employment
  unit: {header: x-user-id}
  layer: {name: models}
  arms:
    - {name: control, variant: v1, weight: 1, baseline: true}
    - {name: copy, variant: v2, weight: 1}
  rollout: {steps: [100%]}
`,
	);
	const up = await weirUp(file, `${directory}/data`, ["--trace-sampling", "100"]);
	t.teardown(async () => void (await up.stop()));
	const infer = async (headers: Record<string, string>) => {
		const response = await fetch(`${up.ready.gateway}/v2/models/employment/infer`, {
			method: "POST",
			headers: { "content-type": "application/json", "x-user-id": "person-7", ...headers },
			body: JSON.stringify({
				inputs: [{ name: "features", shape: [1, 16], datatype: "FP32", data: Array(16).fill(1) }],
			}),
		});
		t.equal(response.status, 200, await response.text());
		return response.headers.get("x-request-id") ?? "";
	};
	const path = async (id: string) => {
		for (let tries = 0; ; tries++) {
			const { code, stdout, stderr } = await weir(["trace", id, "--api", up.ready.api]);
			const text = stdout.toString();
			if (code === 0 && /weir-predictor/.test(text) && /weir-envoy/.test(text)) return text;
			if (tries > 60) throw new Error(`no whole trace of ${id}: ${text}${stderr}`);
			await pause(100);
		}
	};

	await t.test("of a client that sent no trace, by its request id", async (t) => {
		const text = await path(await infer({}));
		for (const word of ["same-model", "employment", /v[12]/, /control|copy/]) t.match(text, word);
		t.notMatch(text, "person-7", "no raw unit id");
		t.comment(text);
	});

	await t.test("of a client's own trace, by its trace id", async (t) => {
		const traceId = "0af7651916cd43dd8448eb211c80319c";
		await infer({ traceparent: `00-${traceId}-b7ad6b7169203331-01` });
		t.match(await path(traceId), traceId);
	});

	await t.test("an unknown id is said to be unknown", async (t) => {
		const { code, stderr } = await weir(["trace", "f".repeat(32), "--api", up.ready.api]);
		t.equal(code, 1);
		t.match(stderr, "no recent span");
	});
});
