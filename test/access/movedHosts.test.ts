/** `weir policy diff` of a host that goes to another Service: by the rules of who had it, and of who has it then. */
import t from "tap";
import { ANYONE } from "../../src/access/requests/principal.js";
import type { PolicyRequest } from "../../src/access/review/policyCheck.js";
import { diffPolicies } from "../../src/access/review/policyDiff.js";
import { changedSettings } from "../../src/access/review/policySettings.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../fixtures/resources.js";

const NOW = Date.UTC(2026, 5, 3, 12);
const SHOP = ["shop.example", "*.shop.example"];

/** shop lets anyone in below /pub, wide everywhere; free is open. */
const set = (hosts: Readonly<Record<"shop" | "wide" | "free", readonly string[]>>) =>
	resourceSet({
		gateways: [gateway()],
		services: [
			service("shop", [variant("v1", 1)], { access: null, hosts: hosts.shop }),
			service("wide", [variant("v1", 2)], { access: null, hosts: hosts.wide }),
			service("free", [variant("v1", 3)], { access: "open", hosts: hosts.free }),
		],
		accessPolicies: [
			accessPolicy("pub", "allow", ["shop"], { principals: [ANYONE], pathPrefixes: ["/pub"] }),
			accessPolicy("all", "allow", ["wide"], { principals: [ANYONE] }),
		],
	});
const before = set({ shop: SHOP, wide: ["wide.example"], free: ["free.example"] });

const asked = (path: string): PolicyRequest => ({
	...{ service: "shop", host: null, gateway: "edge", region: null, principal: null, token: null },
	...{ method: "GET", path, variant: null, nowMs: NOW },
});

t.test("a host that a Service had by a wildcard: what its rules denied and the other's allow is named", async (t) => {
	const after = set({ shop: SHOP, wide: ["wide.example", "pay.shop.example"], free: ["free.example"] });
	const taken = "Service wide: takes host pay.shop.example from Service shop";
	t.same(changedSettings(before, after), ["Service wide, hosts: also pay.shop.example", taken]);
	const diff = diffPolicies(before, after, [], NOW);
	t.ok(diff.newlyAllowed > 0);
	t.equal(diff.newlyDenied, 0);
	for (const { request, from, before: was, after: is } of diff.differences) {
		t.match(request, { service: null, host: "pay.shop.example" });
		t.match([from, was.reason, is.policy], ["constructed", "no-policy-allows", "all"]);
	}
	t.notOk(diff.differences.some(({ request }) => request.path === "/pub"));

	const back = diffPolicies(after, before, [], NOW);
	t.same(
		[back.newlyAllowed, back.newlyDenied],
		[0, diff.newlyAllowed],
		"a host that is dropped goes to who has the wildcard",
	);
	t.ok(back.changed.includes("Service shop: takes host pay.shop.example from Service wide"));
});

t.test("hosts that are moved, a wildcard among them, are told together, and judged once", async (t) => {
	const after = set({ shop: ["other.example"], wide: ["wide.example"], free: ["free.example", ...SHOP] });
	const diff = diffPolicies(before, after, [], NOW);
	t.ok(diff.changed.includes("Service free: takes hosts shop.example, *.shop.example from Service shop"));
	t.same([...new Set(diff.differences.map(({ request }) => request.host))], ["shop.example"]);
	const turned = set({ shop: ["other.example"], wide: ["wide.example"], free: ["free.example", ...SHOP] });
	const turn = diffPolicies(
		set({ shop: [...SHOP].reverse(), wide: ["wide.example"], free: ["free.example"] }),
		turned,
		[],
		NOW,
	);
	t.same(
		[...new Set(turn.differences.map(({ request }) => request.host))],
		["shop.example"],
		"a name, where there is one",
	);
	const wild = set({ shop: ["shop.example"], wide: ["wide.example"], free: ["free.example", "*.shop.example"] });
	const hosts = diffPolicies(before, wild, [], NOW).differences.map(({ request }) => request.host);
	t.match(hosts[0], /^[a-z-]+\.shop\.example$/, "of a wildcard some name below it");
});

t.test("logged requests are judged by the host too: the log holds none", async (t) => {
	const after = set({ shop: ["*.shop.example"], wide: ["wide.example", "shop.example"], free: ["free.example"] });
	const others = { ...asked("/secret"), service: "free" };
	const log = [{ ...asked("/secret"), variant: "v1" }, asked("/pub/x"), others];
	const { differences } = diffPolicies(before, after, log, NOW);
	const logged = differences.filter(({ from }) => from === "log").map(({ request }) => request);
	t.match(logged, [{ service: null, host: "shop.example", path: "/secret", variant: null }]);
	t.equal(logged.length, 1, "nobody has asked it for what came to another Service");
});

t.test("a host that nobody had, or nobody has then, and another order of hosts, are no move", async (t) => {
	const others = [
		set({ shop: [...SHOP].reverse(), wide: ["wide.example"], free: ["free.example"] }),
		set({ shop: SHOP, wide: ["wide.example", "new.example"], free: ["free.example"] }),
		set({ shop: SHOP, wide: ["new.example"], free: ["free.example"] }),
		set({ shop: ["shop.example", "a.shop.example", "*.shop.example"], wide: ["wide.example"], free: ["free.example"] }),
	];
	for (const after of others) {
		const diff = diffPolicies(before, after, [asked("/secret")], NOW);
		t.match(diff, { newlyAllowed: 0, newlyDenied: 0 });
		t.notMatch(diff.changed.join("\n"), /takes/);
	}
});
