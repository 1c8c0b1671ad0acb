/** The part of deploy/failures.md about tokens: its numbers are the bounds themselves, which test/tokens/admission checks. */
import {
	DPOP_USER,
	PROOF_ASKED_MS,
	REPLAYS_MAX,
	REPLAYS_SHARED_MAX,
	TOKEN_FAILED,
	TOKEN_FAILED_USER,
	TOKEN_USER,
	TOKEN_USERS_MAX,
	TOKENS_KEYS_WAITING_MAX,
	TOKENS_PENDING_MAX,
} from "../../src/limits.js";

const number = (value: number): string => value.toLocaleString("en");

export const VERIFICATION_LIMITS = `## When the sidecar verifies no more tokens

429 \`access denied: verification-limited\`: whether the token or proof holds was not looked at. Declared \`rateLimits\` answer
\`rate-limited\`. All bounds are of one sidecar process; with \`--workers N\` of each
worker, but for the proofs that are remembered: the primary has those of all. Known tokens (cached, without a proof) pass whatever
they say. The payer is the caller's SPIFFE id (behind a trusted proxy the client that it names), else the address, so a front-end or
a network behind one address is one payer for all its users. What needs no cryptography costs nothing: an unknown issuer, an
unknown \`kid\`, claims that do not fit, a proof for another request.

| bound | for each | value | beyond |
|---|---|---|---|
| signatures that did not hold | payer | ${number(TOKEN_FAILED.burst)} at once, ${number(TOKEN_FAILED.perSecond)} a second | tokens that are new here, of users whose tokens have not held here before; others behind the same payer pass |
| the same, when the payer has none left | user whose tokens have held (${number(TOKEN_USERS_MAX)} are remembered) | ${number(TOKEN_FAILED_USER.burst)} at once, ${number(TOKEN_FAILED_USER.perSecond)} a second | that user's new tokens and proofs |
| new tokens that hold | user (issuer and \`sub\`) | ${number(TOKEN_USER.burst)} at once, ${number(TOKEN_USER.perSecond)} a second | that user's new tokens |
| DPoP proofs that hold, one for each request | user | ${number(DPOP_USER.burst)} at once, ${number(DPOP_USER.perSecond)} a second | that user's requests |
| proofs remembered against replay, 120 to 160 s each | process | ${number(REPLAYS_MAX)}, for each of up to ${REPLAYS_SHARED_MAX / REPLAYS_MAX} workers | requests with a proof |
| proofs that a worker asks the primary about | worker | ${number(TOKENS_PENDING_MAX)} at once, ${number(PROOF_ASKED_MS)} ms each | requests with a proof, while the primary hangs; where Envoy waits for less (\`callout.timeout\`), it answers 503 before |
| verifications under way | process | ${number(TOKENS_PENDING_MAX)} | new tokens and proofs |
| tokens that wait for keys to be fetched | process | ${number(TOKENS_KEYS_WAITING_MAX)} | tokens of unknown keys |

What remains: who floods from behind a shared payer with forgeries under a known \`kid\` keeps out, while it lasts, users behind
the same payer whose tokens have not held here before; with a user's name (\`sub\`) in them, that user's new tokens too. Nothing
tells them apart before the signature is checked: limit unverified requests at the front-end. Each payer has bounds of its own, so
that a flood from many addresses or ids is bounded only by the verifications under way; and who holds a stolen DPoP token can,
once its own payer's bound is spent, use up that token's user's bound for proofs that do not hold.
`;
