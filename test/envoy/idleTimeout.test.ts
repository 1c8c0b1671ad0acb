/** Idle streams on a real Envoy end at the Gateway's idleTimeout, but not before the Service's own timeout. */
import { once } from "node:events";
import { request, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { startUpstream } from "../fixtures/upstream.js";
import { bootstrapOf, startEnvoy } from "./harness.js";

const IDLE_MS = 400;

t.test("an idle stream ends at the Gateway's idleTimeout, or at the Service's longer timeout", async (t) => {
	const answers: Readonly<Record<string, (response: ServerResponse) => Promise<unknown>>> = {
		"/silent": async () => undefined,
		"/thinks": (response) => pause(3 * IDLE_MS).then(() => response.end("ok")),
		"/streams": async (response) => {
			response.writeHead(200);
			for (let token = 0; token < 8; token++) {
				response.write("token ");
				await pause(IDLE_MS / 2);
			}
			response.end();
		},
	};
	const port = await startUpstream(t, (asked, response) => void answers[asked.url ?? ""]?.(response));
	const plan = compile(
		resourceSet({
			gateways: [gateway({ idleTimeoutMs: IDLE_MS, connectionIdleTimeoutMs: 1_000 })],
			services: [
				service("quick", [variant("v1", port)], { timeoutMs: 0 }),
				service("slow", [variant("v1", port)], { timeoutMs: 60_000 }),
			],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	const envoy = await startEnvoy(t, bootstrapOf(plan));
	const ask = (host: string, path: string): Promise<string> =>
		new Promise((resolve) => {
			request({ host: "127.0.0.1", port: envoy.port(), path, headers: { host: `${host}.test` } }, (response) => {
				let text = "";
				response.setEncoding("utf8").on("data", (chunk: string) => {
					text += chunk;
				});
				response.once("end", () => resolve(`${response.statusCode} ${text.length}`));
				response.once("error", (error) => resolve(String(error)));
			})
				.once("error", (error) => resolve(String(error)))
				.end();
		});
	t.match(await ask("quick", "/silent"), /^504 /, "silence ends");
	t.match(await ask("quick", "/thinks"), /^504 /);
	t.equal(await ask("quick", "/streams"), "200 48", "a stream with pauses shorter than that goes on, however long");
	t.equal(await ask("slow", "/thinks"), "200 2", "a Service that may take longer may be silent for so long");
	const sinceMs = performance.now();
	const idle = connect(envoy.port(), "127.0.0.1").resume();
	await once(idle, "close");
	const took = performance.now() - sinceMs;
	t.ok(took > 900 && took < 10_000, `a connection without a request ends: ${took} ms`);
});
