/** What no request can show of a change of declarations, each in words. */
import t from "tap";
import { changedSettings } from "../../src/access/policySettings.js";
import type { GatewayTls } from "../../src/resources/resource.js";
import { gateway, resourceSet, service, tokenIssuer, variant } from "../fixtures/resources.js";

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
			["Service shop, identities of its endpoints: no more spiffe://a/model"],
		],
		[
			set({ tokens: [tokenIssuer("https://a.test", ["weir"], "/keys")] }),
			set({ tokens: [tokenIssuer("https://a.test", ["weir"], "/other")] }),
			[/^Gateway edge, tokens of https:\/\/a\.test: .*\/keys.* → .*\/other/],
		],
		[set(), set({}, { hosts: ["b.test"] }), ["Service shop, hosts: no more shop.test, now b.test"]],
		[set(), resourceSet({ gateways: [gateway()] }), ["Service shop: there no more"]],
		[resourceSet({ gateways: [], services: [shop()] }), set(), ["Gateway edge: new"]],
	] as const;
	for (const [before, after, told] of cases) {
		const changes = changedSettings(before, after);
		t.equal(changes.length, told.length, JSON.stringify(changes));
		t.match(changes, told);
	}
});
