import { createHmac } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { loadPseudonyms } from "../../../../src/observe/events/store/pseudonym.js";

const fresh = (): string => join(mkdtempSync(join(tmpdir(), "weir-key-")), "unit.key");

t.test("a unit is HMAC-SHA256 under the key, cut to 128 bits", async (t) => {
	const path = fresh();
	const pseudonyms = loadPseudonyms(path, true);
	t.equal(statSync(path).mode & 0o777, 0o600);
	const expected = createHmac("sha256", readFileSync(path)).update("unit:user-1").digest("hex").slice(0, 32);
	t.equal(pseudonyms.unit("user-1").toString(16).padStart(32, "0"), expected);
	t.equal(loadPseudonyms(path, false).unit("user-1"), pseudonyms.unit("user-1"), "and the same after a restart");
	t.not(pseudonyms.unit("user-1"), pseudonyms.request("user-1"));
});

t.test("a UUID is kept as the id, in lower case; other request ids are hashed", async (t) => {
	const { request } = loadPseudonyms(fresh(), true);
	t.equal(request("F0000000-0000-4000-8000-00000000000A"), 0xf000000000004000800000000000000an);
	t.equal(request("f0000000-0000-4000-8000-00000000000a"), 0xf000000000004000800000000000000an);
	t.not(request("abc"), request("abd"));
});

t.test("a missing, cut or open key file is refused", async (t) => {
	t.throws(() => loadPseudonyms(fresh(), false), { code: "failed-precondition", message: /missing/ });
	const cut = fresh();
	writeFileSync(cut, "short", { mode: 0o600 });
	t.throws(() => loadPseudonyms(cut, true), { code: "failed-precondition", message: /5 bytes/ });
	const open = fresh();
	loadPseudonyms(open, true);
	chmodSync(open, 0o644);
	t.throws(() => loadPseudonyms(open, true), { code: "failed-precondition", message: /open to others/ });
});
