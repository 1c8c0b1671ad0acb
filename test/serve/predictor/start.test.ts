import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { Pool } from "../../../src/serve/predictor/pool.js";
import { type PredictorOptions, startPredictor } from "../../../src/serve/predictor/server.js";
import { employmentModel, tinyModel } from "./doubles.js";

t.test("a configuration that cannot be served is refused at the start, with a hint", async (t) => {
	const folder = mkdtempSync(join(tmpdir(), "weir-predictor-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const corrupt = join(folder, "corrupt.onnx");
	writeFileSync(corrupt, "no model");
	const path = employmentModel("plain");
	const base = { models: [{ name: "m", path }], address: "127.0.0.1", port: 0, workers: 1 };
	const cases: readonly [options: PredictorOptions, error: { code: string; message: RegExp; hint?: RegExp }][] = [
		[
			{ ...base, address: "0.0.0.0" },
			{ code: "invalid-argument", message: /0\.0\.0\.0/, hint: /127\.0\.0\.1/ },
		],
		[
			{ ...base, address: "::" },
			{ code: "invalid-argument", message: /does not listen/ },
		],
		[
			{ ...base, address: "example.com" },
			{ code: "invalid-argument", message: /does not listen/ },
		],
		[
			{ ...base, address: "unix:relative" },
			{ code: "invalid-argument", message: /absolute/ },
		],
		[
			{ ...base, port: 70_000 },
			{ code: "invalid-argument", message: /no port/ },
		],
		[
			{ ...base, workers: 0 },
			{ code: "invalid-argument", message: /0 workers/ },
		],
		[
			{ ...base, models: [] },
			{ code: "invalid-argument", message: /no model/, hint: /--model/ },
		],
		[
			{ ...base, models: [{ name: "a/b", path }] },
			{ code: "invalid-argument", message: /'a\/b'/ },
		],
		[
			{ ...base, models: [...base.models, ...base.models] },
			{ code: "invalid-argument", message: /twice/ },
		],
		[
			{ ...base, models: [{ name: "m", path: join(folder, "none.onnx") }] },
			{ code: "not-found", message: /cannot read/ },
		],
		[
			{ ...base, models: [{ name: "m", path: corrupt }] },
			{ code: "failed-precondition", message: /cannot load .*corrupt/, hint: /ONNX/ },
		],
		[
			{ ...base, models: [{ name: "m", path: folder }] },
			{ code: "failed-precondition", message: /cannot load/ },
		],
		[
			{ ...base, models: [{ name: "m", path: tinyModel("half") }] },
			{ code: "failed-precondition", message: /float16/ },
		],
		[
			{ ...base, models: [{ name: "m", path: tinyModel("sequence") }] },
			{ code: "failed-precondition", message: /no tensor .*zipmap/ },
		],
	];
	for (const [options, error] of cases) await t.rejects(startPredictor(options), error);
	const running = await startPredictor(base);
	t.teardown(() => running.close());
	await t.rejects(startPredictor({ ...base, port: Number(new URL(running.url).port) }), {
		code: "failed-precondition",
		hint: /another process/,
	});
});

t.test(
	"a worker that cannot load its model waits for the others, whose termination would abort the process",
	async (t) => {
		const folder = mkdtempSync(join(tmpdir(), "weir-predictor-"));
		t.teardown(() => rmSync(folder, { recursive: true }));
		const path = join(folder, "loaded");
		const workerUrl = new URL("./loading.worker.js", import.meta.url);
		await t.rejects(Pool.start({ models: [{ name: "m", version: "1", path }], workers: 2, workerUrl }), {
			code: "failed-precondition",
			message: `model 'm': cannot load ${path}: no model`,
		});
		t.ok(existsSync(path), "the other worker has loaded");
	},
);
