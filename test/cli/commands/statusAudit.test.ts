/** `weir status` of an operator of one namespace shows the alarms of their own Gateways, and audits no refusal. */
import t from "tap";
import type { GatewayAlarm } from "../../../src/operate/api/wire.js";
import { AUDIT_CHAINS } from "../../../src/operate/audit/auditLog.js";
import { ALL } from "../../operate/employment.js";
import { mutualApi } from "../../operate/mutualApi.js";
import { binding } from "../../operate/operatorBinding.js";
import { operatorCommand } from "../operatorCommand.js";

t.test("readers of a Gateway's namespace see its alarms, and status asks for no more than they may read", async (t) => {
	let alarms: readonly GatewayAlarm[] = [
		{ gateway: "edge", alarm: "no-clients", why: null },
		{ gateway: "team/inner", alarm: "probe-failed", why: "Services bypassed: 1", envoy: "a" },
		{ gateway: "", alarm: "plan-unkept", why: null },
	];
	const mutual = await mutualApi(t, { alarms: async () => alarms });
	const rules = [
		binding("one", "read", ["ann"], "[default]"),
		binding("team", "read", ["tim"], "[team]"),
		binding("all", "read", ["bob"], '["*"]'),
	].join("---\n");
	await mutual.owner.apply([{ name: "all.yaml", text: [ALL, rules].join("---\n") }], { dryRun: false });
	const records = () =>
		AUDIT_CHAINS.reduce((sum, chain) => sum + mutual.store.audit.page(0, 100, chain).records.length, 0);
	const before = records();
	const { as, local } = await operatorCommand(t, mutual);
	const lines = async (run: (...words: string[]) => Promise<{ out: string }>): Promise<readonly string[]> =>
		(await run("status")).out.split("\n").filter((line) => /^ALARM/.test(line));
	const edge = /^ALARM no-clients at Gateway edge: /;
	const inner = /^ALARM probe-failed at Gateway team\/inner of Envoy a: .*: Services bypassed: 1$/;
	const [ann, tim, bob] = [await as("ann"), await as("tim"), await as("bob")];
	const shows = async (run: typeof local, ...wanted: readonly RegExp[]) => {
		const found = await lines(run);
		t.match([found.length, ...found], [wanted.length, ...wanted]);
	};
	await shows(ann, edge);
	await shows(tim, inner);
	for (const run of [bob, local]) await shows(run, edge, inner, /^ALARM plan-unkept: /);
	t.equal(records(), before, "no record");
	alarms = [
		{ gateway: "", alarm: "identity-unrenewed", why: "control's SVID (ingest) expired at 2026-01-01T00:00:00.000Z" },
	];
	t.same(await lines(ann), [], "control's are for readers of all namespaces");
	t.match(await lines(local), [/^ALARM identity-unrenewed: .*: control's SVID \(ingest\) expired at /]);
});
