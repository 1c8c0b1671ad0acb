# Ten lines, as a small service has them: who may call what. The same rule as the benchmark's AccessPolicy.
package envoy.authz

default allow := false

allow if {
	input.attributes.source.principal in {"spiffe://weir.test/client", "spiffe://weir.test/batch"}
	input.attributes.request.http.method in {"GET", "POST"}
	array.slice(input.parsed_path, 0, 2) == ["v2", "models"]
}
