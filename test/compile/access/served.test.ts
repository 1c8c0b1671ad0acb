/** Detects served requests without a verdict, by counters alone. */
import t from "tap";
import type { ProbedService } from "../../../src/compile/access/bypass/probe.js";
import { type Reading, ServedCounts } from "../../../src/compile/access/bypass/served.js";

const SERVICES: readonly ProbedService[] = [
	{ name: "native", host: "n.test", judgedBy: "envoy" },
	{ name: "asked", host: "a.test", judgedBy: "sidecar" },
];

interface Numbers {
	readonly allowed?: number;
	readonly ok?: number;
	readonly proof?: number;
	readonly reloads?: number;
	readonly active?: number;
	readonly native?: number;
	readonly retried?: number;
	readonly asked?: number;
	readonly open?: number;
}

function reading(of: Numbers): Reading {
	const counters = (names: Readonly<Record<string, number | undefined>>) =>
		new Map(Object.entries(names).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])));
	const verdicts = counters({
		"http.gateway.edge.rbac.weir_allow_.allowed": of.allowed,
		"http.gateway.edge.ext_authz.weir_verdict.ok": of.ok,
		"http.gateway.edge.rbac.weir_proof_.allowed": of.proof,
		"http.gateway.edge.rds.edge.config_reload": of.reloads,
	});
	return {
		verdictsBefore: verdicts,
		active: counters({ "http.gateway.edge.downstream_rq_active": of.active }),
		tries: counters({
			"cluster.native/v1.upstream_rq_total": of.native,
			"cluster.native/v1.upstream_rq_retry": of.retried,
			"cluster.asked/v1.upstream_rq_total": of.asked,
			"cluster.open/v1.upstream_rq_total": of.open,
		}),
		verdictsAfter: verdicts,
	};
}

/** What is found at the last of these readings. */
function found(...numbers: readonly Numbers[]) {
	const counts = new ServedCounts();
	return numbers.map((one) => counts.take(SERVICES, reading(one))).at(-1);
}

t.test("requests with a verdict, retries and open Services are no bypass", async (t) => {
	const none = { envoy: 0, sidecar: 0 };
	t.same(found({ native: 9 }), none, "nothing is compared with the first reading");
	t.same(found({ allowed: 1, native: 1 }, { allowed: 5, native: 5, open: 7 }), none);
	t.same(found({}, { allowed: 1, native: 4, retried: 3 }), none);
	t.same(found({}, { ok: 2, proof: 2, asked: 2 }), none);
	t.same(found({ allowed: 8, native: 8 }, { allowed: 9, native: 1 }), none, "a cluster that was created anew");
});

t.test("requests beyond the number of verdicts are a bypass", async (t) => {
	t.same(found({}, { allowed: 2, native: 5 }), { envoy: 3, sidecar: 0 });
	t.same(found({}, { allowed: 9, asked: 2 }), { envoy: 0, sidecar: 2 }, "the verdicts of others excuse nothing");
	t.same(found({}, { ok: 4, proof: 1, asked: 4 }), { envoy: 0, sidecar: 3 });
});

t.test("a request with a verdict before a reading may be sent after it, once", async (t) => {
	t.equal(found({ active: 1 }, { native: 1 })?.envoy, 0);
	t.equal(
		found({ active: 1 }, { native: 1, active: 1 }, { native: 2, active: 1 })?.envoy,
		1,
		"an open stream hides one",
	);
	t.equal(found({}, { allowed: 1, active: 1 }, { allowed: 1, native: 1 })?.envoy, 0);
	t.equal(found({}, { allowed: 1 }, { allowed: 1, native: 1 })?.envoy, 1, "it has ended, so that nothing is owed");
});

t.test("the number of bypasses stays until later requests all have verdicts", async (t) => {
	t.equal(found({}, { native: 2 }, { native: 2 })?.envoy, 2);
	t.equal(found({}, { native: 2 }, { native: 3, allowed: 1 })?.envoy, 0);
});

t.test("counters are not compared across a change of routes", async (t) => {
	t.equal(found({}, { native: 2, reloads: 1 })?.envoy, 0);
	t.equal(found({}, { reloads: 1 }, { native: 2, reloads: 1 })?.envoy, 0, "nor with the reading after it");
	t.equal(found({}, { reloads: 1 }, { reloads: 1 }, { native: 2, reloads: 1 })?.envoy, 2);
});
