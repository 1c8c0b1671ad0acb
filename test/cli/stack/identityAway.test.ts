/** The identity agent is away: control has an alarm while its SVIDs are valid, and another after they have ended. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { IDENTITY_UNRENEWED, type StatusAnswer } from "../../../src/operate/api/wire.js";
import { askApi, temporaryDirectory, weir } from "../command.js";
import { part } from "../part.js";

t.setTimeout(240_000);

const IDENTITY_NOTE = /note: an identity of control or of its sidecar is not renewed/;

t.test("an absent agent is an alarm before an SVID ends, and the alarm ends when it is back", async (t) => {
	const directory = await temporaryDirectory(t);
	const data = join(directory, "control");
	const agent = () => part(t, ["ca", "--data", join(directory, "ca"), "--svid-lifetime", "12s"]);
	const socketOf = (name: string) => join(directory, "ca/run/identity", `${name}.sock`);
	const ca = await agent();
	const own = ["--data", data, "--identity", socketOf("control")];
	const control = await part(t, ["control", ...own, "--api-port", "0"]);
	const startIngest = (folder: string) => part(t, ["ingest", "--data", folder, "--identity", socketOf("control")]);
	const ingest = await startIngest(data);
	const sidecar = await part(t, ["sidecar", "--data", data, "--identity", socketOf("sidecar"), "--workers", "2"]);
	const api = `unix:${join(data, "run/api.sock")}`;
	/** By the API: a command for each look would take most of the machine's time. */
	const alarm = async (): Promise<string> => {
		const { alarms } = JSON.parse((await askApi(api, "/v1/status")).text) as StatusAnswer;
		return alarms.find(({ alarm }) => alarm === IDENTITY_UNRENEWED)?.why ?? "";
	};
	const alarmLike = async (words: RegExp): Promise<void> => {
		while (!words.test(await alarm())) await pause(100); // status has no event to wait for
	};
	const left = async () =>
		(await askApi(api, "/metrics")).text.split("\n").filter((line) => /^weir_identity_left_seconds\{/.test(line));
	while ((await left()).length < 3) await pause(100); // workers report to the sidecar once a second
	t.match((await left()).toSorted(), [/"control"\} \d/, /"ingest"\} \d/, /"sidecar"\} \d/]);
	t.equal(await alarm(), "");
	t.match((await askApi(api, "/readyz")).text, /^ready\n$/);

	ca.child.kill("SIGTERM");
	await once(ca.child, "exit");
	// It waits ten seconds for its first identity, as long as the others' last.
	const late = t.rejects(
		startIngest(join(directory, "late")),
		{ message: /no identity from .*control\.sock/ },
		"a process that starts meanwhile gets no identity",
	);
	const whose = (what: string) =>
		new RegExp(`control's SVID \\(control\\) ${what} .*Z.*; the sidecar's SVID ${what} .*Z`);
	await alarmLike(/control's SVID .* (is valid until|expired at) \d/);
	while (!IDENTITY_NOTE.test((await askApi(api, "/readyz")).text)) await pause(100);
	await alarmLike(whose("expired at"));
	t.match(await left(), [/ -\d/, / -\d/, / -\d/]);
	t.match(control.log(), /the agent at .*control\.sock: .*; the last SVID works until 20/);
	t.match(control.log(), /the own identity is not renewed/);

	ingest.child.kill("SIGTERM");
	await once(ingest.child, "exit");
	const { stdout } = await weir(["status", "--api", api]);
	t.match(/^ALARM identity-unrenewed.*$/m.exec(stdout.toString())?.[0], whose("expired at"), "also without ingest");
	while (!IDENTITY_NOTE.test((await askApi(api, "/readyz")).text)) await pause(100);

	// A replaced worker's identity is not asked about any more.
	const { pid } = sidecar.child;
	const workers = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim().split(" ");
	process.kill(Number(workers[0]), "SIGKILL");
	await late;
	await agent();
	await startIngest(data);
	await alarmLike(/^$/);
	t.match((await askApi(api, "/readyz")).text, /^ready\n$/);
	while (!control.log().includes("the own identity is renewed again")) await pause(100);
});
