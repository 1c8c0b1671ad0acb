/** Text of `--help` about the identity of operators, for commands and for control. */

export const API_HELP = `
Identity of the caller without --identity, from the environment:
  WEIR_API               control's API, as --api
  WEIR_API_TOKEN_FILE    file with an access token of the operators' issuer (weir control --operator-issuer)
  WEIR_API_CERT          PEM file with an SVID, instead of a token or beside it
  WEIR_API_KEY           PEM file with its private key
  WEIR_API_CA            PEM file: who signs control's certificate
  WEIR_API_SERVER        SPIFFE id that control must show
Over the UNIX socket its owner needs none of them.
`;

export const OPERATORS_HELP = `
Operators with tokens (OIDC), at the API's TCP listener (--api-port):
  --operator-issuer, --operator-audience and --operator-keys are given together. A token lives for a day at most, is
  taken from the header Authorization: Bearer, and its subject is ISSUER#SUB in RoleBindings; its groups are group:NAME.
  A client certificate is then not demanded any more; a request without a token is still its holder's.
`;
