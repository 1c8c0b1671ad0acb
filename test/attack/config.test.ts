/** What our Envoy configuration must and must not contain, so that whole classes of flaws do not apply. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { OVERRIDE_HEADERS } from "../../src/compile/access/requests/canonical.js";
import { authorize } from "../../src/compile/access/rules/policy.js";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { FORWARDED_CERT_HEADER } from "../../src/compile/plan/headers.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { parseResources } from "../../src/declare/resources/parse.js";
import {
	accessPolicy,
	experiment,
	gateway,
	layer,
	PATIENT,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../fixtures/resources.js";
import { ELSEWHERE, NOT_APPLICABLE } from "./notApplicable.js";
import { FORMS } from "./scene.js";

const files = { from: "files", certificateFile: "/c", privateKeyFile: "/k", clientCaFile: "/ca" } as const;

function configuration(form: string, open = false): string {
	const set = resourceSet({
		gateways: [gateway({ tls: files })],
		services: [
			service("guarded", [variant("v1", 1), variant("v2", 2)], open ? {} : { access: null, callout: PATIENT }),
		],
		experiments: [experiment("e", "guarded", [1, 1])],
		accessPolicies: open ? [] : [accessPolicy("a", "allow", ["guarded"], { principals: ["spiffe://a/b"] })],
	});
	return JSON.stringify(compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS, ...FORMS[form] }).envoy);
}

interface Filter {
	readonly name: string;
	readonly typed_config: Readonly<Record<string, unknown>>;
}

const spellings = (word: string): readonly string[] =>
	["-", "_"].flatMap((a) => ["-", "_"].map((b) => `x${a}${word}${b}`));

/** No verdict is asked of trailers (trailers.test.ts): what a server could merge into the headers, and take for judged. */
const IN_TRAILERS = [
	...[
		"forwarded",
		"via",
		"x-real-ip",
		"x-client-ip",
		"true-client-ip",
		"cf-connecting-ip",
		"x-original-host",
		"x-host",
	],
	...["host", "cookie", "authorization", "dpop"],
	// Never a trailer's.
	...["transfer-encoding", "content-length", "trailer", "te"],
	...["connection", "proxy-connection", "keep-alive", "upgrade", "proxy-authorization", "set-cookie"],
	...["content-type", "content-encoding", "content-range", "content-location"],
	...["cache-control", "pragma", "expect", "max-forwards", "range"],
	...["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"],
	// The Service's own header of units.
	"x-user-id",
	...OVERRIDE_HEADERS,
];

/** Prefixes and names that are removed under that field of the configuration, sorted. */
function takenAway(text: string, field: string): readonly string[] {
	const found: string[] = [];
	const matchers = (value: unknown): void => {
		JSON.stringify(value, (key, inner) => {
			if (key === "key_matcher") found.push(inner.prefix ?? inner.exact);
			return inner;
		});
	};
	JSON.parse(text, (key, value) => {
		if (key === field) matchers(value);
		return value;
	});
	return found.sort();
}

