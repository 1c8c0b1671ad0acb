/** The upstream of these tests: a server with a fixed answer, or `weir predictor` with a real model. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { startUpstream } from "../fixtures/upstream.js";
import { MAIN } from "./command.js";

interface Teardown {
	teardown(run: () => void): unknown;
}

const PLAIN = fileURLToPath(new URL("../../../test/fixtures/employment/plain.onnx", import.meta.url));

/** Answers every request with `word` until the test ends. @returns its port on 127.0.0.1 */
export const startBackend = (t: Teardown, word = "ok"): Promise<number> =>
	startUpstream(t, (_, response) => response.end(word));

/** `weir predictor` with the plain employment model, at its READY line. @returns its port on 127.0.0.1 */
export async function startPredictorCommand(t: Teardown, environment: NodeJS.ProcessEnv): Promise<number> {
	const child = spawn(process.execPath, [MAIN, "predictor", "--model", `employment=${PLAIN}`], {
		env: { ...process.env, ...environment },
		stdio: ["ignore", "pipe", "inherit"],
	});
	t.teardown(() => void child.kill("SIGKILL"));
	return new Promise((resolve, reject) => {
		let out = "";
		child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
			out += chunk;
			const line = /^READY (.*)$/m.exec(out)?.[1];
			if (line !== undefined) resolve(Number(new URL(JSON.parse(line).url).port));
		});
		child.once("exit", (code) => reject(new Error(`weir predictor ended with ${code}`)));
	});
}
