/** Text of `--help` about the identity of operators, for commands and for control. */

export const API_HELP = `
Identity of the caller without --identity, from the environment:
  WEIR_API               URL of control's API, as --api
  WEIR_API_TOKEN_FILE    file with an access token of the operators' issuer (weir control --operator-issuer)
  WEIR_API_CERT          PEM file with an SVID, instead of a token or in addition
  WEIR_API_KEY           PEM file with the private key of the SVID
  WEIR_API_CA            PEM file with the CA of control's certificate
  WEIR_API_SERVER        SPIFFE id that control's certificate must have
Over the UNIX socket its owner needs none of these.
`;

export const OPERATORS_HELP = `
Operators with OIDC tokens, on the API's TCP listener (--api-port):
  Give --operator-issuer, --operator-audience and --operator-keys together. Tokens are sent as Authorization: Bearer and
  live for at most one day. In RoleBindings the subject of a token is ISSUER#SUB, its groups are group:NAME. Client
  certificates are then optional; a request without a token is attributed to its certificate.
`;