for (const form of Object.keys(FORMS)) {
	const text = configuration(form);
	t.test(`${form}: optional Envoy features are off`, async (t) => {
		t.notMatch(text, /proxy_protocol/i, "CVE-2024-23324");
		t.notMatch(text, /http_service|"server_uri"/, "CVE-2026-50572");
		t.notMatch(text, /quic|http3/i, "CVE-2026-48743");
		t.notMatch(text, /\.lua\./i, "CVE-2026-22771, CVE-2026-53713");
		t.notMatch(text, /"allow_connect":true|connect_config/, "CVE-2026-73547, CVE-2025-64763");
	});
	t.test(`${form}: the listener is hardened`, async (t) => {
		for (const setting of [
			'"normalize_path":true',
			'"merge_slashes":true',
			'"path_with_escaped_slashes_action":"REJECT_REQUEST"',
			'"strip_any_host_port":true',
			'"use_remote_address":true',
			'"headers_with_underscores_action":"REJECT_REQUEST"',
			'"max_headers_count":100',
			'"request_headers_timeout":"5s"',
			'"transport_socket_connect_timeout":"10s"',
			'"max_connection_duration":"1800s"',
			'"max_concurrent_streams":100',
			'"forward_client_cert_details":"SANITIZE_SET"',
			'"http1_safe_max_connection_duration":true',
			'"initial_stream_window_size":65536',
			'"initial_connection_window_size":1048576',
			'"upgrade_configs":[{"upgrade_type":"websocket","enabled":false}]',
			'"require_client_certificate":true',
			'"disable_stateless_session_resumption":true',
			'"disable_stateful_session_resumption":true',
			'"alpn_protocols":["h2","http/1.1"]',
			'"codec_type":"AUTO"',
			'"suppress_envoy_headers":true',
			'"server_header_transformation":"PASS_THROUGH"',
			'"proxy_100_continue":true',
			'"http_protocol_options":{"enable_trailers":true}',
		]) {
			t.ok(text.includes(setting), setting);
		}
		t.notMatch(text, /internal_address_config/, "an empty one would make every address internal (seen on 1.40.0)");
		t.notMatch(
			text,
			/"(?:tracing|access_log|access_log_options|upstream_log)":/,
			"without a collector nothing is sent",
		);
	});
	t.test(`${form}: reserved headers and trailers are removed in every spelling`, async (t) => {
		t.same(takenAway(text, "early_header_mutation_extensions"), ["x-envoy-", "x-weir-"]);
		const prefixes = [...spellings("weir"), ...spellings("envoy")];
		const ofTrailers = [...prefixes, "x-forwarded-", ...IN_TRAILERS];
		t.same(takenAway(text, "request_trailers_mutations"), ofTrailers.sort());
	});
	t.test(`${form}: no route allows an upgrade`, async (t) => {
		const actions: string[] = [];
		JSON.parse(text, (key, value) => {
			if (key === "route" && ("cluster" in value || "weighted_clusters" in value)) actions.push(JSON.stringify(value));
			return value;
		});
		t.ok(actions.length > 0);
		for (const action of actions) t.ok(action.includes('"upgrade_type":"websocket","enabled":false'), action);
	});
	t.test(`${form}: with native verdicts, the path of the built-in probe is never served`, async (t) => {
		const probe = '"policies":{"(probe)":{"permissions":[{"url_path":{"path":{"exact":"/.well-known/weir-probe"}}}]';
		t.equal(text.includes(probe), form === "native");
	});
	t.test(`${form}: a failed callout is answered with 503`, async (t) => {
		const filters: Filter[] = [];
		JSON.parse(text, (key, value) => {
			if (key === "http_filters") filters.push(...(value as Filter[]));
			return value;
		});
		const asking = filters.filter(({ name }) => ["weir.verdict", "weir.process"].includes(name));
		t.equal(asking.length, form === "native" ? 0 : 2);
		for (const { name, typed_config: config } of asking) {
			t.same(config.status_on_error, { code: "ServiceUnavailable" }, name);
			t.equal(config.failure_mode_allow, false, name);
		}
		if (form !== "native") {
			const assigning = filters.find(({ name }) => name === "weir.assign");
			t.same(assigning?.typed_config.status_on_error, { code: "ServiceUnavailable" }, "also to assign");
		}
		t.notMatch(text, /check_settings":\{[^}]*"grpc_service/, "CVE-2026-47205: no Service has an ext_authz of its own");
	});
}

for (const count of [0, 1, 2]) {
	t.test(
		`${count} trusted proxies: what they say of their clients is kept apart, and ends at the Gateway`,
		async (t) => {
			const trustedProxies = Array.from({ length: count }, (_, index) => `spiffe://a/proxy${index}`);
			const set = resourceSet({
				gateways: [gateway({ tls: files, trustedProxies })],
				services: [service("guarded", [variant("v1", 1)])],
			});
			const text = JSON.stringify(compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS }).envoy);
			t.equal(text.includes(`"append":{"header":{"key":"${FORWARDED_CERT_HEADER}"`), count > 0);
			t.equal(text.includes(`"request_headers_to_remove":["${FORWARDED_CERT_HEADER}"]`), count > 0);
		},
	);
}

