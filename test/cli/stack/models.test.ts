/** A model's life under `weir up`: pushed, served by its alias, promoted under load and rolled back, with no failed request. */
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { askApi, fileOf, type RunningUp, temporaryDirectory, weir, weirUp } from "../command.js";
import { gatewayText } from "../documents.js";

const MODELS = new URL("../../../../test/fixtures/employment/", import.meta.url);
const pathOf = (model: string): string => fileURLToPath(new URL(`${model}.onnx`, MODELS));

const SERVICE = `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: employment}
spec:
  hosts: [127.0.0.1]
  access: open
  defaultVariant: live
  variants:
    - {name: live, model: employment@production}
`;

const INPUT = {
	name: "features",
	datatype: "FP32",
	shape: [1, 16],
	data: [62, 21, 1, 1, 2, 0, 1, 1, 4, 1, 1, 2, 2, 2, 1, 1],
};

async function predict(up: RunningUp): Promise<{ status: number; version: string; text: string }> {
	const response = await fetch(`${up.ready.gateway}/v2/models/employment/infer`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ inputs: [INPUT] }),
	});
	const text = await response.text();
	const { model_version: version = "" } = JSON.parse(text) as { model_version?: string };
	return { status: response.status, version, text };
}

t.setTimeout(120_000);

t.test("a model is pushed, served, promoted by its alias and rolled back, and no request fails", async (t) => {
	const directory = await temporaryDirectory(t);
	const data = `${directory}/data`;
	const model = async (...args: string[]): Promise<string> => {
		const { code, stdout, stderr } = await weir(["model", ...args, "--store", `${data}/models`]);
		t.equal(code, 0, stderr);
		return stdout.toString();
	};
	const [, plain] = /(sha256:[0-9a-f]{64})/.exec(await model("push", "employment:1", pathOf("plain"))) ?? [];
	const [, better] = /(sha256:[0-9a-f]{64})/.exec(await model("push", "employment:2", pathOf("better"))) ?? [];
	await model("alias", "employment", "production", "1", "--reason", "the first");
	const file = await fileOf(directory, "weir.yaml", [gatewayText("port: 0"), SERVICE].join("---\n"));
	const up = await weirUp(file, data);
	t.teardown(async () => void (await up.stop("SIGKILL")));

	t.match(await predict(up), { status: 200, version: "1" });
	const status = async () => (await weir(["status", "--api", up.ready.api])).stdout.toString();
	t.match(await status(), `Variant live: model employment@${plain}`);

	const failed: string[] = [];
	let answered = 0;
	let loading = true;
	const load = Promise.all(
		Array.from({ length: 4 }, async () => {
			while (loading) {
				const answer = await predict(up);
				answered++;
				if (answer.status !== 200) failed.push(answer.text);
			}
		}),
	);
	const until = async (version: string): Promise<void> => {
		while ((await predict(up)).version !== version) await pause(20); // an answer is the only event that shows it
	};
	await model("alias", "employment", "production", "2", "--reason", "better on 2018");
	await until("2");
	t.match(await status(), `Variant live: model employment@${better}`);
	await model("rollback", "employment", "production", "--reason", "complaints");
	const rolledBackAt = performance.now();
	await until("1");
	t.comment(`people are back ${(performance.now() - rolledBackAt).toFixed(0)} ms after the command`);
	loading = false;
	await load;
	t.same(failed, [], `no request of ${answered} failed`);

	await t.test("a model that cannot be served leaves the one before, and weir status says why", async (t) => {
		const broken = await fileOf(directory, "broken.onnx", "no model");
		await model("push", "employment:3", broken);
		await model("alias", "employment", "production", "3", "--reason", "by mistake");
		while (!/model-not-served/.test(await status())) await pause(50); // status has no event to wait for
		t.match(await status(), /cannot load .*it serves employment@sha256:/);
		t.match(await predict(up), { status: 200, version: "1" });
		await model("rollback", "employment", "production", "--reason", "it does not load");
		while (/model-not-served/.test(await status())) await pause(50);
	});
	t.match((await askApi(up.ready.api, "/v1/status")).text, plain ?? "");
	t.equal(await up.stop(), 0);
});
