/** A name whose server says nothing holds up no Envoy's start for long: with a real Envoy and a silent resolver. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import t from "tap";
import { staticBootstrap } from "../../src/compiler/bootstrap.js";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { startEnvoy } from "../envoy/harness.js";
import { gateway, resourceSet, service } from "../fixtures/resources.js";

interface Resolver {
	readonly typed_config: object;
}

t.test("an Envoy is ready though one name is never answered", async (t) => {
	let asked = 0;
	const silent = createSocket("udp4").on("message", () => asked++);
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
	// By its own tries Envoy is not ready before the harness gives up (20 s).
	await startEnvoy(t, (adminSocket) => {
		const bootstrap = staticBootstrap(envoy, { collectors: NO_COLLECTORS, nodeId: "envoy-1", adminSocket });
		const { typed_dns_resolver_config: ours } = bootstrap as { readonly typed_dns_resolver_config: Resolver };
		const typed_config = { ...ours.typed_config, resolvers: [address] };
		return { ...bootstrap, typed_dns_resolver_config: { ...ours, typed_config } };
	});
	t.ok(asked > 0, "it was asked");
});
