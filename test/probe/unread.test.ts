/** What passes while counters cannot be read is compared when they can. */
import t from "tap";
import { ACTIVE, countedAdmin, JUDGED, ROUTED, SENT } from "./countedAdmin.js";

t.test("a round that could not be made hides nothing", async (t) => {
	const { said, prober } = await countedAdmin(t);
	const own = prober();
	const round = async () => {
		const { alarms, counted, uncounted } = await own.round();
		return [
			alarms.map((one) => ("served" in one ? `${one.alarm} ${one.served}` : one.alarm)),
			counted,
			uncounted?.rounds,
		];
	};
	said.counters = { [ACTIVE]: 2, [JUDGED]: 3, [ROUTED]: 1, [SENT]: 1 };
	t.same(await round(), [[], false, undefined]);
	said.counters = null;
	t.same(await round(), [[], false, 1]);
	t.same(await round(), [[], false, 2]);
	said.counters = { [ACTIVE]: 0, [JUDGED]: 4, [ROUTED]: 9, [SENT]: 16 };
	t.same(
		await round(),
		[["served-unjudged 5", "served-past-gateways 5"], true, undefined],
		"but for the two that were under way",
	);
	said.counters = null;
	t.same(await round(), [["served-unjudged 5", "served-past-gateways 5"], false, 1], "and what stands, stands");
});

t.test("routes that change while counters cannot be read are changed ones at the next reading", async (t) => {
	const { said, prober } = await countedAdmin(t);
	let isSettled = true;
	const own = prober({ isSettled: () => isSettled });
	const alarms = async () => (await own.round()).alarms.length;
	said.counters = { [ACTIVE]: 0, "http.gateway.edge.ext_authz.weir_verdict.ok": 1 };
	await own.round();
	said.counters = null;
	isSettled = false;
	t.equal(await alarms(), 0);
	isSettled = true;
	// The sidecar judged before.
	const asked = { "http.gateway.edge.ext_authz.weir_verdict.ok": 6, "http.gateway.edge.rbac.weir_proof_.allowed": 6 };
	said.counters = { [ACTIVE]: 0, ...asked, [ROUTED]: 5, [SENT]: 9 };
	t.equal(await alarms(), 0);
});

t.test("what is not known is not kept, but for what was: it is known no more while Envoy has it yet", async (t) => {
	const { said, prober } = await countedAdmin(t);
	let services = new Set(["a"]);
	const known = { gateway: (name: string) => name === "edge", service: (name: string) => services.has(name), most: 5 };
	const own = prober({ known: () => known });
	const kept = async (): Promise<readonly string[]> => {
		await own.round();
		return [...(own.memory.reading?.last.keys() ?? [])].toSorted();
	};
	const foreign = { "cluster.b/v1.upstream_rq_total": 1, "http.gateway.x1.downstream_rq_active": 1, x: 1 };
	said.counters = { [ACTIVE]: 0, [JUDGED]: 1, [ROUTED]: 1, [SENT]: 1, ...foreign };
	const own4 = [SENT, ACTIVE, JUDGED, ROUTED].toSorted();
	t.same(await kept(), own4);
	services = new Set();
	t.same(await kept(), own4);
	said.counters = { [ACTIVE]: 0, [JUDGED]: 1 };
	t.same(await kept(), [ACTIVE, JUDGED]);
	said.counters = { [ACTIVE]: 0, [JUDGED]: 1, [ROUTED]: 1, [SENT]: 1 };
	t.same(await kept(), [ACTIVE, JUDGED]);
	services = new Set(["a"]);
	said.counters = Object.fromEntries(Array.from({ length: 6 }, (_, at) => [`cluster.a/v${at}.upstream_rq_total`, 1]));
	t.match(await own.round(), { counted: false, uncounted: { why: /more counters than what is declared can have/ } });
});
