/** A sidecar hangs under `weir up` while access is revoked: status reports it as behind, and it answers no waiting request by old rules. */

import { execFileSync } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { answerOf } from "../../fixtures/answerOf.js";
import { startBackend } from "../backend.js";
import { askApi, fileOf, temporaryDirectory, weir, weirUp } from "../command.js";
import { gatewayText, policyText, serviceText } from "../documents.js";

t.setTimeout(180_000);

const ASKING = 12;
const PATIENCE_MS = 60_000;

const policy = (methods: string): string =>
	policyText("callers", "guarded", `principals: [anyone], methods: [${methods}]`);

t.test("a hung sidecar is reported, and answers by no older rules", async (t) => {
	const port = await startBackend(t, "served");
	const directory = await temporaryDirectory(t);
	const file = await fileOf(
		directory,
		"weir.yaml",
		[gatewayText(), serviceText("guarded", [port], "callout: {access: sidecar, timeout: 10s}"), policy("GET")].join(
			"---\n",
		),
	);
	const up = await weirUp(file, `${directory}/data`);
	t.teardown(() => up.stop());
	const gateway = new URL(up.ready.gateway);
	const status = async (): Promise<number> =>
		(await answerOf({ port: gateway.port, headers: { host: "guarded.test" } })).status;
	const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
		const endMs = performance.now() + PATIENCE_MS;
		let held = await holds();
		while (!held && performance.now() < endMs) {
			await pause(100);
			held = await holds();
		}
		t.ok(held, what);
	};
	const ready = () => askApi(up.ready.api, "/readyz");
	const statusText = async (): Promise<string> => (await weir(["status", "--api", up.ready.api])).stdout.toString();
	await until("it is served", async () => (await status()) === 200);
	await until("it is ready", async () => (await ready()).status === 200);
	const pid = Number(execFileSync("pgrep", ["-P", String(up.child.pid), "-f", " sidecar "], { encoding: "utf8" }));
	process.kill(pid, "SIGSTOP");
	t.teardown(() => {
		if (up.child.exitCode === null) process.kill(pid, "SIGCONT");
	});
	const next = await fileOf(directory, "next.yaml", policy("PUT"));
	t.match(await weir(["apply", "-f", next, "--api", up.ready.api]), { code: 0 });
	await until("/readyz is unready", async () => {
		const { status, text } = await ready();
		return status === 503 && /^sidecars that have not accepted their newest table since .*: 1 /m.test(text);
	});
	t.match(await statusText(), /^BEHIND sidecar weir-sidecar\/.* has not accepted its newest table since /m);
	const seen = new Map<number, number>();
	let asking = true;
	const askers = Array.from({ length: ASKING }, async () => {
		while (asking) {
			const one = await status();
			seen.set(one, (seen.get(one) ?? 0) + 1);
		}
	});
	await pause(500);
	process.kill(pid, "SIGCONT");
	await until("the newer rules hold", async () => seen.has(403));
	asking = false;
	await Promise.all(askers);
	t.notOk(seen.has(200), `${seen.get(200)} served by the older rules`);
	await until("/readyz is ready", async () => (await ready()).status === 200);
	t.notMatch(await statusText(), /BEHIND/);
});
