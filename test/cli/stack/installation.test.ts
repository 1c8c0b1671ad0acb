/** The id of an installation. */
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { installationId } from "../../../src/cli/stack/installation.js";

t.test("each data directory gets one id, which is made once", async (t) => {
	const [one, other] = [t.testdir({ one: {}, other: {} })].flatMap((at) => [join(at, "one"), join(at, "other")]);
	if (one === undefined || other === undefined) throw new Error("no directories");
	const id = installationId(one);
	t.match(id, /^[0-9a-f-]{36}$/);
	t.equal(installationId(one), id);
	t.not(installationId(other), id);
	t.equal(statSync(join(one, "installation")).mode & 0o777, 0o600);
	writeFileSync(join(one, "installation"), "restored\n");
	t.equal(installationId(one), "restored");
});