/** Fields of the reference's hardening (security.md 6) that we set differently, each with the reason. */
const OTHERWISE: Readonly<Record<string, string>> = {
	per_connection_buffer_limit_bytes: "1 MiB is Envoy's own default",
	tls_minimum_protocol_version:
		"1.3 with identity: mesh, where both ends are ours; with files 1.2, as clients that exist must get in",
	match_typed_subject_alt_names:
		"with identity: mesh, and where trustDomains are named: by trust domain; policies define who may call what",
	internal_address_config: "left out, no address is internal; an empty one makes every one so (1.40.0)",
	set_current_client_cert_details: "the URI alone: certificate and names would make each request larger without use",
	stream_idle_timeout:
		"5 minutes, a field of the Gateway, and no less than a Service's timeout: a model may be silent for longer than 60 s",
	max_requests_per_connection:
		"not set: it ends the busiest clients' connections; those with a certificate end by time, resets are bounded by streams",
	random_sampling: "the value of --trace-sampling",
};

t.test("each difference from the reference configuration has its reason", async (t) => {
	const text = configuration("native");
	for (const [field, why] of Object.entries(OTHERWISE)) t.ok(why.length > 20, `${field}: ${why}`);
	t.match(text, /"stream_idle_timeout":"300s"/);
	t.match(text, /"set_current_client_cert_details":\{"uri":true\}/);
	t.notMatch(text, /per_connection_buffer_limit_bytes|max_requests_per_connection/);
});

t.test("an open Gateway changes no request", async (t) => {
	const text = configuration("native", true);
	t.match(text, /"normalize_path":false/);
	t.match(text, /"upgrade_configs":\[\{"upgrade_type":"websocket"\}\]/);
	t.match(text, /"common_http_protocol_options":\{"max_connection_duration":"1800s","idle_timeout":"1800s"\}/);
	t.match(text, /"request_headers_timeout":"75s"/);
	t.match(text, /"ignore_port_in_host_matching":true/, "`Host: name:port` is the same Service");
	t.notMatch(text, /strip_any_host_port|headers_with_underscores_action|max_headers_count|x-envoy-/);
});

t.test("CVE-2026-53718: a policy of another namespace opens nothing", async (t) => {
	const guarded = service("guarded", [variant("v1", 1)], { access: null });
	const elsewhere = accessPolicy("a", "allow", ["guarded"], { principals: ["spiffe://a/b"] }, "other");
	const request = {
		principal: "spiffe://a/b",
		method: "GET",
		path: "/",
		variant: "v1",
		token: null,
		region: null,
		nowMs: 0,
	};
	t.equal(authorize(guarded, [elsewhere], request).allowed, false);
	t.equal(authorize(guarded, [{ ...elsewhere, metadata: guarded.metadata }], request).allowed, true);
});

t.test("GHSA-hrxh-6v49-42gf: an unknown matcher is an error, and not skipped", async (t) => {
	const policy = (more: string): string =>
		`apiVersion: weir.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: a}\nspec:\n  action: deny\n  services: [guarded]\n${more}`;
	const problems = (more: string) => parseResources([{ name: "a.yaml", text: policy(more) }]).problems;
	t.same(problems(""), [], "without one it is right");
	for (const field of ["notPaths: [/x]", "headers: [{name: x}]", "not: {methods: [GET]}"]) {
		t.match(JSON.stringify(problems(`  ${field}\n`)), field.split(":", 1)[0], field);
	}
});

