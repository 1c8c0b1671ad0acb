/**
 * The answers on real Envoys with a hand-written bootstrap: headers of the sidecar arrive, and forged headers of the
 * client or the upstream do not, by ext_authz and by ext_proc, on the oldest and the newest version.
 */
import t from "tap";
import { EXT_AUTHZ_NAMESPACE, METADATA_NAMESPACE } from "../../../src/compile/envoy/calloutContext.js";
import { launchEnvoy } from "../../envoy/harness.js";
import { alone, headerValues, rawGet } from "../../envoy/pipeline.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { arm, experimentTable, serviceTable } from "./calloutTable.js";
import { startSidecar } from "./rig.js";

const everyone = [arm("all", "v2", 0, 1_000_000, { parameters: { "x-weir-param-k": "5" } })];
const cookie = { from: "cookie", cookie: "wid", maxAgeMs: 60_000 } as const;
const sidecar = await startSidecar(t, {
	version: "plan-1",
	table: {
		gateways: [],
		services: [
			serviceTable("two", {
				experiments: [
					experimentTable("e", everyone, { slotHiPpm: 500_000 }),
					experimentTable("f", everyone, { slotLoPpm: 500_000 }),
				],
			}),
			serviceTable("cookies", { experiments: [experimentTable("e", everyone, { unit: cookie })] }),
			serviceTable("closed", { access: { open: false, policies: [] } }),
		],
	},
});
const answer = "HTTP/1.1 200 OK\r\nx-weir-arm: forged\r\nset-cookie: own=1\r\ncontent-length: 0\r\n\r\n";
const upstreams = await Promise.all(
	["v1", "v2"].map((name) => startVariantServer(name, (socket) => socket.write(answer))),
);
for (const upstream of upstreams) t.teardown(() => upstream.close());

const type = (name: string): string => `type.googleapis.com/envoy.extensions.${name}`;
const grpc = { envoy_grpc: { cluster_name: "sidecar" }, timeout: "2s" };
const FILTERS = {
	ext_authz: {
		"@type": type("filters.http.ext_authz.v3.ExtAuthz"),
		transport_api_version: "V3",
		grpc_service: grpc,
		encode_raw_headers: true,
		clear_route_cache: true,
	},
	ext_proc: {
		"@type": type("filters.http.ext_proc.v3.ExternalProcessor"),
		grpc_service: { ...grpc, initial_metadata: [{ key: "weir-expose", value: "1" }] },
		allow_mode_override: true,
		processing_mode: { response_header_mode: "SKIP" },
		metadata_options: { receiving_namespaces: { untyped: ["weir"] } },
	},
};
/** The place of the answer's metadata. */
const METADATA = { ext_authz: EXT_AUTHZ_NAMESPACE, ext_proc: METADATA_NAMESPACE };

function cluster(name: string, address: object, http2: boolean): object {
	const options = { "@type": type("upstreams.http.v3.HttpProtocolOptions") };
	const explicit = { explicit_http_config: http2 ? { http2_protocol_options: {} } : { http_protocol_options: {} } };
	return {
		name,
		typed_extension_protocol_options: {
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": { ...options, ...explicit },
		},
		load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
	};
}

function bootstrap(protocol: keyof typeof FILTERS, adminSocket: string): object {
	const local = (port: number): object => ({ socket_address: { address: "127.0.0.1", port_value: port } });
	const metadata = `%DYNAMIC_METADATA(${METADATA[protocol]})%`;
	const seen = {
		header: {
			key: "x-seen",
			value: metadata,
		},
	};
	const route = (name: string, variant: string | null): object => ({
		match: {
			prefix: "/",
			headers: variant === null ? [] : [{ name: "x-weir-variant", string_match: { exact: variant } }],
		},
		route: { cluster: name },
		response_headers_to_add: [seen],
	});
	const expose = { "@type": type("filters.http.ext_authz.v3.ExtAuthzPerRoute") };
	return {
		admin: { address: { pipe: { path: adminSocket } } },
		static_resources: {
			clusters: [
				...upstreams.map(({ port }, index) => cluster(`v${index + 1}`, local(port), false)),
				cluster("sidecar", { pipe: { path: sidecar.socketPath } }, true),
			],
			listeners: [
				{
					name: "edge",
					address: local(0),
					filter_chains: [
						{
							filters: [
								{
									name: "http",
									typed_config: {
										"@type": type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
										stat_prefix: "edge",
										access_log: [
											{
												name: "stdout",
												typed_config: {
													"@type": type("access_loggers.stream.v3.StdoutAccessLog"),
													log_format: { text_format_source: { inline_string: `${LOGGED} ${metadata}\n` } },
												},
											},
										],
										http_filters: [
											{ name: "weir.callout", typed_config: FILTERS[protocol] },
											{ name: "router", typed_config: { "@type": type("filters.http.router.v3.Router") } },
										],
										route_config: {
											virtual_hosts: [
												{
													name: "all",
													domains: ["*"],
													routes: [route("v2", "v2"), route("v1", null)],
													...(protocol === "ext_authz" && {
														typed_per_filter_config: {
															"weir.callout": {
																...expose,
																check_settings: { context_extensions: { "weir-expose": "1" } },
															},
														},
													}),
												},
											],
										},
									},
								},
							],
						},
					],
				},
			],
		},
	};
}

