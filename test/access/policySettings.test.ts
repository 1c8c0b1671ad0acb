/** What no request can show of a change of declarations, each in words. */
import t from "tap";
import { changedSettings } from "../../src/access/review/policySettings.js";
import type {
	AccessPolicy,
	DataClass,
	GatewayTls,
	Metric,
	ReferenceGrant,
	ResourceSet,
} from "../../src/resources/resource.js";
import {
	accessPolicy,
	CALLOUT,
	gateway,
	metadata,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../fixtures/resources.js";

const files = (clientCaFile: string | null): GatewayTls => ({
	from: "files",
	certificateFile: "c.pem",
	privateKeyFile: "k.pem",
	clientCaFile,
});
const shop = (spec = {}) => service("shop", [variant("v1", 1)], { hosts: ["shop.test"], ...spec });
const set = (edge: Parameters<typeof gateway>[0] = {}, spec = {}) =>
	resourceSet({ gateways: [gateway(edge)], services: [shop(spec)] });

t.test("a change of whom a Gateway or a Service trusts", async (t) => {
	const cases = [
		[set(), set(), []],
		[
			set({ trustedProxies: ["spiffe://a/old"] }),
			set({ trustedProxies: ["spiffe://a/new"] }),
			["Gateway edge, trusted proxies: no more spiffe://a/old, now spiffe://a/new"],
		],
		[
			set({ tls: files("ca.pem") }),
			set({ tls: files("other.pem") }),
			["Gateway edge, clients: who has a certificate of ca.pem → who has a certificate of other.pem"],
		],
		[
			set({ tls: { ...files("ca.pem"), trustDomains: ["a.test"] } as GatewayTls }),
			set({ tls: { ...files("ca.pem"), trustDomains: ["b.test", "a.test"] } as GatewayTls }),
			[
				"Gateway edge, clients: who has a certificate of ca.pem, in a.test → who has a certificate of ca.pem, in a.test or b.test",
			],
		],
		[
			set({ tls: { from: "identity" } }),
			set({ tls: files(null) }),
			["Gateway edge, clients: who has an identity of the mesh → anyone, by TLS"],
		],
		[
			set({ tls: files("ca.pem") }),
			set(),
			["Gateway edge, clients: who has a certificate of ca.pem → anyone, without TLS"],
		],
		[
			set({}, { identities: ["spiffe://a/model"] }),
			set({}, { identities: null }),
			["Service shop, identities of its endpoints: no more spiffe://a/model, now none (plain text)"],
		],
		[
			set({ tokens: [tokenIssuer("https://a.test", ["weir"], "/keys")] }),
			set({ tokens: [tokenIssuer("https://a.test", ["weir"], "/other")] }),
			[/^Gateway edge, tokens of https:\/\/a\.test: .*\/keys.* → .*\/other/],
		],
		[set(), set({}, { hosts: ["b.test"] }), ["Service shop, hosts: no more shop.test, now b.test"]],
		[set(), resourceSet({ gateways: [gateway()] }), ["Service shop: there no more"]],
		[resourceSet({ gateways: [], services: [shop()] }), set(), ["Gateway edge: new"]],
		[set(), set({ address: "0.0.0.0" }), ["Gateway edge, address: 127.0.0.1 → 0.0.0.0"]],
		[set({ port: 8443 }), set({ port: 443 }), ["Gateway edge, port: 8443 → 443"]],
		[
			set({}, { callout: { ...CALLOUT, sign: true } }),
			set({}, { callout: CALLOUT }),
			["Service shop, callout.sign: true → false"],
		],
		[
			set({}, { callout: CALLOUT }),
			set({}, { callout: { ...CALLOUT, maxStalenessMs: 86_400_000 } }),
			["Service shop, callout.maxStaleness: 10m → 1d"],
		],
	] as const;
	for (const [before, after, told] of cases) {
		const changes = changedSettings(before, after);
		t.equal(changes.length, told.length, JSON.stringify(changes));
		t.match(changes, told);
	}
});

t.test("an endpoint that goes where other rules stand before it", async (t) => {
	const world = (v1: readonly number[], v2: readonly number[], policy: Partial<AccessPolicy["spec"]>, pay = 9) =>
		resourceSet({
			services: [
				shop({ variants: [variant("v1", ...v1), variant("v2", ...v2)], access: null }),
				service("pay", [variant("v1", pay)]),
			],
			accessPolicies: [accessPolicy("p", "allow", ["shop"], { principals: ["anyone"], ...policy })],
		});
	const byVariant = { variants: ["v1"] };
	const [one, two] = ["127.0.0.1:1", "127.0.0.1:2"];
	const [v1, v2] = ["Service shop, Variant v1", "Service shop, Variant v2"];
	t.same(changedSettings(world([1], [2], byVariant), world([2], [1], byVariant)), [
		`endpoint ${two}: ${v2} → ${v1}`,
		`endpoint ${one}: ${v1} → ${v2}`,
	]);
	t.same(changedSettings(world([1], [2], byVariant), world([1, 2], [2], byVariant)), [
		`endpoint ${two}: ${v2} → ${v1} and ${v2}`,
	]);
	t.same(changedSettings(world([1, 2], [2], byVariant), world([1], [2], byVariant)), [], "it is nowhere new");
	t.same(
		changedSettings(world([1], [2], byVariant), world([1, 3], [2], byVariant)),
		[],
		"of a new one nothing is known",
	);
	t.same(changedSettings(world([1], [2], {}), world([2], [1], {})), [], "no rule looks at Variants");
	const reads = { condition: 'variant == "v1"' };
	t.equal(changedSettings(world([1], [2], {}), world([2], [1], reads)).length, 2, "one does now, by its condition");
	t.same(changedSettings(world([1], [2], {}), world([1], [2], {}, 2)), [
		`endpoint ${two}: Service shop → Service shop and Service pay`,
	]);
	const spelt = (address: string, name: string) =>
		resourceSet({ services: [service(name, [{ name: "v1", endpoints: [{ address, port: 1, locality: null }] }])] });
	t.match(changedSettings(spelt("FD00::2", "a"), spelt("fd00:0::2", "b")), [
		"Service a: there no more",
		"Service b: new",
		"endpoint [fd00::2]:1: Service a → Service b",
	]);
});

t.test(
	"this machine's own addresses are one server, and each a server of its own that can be given away",
	async (t) => {
		const at = (hr: readonly string[], open: readonly string[]) =>
			resourceSet({
				services: [
					{ name: "hr", addresses: hr, access: null },
					{ name: "public", addresses: open, access: "open" as const },
				].map(({ name, addresses, access }) =>
					service(
						name,
						[{ name: "v1", endpoints: addresses.map((address) => ({ address, port: 1, locality: null })) }],
						{
							access,
						},
					),
				),
				accessPolicies: [accessPolicy("p", "allow", ["hr"], { principals: ["spiffe://a/hr"] })],
			});
		const told = (before: ResourceSet, after: ResourceSet) => changedSettings(before, after);
		const before = at(["127.0.0.1"], ["10.0.0.1"]);
		for (const address of ["127.0.0.1", "localhost", "a.localhost", "127.0.0.2", "0.0.0.0", "::1", "::"])
			t.same(told(before, at(["127.0.0.1"], [address])), [
				`endpoint ${address.includes(":") ? `[${address}]` : address}:1: Service hr → Service hr and Service public`,
			]);
		t.same(told(before, at(["localhost"], ["10.0.0.1"])), [], "its own, spelt otherwise");
		t.same(told(before, at(["127.0.0.1"], ["10.0.0.2"])), [], "of a new one nothing is known");
		const two = at(["127.0.0.1"], ["127.0.0.2"]);
		t.same(told(two, two), []);
		t.same(told(two, at(["127.0.0.2"], ["127.0.0.1"])), [
			"endpoint 127.0.0.2:1: Service public → Service hr and Service public",
			"endpoint 127.0.0.1:1: Service hr → Service hr and Service public",
		]);
		t.match(told(two, at(["localhost"], ["localhost"])), [/^endpoint localhost:1: /], "whosever it is");
	},
);

t.test("a change of how many requests pass", async (t) => {
	const limited = (rateLimits: object) =>
		set({}, { rateLimits: { service: null, principal: null, tenant: null, ...rateLimits } });
	const rate = (requests: number, perMs: number) => ({ requests, perMs });
	const all = { service: rate(100, 1_000), principal: rate(5, 60_000), tenant: rate(7, 1_500) };
	t.same(changedSettings(limited(all), limited({ ...all })), []);
	t.same(changedSettings(limited(all), limited({})), [
		"Service shop, limit of all requests: 100 in 1s → none",
		"Service shop, limit of each principal: 5 in 1m → none",
		"Service shop, limit of each tenant: 7 in 1500ms → none",
	]);
	t.same(changedSettings(limited({ service: rate(100, 1_000) }), limited({ service: rate(1_000, 1_000) })), [
		"Service shop, limit of all requests: 100 in 1s → 1000 in 1s",
	]);
	t.same(changedSettings(limited({ tenant: rate(1, 60_000) }), limited({ tenant: rate(1, 1_000) })), [
		"Service shop, limit of each tenant: 1 in 1m → 1 in 1s",
	]);
});

t.test("a change of where data may be processed", async (t) => {
	const dataClass = (name: string, regions: readonly string[], namespace = "default"): DataClass => ({
		kind: "DataClass",
		metadata: metadata(name, namespace),
		spec: { regions },
	});
	const grant: ReferenceGrant = {
		kind: "ReferenceGrant",
		metadata: metadata("to-shop", "law"),
		spec: { from: [{ kind: "Service", namespace: "default" }], to: [{ kind: "DataClass", name: null }] },
	};
	const placed = (
		dataClassName: string | null,
		classes: readonly DataClass[],
		grants: readonly ReferenceGrant[] = [],
	) =>
		resourceSet({
			services: [shop({ dataClass: dataClassName })],
			dataClasses: classes,
			referenceGrants: grants,
		});
	const [eu, wide] = [[dataClass("personal", ["eu"])], [dataClass("personal", ["eu", "us"])]];
	const told = (before: ResourceSet, after: ResourceSet) => changedSettings(before, after);
	t.same(told(placed("personal", eu), placed("personal", eu)), []);
	t.same(told(placed("personal", eu), placed("personal", wide)), ["DataClass personal, regions: also us"]);
	t.same(told(placed("personal", wide), placed("personal", eu)), ["DataClass personal, regions: no more us"]);
	t.same(told(placed("personal", eu), placed(null, eu)), ["Service shop, DataClass: personal, eu → none, any region"]);
	t.same(
		told(
			placed("personal", [...eu, dataClass("other", ["us", "ae"])]),
			placed("other", [...eu, dataClass("other", ["us", "ae"])]),
		),
		["Service shop, DataClass: personal, eu → other, us and ae"],
	);
	const law = [dataClass("personal", ["eu"], "law")];
	t.same(told(placed("law/personal", law, [grant]), placed("law/personal", law)), [
		"Service shop, DataClass: law/personal, eu → law/personal, no region",
	]);
	t.same(told(placed("law/personal", law), placed("law/personal", law, [grant])), [
		"Service shop, DataClass: law/personal, no region → law/personal, eu",
	]);
});

t.test(
	"a region is what an endpoint's declaration says, so that a change of that is told where a DataClass holds it",
	async (t) => {
		type Placed = readonly [address: string, region: string | null];
		const world = (endpoints: readonly Placed[], dataClass: string | null = "personal", regions = ["eu", "de"]) =>
			resourceSet({
				services: [
					shop({
						dataClass,
						variants: [
							{
								name: "v1",
								endpoints: endpoints.map(([address, region]) => ({
									address,
									port: 1,
									locality: region === null ? null : { region, zone: "", subZone: "" },
								})),
							},
						],
					}),
				],
				dataClasses: [{ kind: "DataClass", metadata: metadata("personal"), spec: { regions } }],
			});
		const one: Placed = ["10.0.0.1", "eu"];
		const from = (...more: readonly Placed[]) => world([one, ...more]);
		const told = (before: ResourceSet, after: ResourceSet) => changedSettings(before, after);
		const moved = (was: string, is: string) => [`Service shop, region of endpoint 10.9.0.1:1: ${was} → ${is}`];
		for (const [was, is] of [
			["us", "eu"],
			["eu", "us"],
			["eu", "de"],
			[null, "eu"],
			["eu", null],
		] as const)
			t.same(told(from(["10.9.0.1", was]), from(["10.9.0.1", is])), moved(was ?? "none", is ?? "none"));
		t.same(told(from(), from(["10.9.0.1", "eu"])), moved("not there", "eu"), "a new one gets data");
		t.same(told(from(), from(["10.9.0.1", "us"], ["10.9.0.2", null])), [], "no data goes to these");
		t.same(told(from(["10.9.0.1", "eu"]), from()), [], "nor to one that is gone");
		t.same(
			told(from(["FD00::1", "us"]), from(["fd00:0::1", "eu"])),
			["Service shop, region of endpoint [fd00::1]:1: us → eu"],
			"however it is spelt",
		);
		const relabelled = [[["10.9.0.1", "us"]], [["10.9.0.1", "eu"]]] as const;
		t.same(told(world(relabelled[0], null), world(relabelled[1], null)), [], "no class, no matter");
		t.same(told(world(relabelled[0], null), world(relabelled[1])), [
			"Service shop, DataClass: none, any region → personal, eu and de",
		]);
		t.same(told(world(relabelled[1], "personal", ["us"]), world(relabelled[0], "personal", ["us"])), moved("eu", "us"));
	},
);

t.test("who may send a Metric's outcomes, and who no more; nobody sends one that is not declared", (t) => {
	const sent = (...senders: readonly string[]) =>
		resourceSet({
			metrics: [{ kind: "Metric", metadata: metadata("accuracy"), spec: { senders } as unknown as Metric["spec"] }],
		});
	const [none, one, both] = [sent(), sent("spiffe://a/grader"), sent("spiffe://a/grader", "spiffe://a/eve")];
	const told = (from: ResourceSet, to: ResourceSet) => changedSettings(from, to);
	t.same(told(both, both), []);
	t.same(told(one, both), ["Metric accuracy, senders: also spiffe://a/eve"]);
	t.same(told(both, one), ["Metric accuracy, senders: no more spiffe://a/eve"]);
	t.same(told(resourceSet({}), one), ["Metric accuracy, senders: now spiffe://a/grader"]);
	t.same(told(one, resourceSet({})), ["Metric accuracy, senders: no more spiffe://a/grader"]);
	t.same(told(none, resourceSet({})), []);
	t.end();
});

t.test("where a protected Service's requests leave Envoy's machine in plain text", (t) => {
	const at = (addresses: readonly string[], spec = {}) =>
		resourceSet({
			services: [
				shop({
					access: null,
					variants: [{ name: "v1", endpoints: addresses.map((address) => ({ address, port: 9001, locality: null })) }],
					...spec,
				}),
			],
		});
	const told = (from: ResourceSet, to: ResourceSet) => changedSettings(from, to);
	const now = (...servers: readonly string[]) => [`Service shop, plain text off Envoy's machine: now ${servers}`];
	t.same(told(at(["127.0.0.1"]), at(["10.1.2.3"])), now("10.1.2.3:9001"));
	t.same(told(at(["10.1.2.3"]), at(["10.1.2.3", "fd00:0::1"])), now("[fd00::1]:9001"), "identities as before");
	t.same(told(at(["10.1.2.3"]), at(["127.0.0.1"])), [], "what leaves it no more needs no word");
	const identities = ["spiffe://a/model"];
	t.same(told(at(["10.1.2.3"], { identities }), at(["10.1.2.4"], { identities })), []);
	t.same(told(at(["10.1.2.3"], { identities }), at(["10.1.2.3"])), [
		"Service shop, identities of its endpoints: no more spiffe://a/model, now none (plain text)",
		...now("10.1.2.3:9001"),
	]);
	const access = "open" as const;
	t.same(told(at(["127.0.0.1"], { access }), at(["10.1.2.3"], { access })), [], "an open Service proves nothing");
	t.end();
});