t.test("every id of the CVE list has a case, or a reason why not", async (t) => {
	const here = new URL(".", import.meta.url);
	const sources = await Promise.all(
		[
			"http1.test",
			"http2.test",
			"identity.test",
			"jwt.test",
			"tokens",
			"config.test",
			"cases/headers",
			"cases/paths",
			"cases/smuggling",
		].map((name) => readFile(new URL(`${name}.js`, here), "utf8")),
	);
	const text = [...sources, ...Object.keys(NOT_APPLICABLE), ...Object.keys(ELSEWHERE)].join("\n");
	t.same(
		LISTED.filter((id) => !text.includes(id)),
		[],
	);
});

/** Ids of security.md section 4. */
const LISTED: readonly string[] = [
	...[
		"CVE-2024-23324",
		"CVE-2023-27488",
		"CVE-2026-31837",
		"CVE-2026-73547",
		"CVE-2026-47205",
		"CVE-2026-50572",
		"CVE-2026-47207",
		"CVE-2025-30157",
	],
	...[
		"CVE-2025-64527",
		"CVE-2024-45809",
		"CVE-2026-48042",
		"CVE-2026-47774",
		"CVE-2023-44487",
		"CVE-2024-28176",
		"envoyproxy/ai-gateway#2560",
	],
	...[
		"CVE-2021-32777",
		"CVE-2020-25017",
		"CVE-2026-26308",
		"CVE-2026-31838",
		"CVE-2026-73552",
		"GHSA-qc2q-p7wx-3px3",
		"CVE-2023-27487",
		"CVE-2024-45806",
	],
	...[
		"CVE-2023-27493",
		"CVE-2024-45808",
		"CVE-2019-9901",
		"CVE-2021-29492",
		"CVE-2021-31920",
		"CVE-2021-32779",
		"CVE-2021-39156",
		"CVE-2021-39155",
	],
	...[
		"CVE-2025-46821",
		"CVE-2026-73511",
		"CVE-2026-73553",
		"CVE-2026-26205",
		"CVE-2026-32811",
		"CVE-2026-49473",
		"CVE-2022-21656",
		"CVE-2025-66220",
	],
	...[
		"CVE-2026-47778",
		"CVE-2026-39350",
		"CVE-2015-9235",
		"CVE-2022-23539",
		"CVE-2022-23540",
		"CVE-2022-23541",
		"CVE-2018-0114",
		"CVE-2022-21449",
	],
	...[
		"CVE-2023-48223",
		"CVE-2026-34950",
		"CVE-2026-107722",
		"CVE-2026-35042",
		"CVE-2026-35039",
		"CVE-2026-44699",
		"CVE-2025-64763",
		"CVE-2026-48743",
	],
	...[
		"CVE-2026-73548",
		"CVE-2026-22771",
		"CVE-2026-53713",
		"CVE-2026-53718",
		"GHSA-hrxh-6v49-42gf",
		"CVE-2026-55773",
		"CVE-2025-46569",
	],
	...["CVE-2022-36085", "GHSA-c33x-vcv4-vg3g"],
];

t.test("the only Lua script is the same for any declared claims: CVE-2026-22771, CVE-2026-53713", async (t) => {
	const scripts = (claim: string): readonly string[] => {
		const plan = compile(
			resourceSet({
				gateways: [gateway({ tokens: [tokenIssuer("https://id.test", ["weir"], "/keys.json")] })],
				services: [service("open", [variant("v1", 1), variant("v2", 2)], { access: "open" })],
				layers: [layer("models", null)],
				experiments: [experiment("trial", "open", [1, 1], { unit: { from: "claim", claim }, layer: "models" })],
			}),
			EMPTY_STATUS,
			{ collectors: NO_COLLECTORS },
		);
		return [...JSON.stringify(plan.envoy).matchAll(/"default_source_code":\{"inline_string":"((?:[^"\\]|\\.)*)"/g)].map(
			([, found = ""]) => found,
		);
	};
	t.equal(scripts("sub").length, 1);
	t.same(scripts('x"}) os.exit() --'), scripts("sub"));
});
