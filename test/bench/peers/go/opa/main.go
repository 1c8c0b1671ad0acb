// Command opa is an ext_authz server on OPA's Go library: one Rego query, prepared once and evaluated for every
// CheckRequest, with the input that opa-envoy-plugin gives its policies. What that plugin adds to a decision
// (decision ids and logs, metrics, revisions of bundles) is left out, so this is the least that OPA costs.
//
// Usage: opa SOCKET. It prints READY when the UNIX socket accepts connections.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"log"
	"net"
	"os"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
)

//go:embed policy.rego
var policy string

// authorization answers with what the policy says.
type authorization struct {
	authv3.UnimplementedAuthorizationServer
	query rego.PreparedEvalQuery
}

func (server *authorization) Check(ctx context.Context, request *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	fields, err := policyInput(request)
	if err != nil {
		return nil, grpcstatus.Error(codes.InvalidArgument, "the path is no URL")
	}
	input, err := ast.InterfaceToValue(fields)
	if err != nil {
		return nil, grpcstatus.Error(codes.Internal, "the request is no policy input")
	}
	results, err := server.query.Eval(ctx, rego.EvalParsedInput(input))
	if err != nil {
		return nil, grpcstatus.Error(codes.Internal, "the policy could not be evaluated")
	}
	if results.Allowed() {
		return &authv3.CheckResponse{
			Status:       &status.Status{Code: int32(codes.OK)},
			HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}},
		}, nil
	}
	return &authv3.CheckResponse{Status: &status.Status{Code: int32(codes.PermissionDenied)}}, nil
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: opa SOCKET")
	}
	query, err := rego.New(
		rego.Query("data.envoy.authz.allow"),
		rego.Module("policy.rego", policy),
	).PrepareForEval(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, &authorization{query: query})
	fmt.Println("READY")
	log.Fatal(server.Serve(listener))
}
