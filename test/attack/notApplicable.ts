/** Known CVEs without a test case, each with the reason. */
export const NOT_APPLICABLE: Readonly<Record<string, string>> = {
	"CVE-2024-23324": "no listener of ours reads the PROXY protocol (config.test.ts holds that)",
	"CVE-2026-50572": "no filter of ours asks an HTTP authorization service (config.test.ts holds that)",
	"CVE-2026-48743": "no listener of ours speaks HTTP/3 (config.test.ts holds that)",
	"CVE-2024-45808":
		"Envoy's text log is not where we log: access-log entries are protobuf, without SNI, and our own lines are JSON",
	"CVE-2022-36085": "no Rego is evaluated",
	"CVE-2025-46569": "no Rego is evaluated",
	"CVE-2026-55773": "no Cedar policy is made out of text",
	"GHSA-c33x-vcv4-vg3g": "cedar-wasm is not used",
	"CVE-2026-22771":
		"no Lua but one script that is the same whatever is declared, and none of an extension policy that we emit",
	"CVE-2026-53713":
		"no Lua but one script that is the same whatever is declared, and none of an extension policy that we emit",
	"CVE-2026-39350/istio":
		"the flaw is in Istio's serviceAccounts field, which we do not emit; our own form of it has a case (identity.test.ts)",
};

/** Cases that lie elsewhere, because they need another scene: where. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
	"CVE-2026-47207":
		"test/failure/wrong.test.ts and test/publish/sidecar/grpc: exactly one reply for one message, and servers that give others",
	"envoyproxy/ai-gateway#2560":
		"test/observe/agent/prober.test.ts: a filter that is missing from the chain sets off the alarm",
	"T-pdp-gone": "test/failure/absent.test.ts: 503 where the sidecar is gone or hangs",
	"CVE-2026-48042": "test/fuzz and jwt.test.ts: nested JSON in tokens, tables, key sets and outcomes",
};
