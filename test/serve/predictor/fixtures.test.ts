import t from "tap";
import { startPredictor } from "../../../src/serve/predictor/server.js";
import { call, employmentModel, employmentSample } from "./doubles.js";

t.test("the three models give Python's labels on every sample row, at the accuracies of PROVENANCE.md", async (t) => {
	const names = ["plain", "better", "worse"] as const;
	const predictor = await startPredictor({
		models: names.map((name) => ({ name, path: employmentModel(name) })),
		address: "127.0.0.1",
		port: 0,
	});
	t.teardown(() => predictor.close());
	const rows = employmentSample();
	t.equal(rows.length, 12_000);
	const accuracies = { plain: "0.7869", better: "0.8328", worse: "0.5309" };
	for (const name of names) {
		let differing = 0;
		let right = 0;
		for (let from = 0; from < rows.length; from += 2000) {
			const batch = rows.slice(from, from + 2000);
			const { status, json } = await call(predictor.url, {
				path: `/v2/models/${name}/infer`,
				body: {
					inputs: [
						{ name: "features", shape: [batch.length, 16], datatype: "FP32", data: batch.map((row) => row.features) },
					],
					outputs: [{ name: "label" }],
				},
			});
			t.equal(status, 200);
			const label = json.outputs[0];
			t.same(label?.shape, [batch.length]);
			batch.forEach((row, at) => {
				if (label?.data[at] !== row.expected[name]) differing++;
				if (label?.data[at] === row.employed) right++;
			});
		}
		t.equal(differing, 0, `${name} agrees with Python`);
		t.equal((right / rows.length).toFixed(4), accuracies[name], `${name}'s accuracy`);
	}
});
