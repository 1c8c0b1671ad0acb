/** A full disk: a change that control has accepted is in force, and `weir status` names what could not be stored. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { places } from "../../../src/cli/stack/places.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import { AdsClient } from "../../publish/xds/adsClient.js";
import { temporaryDirectory } from "../command.js";

const SERVICES = 400;
/** Space for a change, and not for the table of so many Services. */
const LEFT_BYTES = 256 * 1024;

const declared = Array.from(
	{ length: SERVICES },
	(_, index) => `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: s${index}}
spec:
  hosts: [${["a", "b", "c", "d"].map((host) => `${host}${index}.${"of-a-long-name.".repeat(12)}test`)}]
  defaultVariant: v1
  variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: 9}]}]
${index === 0 ? "" : "  access: open\n"}---
`,
).join("");
const GATEWAY = "apiVersion: weir.dev/v1alpha1\nkind: Gateway\nmetadata: {name: edge}\nspec: {port: 0}\n---\n";
const policy = (action: string) => `apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: ${action}}
spec: {action: ${action}, services: [s0], principals: [anyone]}
`;

t.setTimeout(240_000);

t.test("an accepted denial is in force though its plan cannot be stored", async (t) => {
	const at = places(join(await temporaryDirectory(t), "data"));
	const script = fileURLToPath(new URL("apiProcess.js", import.meta.url));
	const child = spawn(process.execPath, [script, at.dataDirectory], { stdio: ["ignore", "pipe", "inherit"] });
	t.teardown(() => child.kill("SIGKILL"));
	await once(createInterface(child.stdout), "line");
	const api = new ApiClient(`unix:${at.apiSocket}`);
	const apply = async (text: string) => {
		const answer = await api.apply([{ name: "weir.yaml", text }], { dryRun: false });
		if (answer.outcome !== "applied") t.comment(JSON.stringify(answer).slice(0, 500));
		return answer;
	};
	t.match(await apply(`${declared}${GATEWAY}${policy("allow")}`), { outcome: "applied" });
	const envoy = new AdsClient(`unix:${at.adsSocket}`);
	t.teardown(() => envoy.close());
	envoy.ask("routes", ["weir/edge"], undefined, { node: "edge" });
	envoy.ask("routes", ["weir/edge"], await envoy.next());
	const alarms = async () => (await api.status()).alarms?.map(({ alarm, why }) => [alarm, why] as const) ?? [];

	// For the owner of a file a limit on its size looks like a full disk.
	const limit = (bytes: string) => execFileSync("prlimit", ["--pid", String(child.pid), `--fsize=${bytes}:`]);
	limit(String(statSync(join(at.dataDirectory, "state", "state.mdb")).size + LEFT_BYTES));
	t.match(await apply(policy("deny")), { outcome: "applied" });
	const { resources } = await envoy.next();
	t.match(Buffer.from(resources[0]?.value ?? []).toString("latin1"), /deny/, "Envoy is given it");
	t.match(new Map(await alarms()).get("plan-unkept"), /^the state file cannot be written, /);
	t.equal((await api.status()).lag, null);

	limit("unlimited");
	t.match(await apply(policy("deny").replace("name: deny", "name: again")), { outcome: "applied" });
	while ((await alarms()).length > 0) await pause(50);
	const ended = once(child, "exit");
	child.kill("SIGKILL");
	await ended;
});
