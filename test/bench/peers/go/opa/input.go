package main

import (
	"net/url"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// policyInput is the document that policies for Envoy are written against: the request's attributes under their
// proto3 JSON names, and path and query taken apart. It reads the message's own fields instead of walking it by
// reflection, which is the cheaper way.
func policyInput(request *authv3.CheckRequest) (map[string]any, error) {
	attributes := request.GetAttributes()
	http := attributes.GetRequest().GetHttp()
	location, err := url.Parse(http.GetPath())
	if err != nil {
		return nil, err
	}
	segments := strings.Split(strings.TrimLeft(location.Path, "/"), "/")
	path := make([]any, len(segments))
	for index, segment := range segments {
		path[index] = segment
	}
	query := make(map[string]any)
	if location.RawQuery != "" {
		for name, values := range location.Query() {
			list := make([]any, len(values))
			for index, value := range values {
				list[index] = value
			}
			query[name] = list
		}
	}
	return map[string]any{
		"attributes": map[string]any{
			"source":      peer(attributes.GetSource()),
			"destination": peer(attributes.GetDestination()),
			"request": map[string]any{
				"time": map[string]any{
					"seconds": attributes.GetRequest().GetTime().GetSeconds(),
					"nanos":   int64(attributes.GetRequest().GetTime().GetNanos()),
				},
				"http": map[string]any{
					"id":       http.GetId(),
					"method":   http.GetMethod(),
					"headers":  headers(http),
					"path":     http.GetPath(),
					"host":     http.GetHost(),
					"scheme":   http.GetScheme(),
					"protocol": http.GetProtocol(),
					"size":     http.GetSize(),
				},
			},
			"contextExtensions": texts(attributes.GetContextExtensions()),
		},
		"parsed_path":  path,
		"parsed_query": query,
		"version":      version,
	}, nil
}

var version = map[string]any{"ext_authz": "v3", "encoding": "protojson"}

func peer(of *authv3.AttributeContext_Peer) map[string]any {
	socket := of.GetAddress().GetSocketAddress()
	return map[string]any{
		"principal": of.GetPrincipal(),
		"address":   map[string]any{"socketAddress": socketAddress(socket)},
	}
}

func socketAddress(of *corev3.SocketAddress) map[string]any {
	return map[string]any{"address": of.GetAddress(), "portValue": int64(of.GetPortValue())}
}

// headers are Envoy's map, or its raw list where the filter says encode_raw_headers.
func headers(http *authv3.AttributeContext_HttpRequest) map[string]any {
	if raw := http.GetHeaderMap().GetHeaders(); len(raw) > 0 {
		fields := make(map[string]any, len(raw))
		for _, header := range raw {
			fields[header.GetKey()] = string(header.GetRawValue())
		}
		return fields
	}
	return texts(http.GetHeaders())
}

func texts(of map[string]string) map[string]any {
	fields := make(map[string]any, len(of))
	for name, value := range of {
		fields[name] = value
	}
	return fields
}
