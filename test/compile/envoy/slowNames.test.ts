/** A name whose DNS server does not answer delays Envoy's start only briefly: a real Envoy and a silent resolver. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { staticBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { startEnvoy } from "../../envoy/harness.js";
import { gateway, resourceSet, service } from "../../fixtures/resources.js";

interface Resolver {
	readonly typed_config: object;
}

const [A, AAAA] = [1, 28];
const HEADER_BYTES = 12;
/** The query's type, behind the end of the name (RFC 1035 4.1.2). */
const typeOf = (query: Buffer): number => query.readUInt16BE(query.indexOf(0, HEADER_BYTES) + 1);

t.test("an Envoy becomes ready although one DNS name is never resolved", async (t) => {
	const askedAt = new Map<number, number[]>();
	const silent = createSocket("udp4").on("message", (query) => {
		const type = typeOf(query);
		askedAt.set(type, [...(askedAt.get(type) ?? []), performance.now()]);
	});
	silent.bind(0, "127.0.0.1");
	await once(silent, "listening");
	t.teardown(() => silent.close());
	const endpoints = [{ address: "slow.example", port: 80, locality: null }];
	const { envoy } = compile(
		resourceSet({ gateways: [gateway()], services: [service("model", [{ name: "v1", endpoints }])] }),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	const address = { socket_address: { address: "127.0.0.1", port_value: silent.address().port } };
	await startEnvoy(t, (adminSocket) => {
		const bootstrap = staticBootstrap(envoy, { collectors: NO_COLLECTORS, nodeId: "envoy-1", adminSocket });
		const { typed_dns_resolver_config: ours } = bootstrap as { readonly typed_dns_resolver_config: Resolver };
		const typed_config = { ...ours.typed_config, resolvers: [address] };
		return { ...bootstrap, typed_dns_resolver_config: { ...ours, typed_config } };
	});
	t.same([...askedAt.keys()], [A, AAAA]);
	for (const [first = 0, second = 0, ...more] of askedAt.values()) {
		t.same(more, [], "asked twice: one packet may be lost");
		// Envoy and this process may be late by most of another second: the machine is busy.
		t.ok(second > first && second - first < 1_900, `after a second: ${second - first} ms`);
	}
});
