/** The section of docs/failures.md about tokens, with the limits themselves. Checked by test/trust/tokens/admission. */

import { PROOF_QUERY_MS, REPLAYS_SHARED_MAX } from "../../src/cli/sidecar/usedProofs.js";
import { REPLAYS_MAX, TOKENS_PENDING_MAX } from "../../src/limits/index.js";
import {
	DPOP_USER,
	TOKEN_FAILED,
	TOKEN_FAILED_USER,
	TOKEN_USER,
	TOKEN_USERS_MAX,
} from "../../src/trust/tokens/admission.js";
import { TOKENS_KEYS_WAITING_MAX } from "../../src/trust/tokens/verifier.js";

const number = (value: number): string => value.toLocaleString("en");

export const VERIFICATION_LIMITS = `## When the sidecar verifies no more tokens

429 \`verification-limited\` means that the token or proof was not checked; declared \`rateLimits\` answer \`rate-limited\`. All bounds are
of one sidecar process, and with \`--workers N\` of each worker, except the remembered proofs. Tokens that are cached always pass. The
payer is the caller's SPIFFE id (behind a trusted proxy its client), else the address. What needs no cryptography costs nothing: an
unknown issuer or \`kid\`, claims that do not match, a proof for another request.

| bound | for each | value | beyond |
|---|---|---|---|
| signatures that did not hold | payer | ${number(TOKEN_FAILED.burst)} at once, ${number(TOKEN_FAILED.perSecond)} a second | tokens that are new here, of users whose tokens have not held here before; others behind the same payer pass |
| the same, when the payer has none left | user whose tokens have held (${number(TOKEN_USERS_MAX)} are remembered) | ${number(TOKEN_FAILED_USER.burst)} at once, ${number(TOKEN_FAILED_USER.perSecond)} a second | that user's new tokens and proofs |
| new tokens that hold | user (issuer and \`sub\`) | ${number(TOKEN_USER.burst)} at once, ${number(TOKEN_USER.perSecond)} a second | that user's new tokens |
| DPoP proofs that hold, one for each request | user | ${number(DPOP_USER.burst)} at once, ${number(DPOP_USER.perSecond)} a second | that user's requests |
| proofs remembered against replay, 120 to 160 s each | process | ${number(REPLAYS_MAX)}, for each of up to ${REPLAYS_SHARED_MAX / REPLAYS_MAX} workers | requests with a proof |
| proofs that a worker asks the primary about | worker | ${number(TOKENS_PENDING_MAX)} at once, ${number(PROOF_QUERY_MS)} ms each | requests with a proof, while the primary hangs; where Envoy waits for less (\`callout.timeout\`), it answers 503 before |
| verifications under way | process | ${number(TOKENS_PENDING_MAX)} | new tokens and proofs |
| tokens that wait for keys to be fetched | process | ${number(TOKENS_KEYS_WAITING_MAX)} | tokens of unknown keys |

A client that floods from behind a shared payer with forgeries under a known \`kid\` keeps other users behind that payer from getting new
tokens verified: limit unverified requests at the front-end. A client with a stolen DPoP token can use up that user's bound for failed
proofs.
`;