const LOGGED = "LOGGED %REQ(:AUTHORITY)% %RESPONSE_CODE_DETAILS%";

const lines = (...headers: readonly string[]): readonly Buffer[] => headers.map((header) => Buffer.from(header));

for (const version of ["1.36.2", "1.40.0"]) {
	for (const protocol of ["ext_authz", "ext_proc"] as const) {
		t.test(`the sidecar's answers by ${protocol} arrive on Envoy ${version}`, async (t) => {
			const envoy = await launchEnvoy((admin) => bootstrap(protocol, admin), { version });
			t.teardown(() => envoy.stop());
			const [v1, v2] = upstreams;
			const ask = (host: string, ...headers: readonly string[]) =>
				alone(envoy.port(), rawGet(`${host}.test`, lines(...headers), "/"));

			const forged = ["x-weir-variant: v1", "x-weir-param-k: 9", "x-weir-param-other: 9", "X-Weir-Arm: e/forged"];
			const arms = await ask("two", "x-user-id: u1", ...forged);
			t.equal(arms.status, 200);
			const sent = v2?.lastHead() ?? "";
			const [, own] = /^x-weir-arm: (.*)\r$/m.exec(sent) ?? [];
			t.match(own, /^[ef]\/all$/, "the arm reaches the chosen Variant");
			t.match(sent, /^x-weir-param-k: 5\r$/m);
			t.equal(sent.match(/^x-weir-/gim)?.length, 3, "and no Weir header of the client");
			const other = own === "e/all" ? "f/-" : "e/-";
			const shown = headerValues(arms, "x-weir-arm").flatMap((line) => line.split(", "));
			t.same(shown, [own, other], "the client sees both, and not the upstream's");
			t.match(JSON.parse(headerValues(arms, "x-seen")[0] ?? "null"), { unit: "u1", variant: "v2", verdict: "allow" });

			const before = v1?.requests() ?? 0;
			t.equal((await ask("two", "x-weir-variant: v2")).status, 200);
			t.equal((v1?.requests() ?? 0) - before, 1, "a forged Variant chooses nothing");
			t.same(
				v1?.lastHead().match(/^x-weir-[^\r]*/gim),
				["x-weir-variant: v1"],
				"these routes are no plan's: the default is named",
			);

			const minted = headerValues(await ask("cookies"), "set-cookie");
			t.equal(minted.length, 2, "the upstream's own cookie stays");
			const unit = /^wid=([\w-]{22}); Max-Age=60; Path=\/; HttpOnly; SameSite=Lax$/.exec(minted[1] ?? "")?.[1];
			const kept = await ask("cookies", `cookie: wid=${unit}`);
			t.equal(headerValues(kept, "set-cookie").length, 1);
			t.equal(JSON.parse(headerValues(kept, "x-seen")[0] ?? "null").unit, unit);

			const reached = upstreams.map((upstream) => upstream.requests());
			for (const [host, reason] of [
				["closed", "no-policy-allows"],
				["unknown", "unknown-service"],
			] as const) {
				const denied = await ask(host);
				t.equal(denied.status, 403);
				t.equal(denied.body.toString(), `access denied: ${reason}\n`);
				t.same(headerValues(denied, "content-type"), ["text/plain"]);
			}
			t.same(
				upstreams.map((upstream) => upstream.requests()),
				reached,
				"no upstream saw a denied request",
			);

			// The log is whole when Envoy has ended.
			await envoy.stop();
			const [, details, logged] = /^LOGGED closed\.test (\S+) (.*)$/m.exec(envoy.log()) ?? [];
			t.equal(details, protocol === "ext_proc" ? "weir_no_policy_allows" : "ext_authz_denied");
			t.match(JSON.parse(logged ?? "null"), { service: "closed", verdict: "deny", reason: "no-policy-allows" });
		});
	}
}
