package main

import (
	"errors"
	"log"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	path      = "/v2/models/m/infer?trace=off"
	principal = "spiffe://weir.test/client"
)

// requestHeaders are what Envoy hands over of a request of a browser-like client behind a gateway: fifteen.
func requestHeaders(host string) *corev3.HeaderMap {
	pairs := [][2]string{
		{":authority", host},
		{":path", path},
		{":method", "POST"},
		{":scheme", "https"},
		{"user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"},
		{"accept", "application/json, text/plain;q=0.9, */*;q=0.8"},
		{"accept-encoding", "gzip, deflate, br, zstd"},
		{"accept-language", "en-GB,en;q=0.9,de;q=0.8"},
		{"content-type", "application/json"},
		{"content-length", "512"},
		{"x-user-id", "user-4217093"},
		{"x-forwarded-for", "203.0.113.17"},
		{"x-forwarded-proto", "https"},
		{"x-request-id", "5f1c9a1e-6f1b-4b0e-9b43-0c6f5a1d2e3f"},
		{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
	}
	headers := make([]*corev3.HeaderValue, len(pairs))
	for index, pair := range pairs {
		headers[index] = &corev3.HeaderValue{Key: pair[0], RawValue: []byte(pair[1])}
	}
	return &corev3.HeaderMap{Headers: headers}
}

func peer(principal, address string, port uint32) *authv3.AttributeContext_Peer {
	return &authv3.AttributeContext_Peer{
		Principal: principal,
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address:       address,
			PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
		}}},
	}
}

// checkRequest is Envoy's, with encode_raw_headers.
func checkRequest(host string, contextExtensions map[string]string) []byte {
	return serialised(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source:      peer(principal, "10.0.3.17", 43122),
		Destination: peer("spiffe://weir.test/gateway", "10.0.3.2", 8443),
		Request: &authv3.AttributeContext_Request{
			Time: &timestamppb.Timestamp{Seconds: 1_780_000_000, Nanos: 123_456_000},
			Http: &authv3.AttributeContext_HttpRequest{
				Id:        "12345678901234567890",
				Method:    "POST",
				HeaderMap: requestHeaders(host),
				Path:      path,
				Host:      host,
				Scheme:    "https",
				Size:      512,
				Protocol:  "HTTP/2",
			},
		},
		ContextExtensions:    contextExtensions,
		MetadataContext:      &corev3.Metadata{},
		RouteMetadataContext: &corev3.Metadata{},
	}})
}

// processingRequest is Envoy's first and only message of a stream that watches request headers, with the client's
// certificate among the request attributes.
func processingRequest(host string) []byte {
	return serialised(&extprocv3.ProcessingRequest{
		Request: &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{
			Headers: requestHeaders(host),
		}},
		Attributes: map[string]*structpb.Struct{
			"envoy.filters.http.ext_proc": {Fields: map[string]*structpb.Value{
				"connection.uri_san_peer_certificate": structpb.NewStringValue(principal),
			}},
		},
		ProtocolConfig: &extprocv3.ProtocolConfiguration{},
	})
}

func serialised(message proto.Message) []byte {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		log.Fatal(err)
	}
	return content
}

// allowed holds a CheckResponse to status.code 0 (CheckResponse.status = 1, Status.code = 1).
func allowed(answer []byte) error {
	for len(answer) > 0 {
		number, kind, length := protowire.ConsumeTag(answer)
		if length < 0 {
			return protowire.ParseError(length)
		}
		answer = answer[length:]
		if number == 1 && kind == protowire.BytesType {
			status, length := protowire.ConsumeBytes(answer)
			if length < 0 {
				return protowire.ParseError(length)
			}
			// An OK status is empty, or says code 0 first.
			if len(status) > 1 && status[0] == 0x08 && status[1] != 0 {
				return errors.New("denied")
			}
			answer = answer[length:]
			continue
		}
		length = protowire.ConsumeFieldValue(number, kind, answer)
		if length < 0 {
			return protowire.ParseError(length)
		}
		answer = answer[length:]
	}
	return nil
}

// continued holds a ProcessingResponse to request_headers (field 1): anything else is no "go on".
func continued(answer []byte) error {
	for len(answer) > 0 {
		number, kind, length := protowire.ConsumeTag(answer)
		if length < 0 {
			return protowire.ParseError(length)
		}
		if number == 1 {
			return nil
		}
		answer = answer[length:]
		if length = protowire.ConsumeFieldValue(number, kind, answer); length < 0 {
			return protowire.ParseError(length)
		}
		answer = answer[length:]
	}
	return errors.New("no answer to the request headers")
}
