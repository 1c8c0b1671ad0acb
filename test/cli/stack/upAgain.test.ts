/** `weir up` on an existing state continues from it, and does not restore what other users removed. */
import t from "tap";
import { fileOf, temporaryDirectory, weir, weirUp } from "../command.js";
import { MESH_GATEWAY, policyText, serviceText } from "../documents.js";

const declaration = (principals: string): string =>
	[MESH_GATEWAY, serviceText("demand", [9]), policyText("storefront", "demand", `principals: ["${principals}"]`)].join(
		"---\n",
	);

const NARROW = "spiffe://weir.local/storefront";
const WIDE = "spiffe://weir.local/*";

t.setTimeout(600_000);

t.test("what was revoked since the last start stays revoked, unless --overwrite is given", async (t) => {
	const directory = await temporaryDirectory(t);
	const data = `${directory}/data`;
	const [wide, narrow] = [
		await fileOf(directory, "wide.yaml", declaration(WIDE)),
		await fileOf(directory, "narrow.yaml", declaration(NARROW)),
	];
	const ended = (...args: readonly string[]) => weir(["up", "--data", data, ...args]);
	t.match(await ended(), { code: 64, stderr: /no resource file was given; add -f FILE/ }, "there is no state yet");
	let up = await weirUp(wide, data);
	t.teardown(async () => void (await up.stop("SIGKILL")));
	const rules = async () => (await weir(["get", "--api", up.ready.api])).stdout.toString();
	const second = await ended("-f", wide);
	t.match(second, {
		code: 1,
		stderr: /^weir: another Weir runs on \S+data; stop it, or name another folder by --data$/m,
	});
	t.match(await weir(["apply", "-f", narrow, "--api", up.ready.api]), { code: 0 });
	t.equal(await up.stop(), 0);

	up = await weirUp(null, data);
	t.match(up.log(), /^weir: starting from the state of \S+data: revision 2, 3 resources$/m);
	t.match(await rules(), NARROW);
	t.equal(await up.stop(), 0);

	const refused = await ended("-f", wide);
	t.match(refused, {
		code: 1,
		stderr: /^weir: configure AccessPolicy storefront$/m,
	});
	t.match(refused.stderr, /would change AccessPolicy storefront; start without -f .*--overwrite/);
	t.notMatch(refused.stdout.toString(), /READY/);

	up = await weirUp(wide, data, ["--overwrite"]);
	t.match(up.log(), /^weir: configure AccessPolicy storefront$/m);
	t.match(await rules(), WIDE);
	t.equal(await up.stop(), 0);
});
