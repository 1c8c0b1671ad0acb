/** What `weir sidecar` and `weir compile` refuse, with an exit status and one sentence; no listener stays behind. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { weir } from "../command.js";
import { gatewayText, serviceText } from "../documents.js";

const directory = mkdtempSync(join(tmpdir(), "weir-refusals-"));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string): string => join(directory, name);
const file = at("weir.yaml");
writeFileSync(file, [gatewayText(), serviceText("shop", [9], "access: open")].join("---\n"));

t.test("a sidecar without a valid table, or with a socket that other users can open, ends", async (t) => {
	const stdout = (await weir(["compile", "-f", file, "--format", "table"])).stdout.toString();
	const table = at("table.json");
	writeFileSync(table, stdout, { mode: 0o600 });
	const broken = at("broken.json");
	writeFileSync(broken, stdout.replace("shop.test", "shop.tesT"), { mode: 0o600 });
	const shared = at("shared.json");
	writeFileSync(shared, stdout);
	chmodSync(shared, 0o666);
	mkdirSync(at("open"));
	chmodSync(at("open"), 0o777);
	const socket = at("sidecar.sock");
	for (const [args, code, words] of [
		[["--table", at("none.json"), "--socket", socket], 1, /cannot be read/],
		[["--table", broken, "--socket", socket], 64, /is refused/],
		[["--table", shared, "--socket", socket], 1, /other users can write .*shared\.json/],
		[["--table", table, "--socket", at("open/sidecar.sock")], 1, /other users can enter .*open/],
		[["--table", table, "--socket", at("nowhere/sidecar.sock")], 1, /no directory/],
		[["--table", table], 64, /needs an address to listen on/],
		[["--table", table, "--socket", socket, "--listen", "127.0.0.1:1"], 64, /exclude each other/],
		[["--table", table, "--listen", "0.0.0.0:0"], 64, /needs an identity/],
		[["--table", table, "--listen", "127.0.0.1:0", "--workers", "2"], 64, /needs a port/],
		[["--table", table, "--socket", socket, "--workers", "0"], 64, /no number of workers/],
	] as const) {
		const result = await weir(["sidecar", ...args]);
		t.equal(result.code, code, args.join(" "));
		t.match(result.stderr, words);
		t.notOk(existsSync(socket), "no socket stays behind");
	}
});

t.test("an option of weir compile that would be ignored is refused", async (t) => {
	for (const args of [
		["--gateway", "a"],
		["--namespace", "a"],
		["--sidecar-address", "a:1"],
		["--format", "table", "--admin-socket", "/tmp/x"],
		["--format", "istio", "--allocation", "20%"],
		["--format", "istio", "--mode", "native"],
		["--format", "envoy-gateway", "--gateway", "a/b/c"],
	]) {
		const { code, stdout } = await weir(["compile", "-f", file, ...args]);
		t.equal(code, 64, args.join(" "));
		t.equal(stdout.length, 0);
	}
});
