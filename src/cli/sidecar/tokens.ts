/**
 * Token verification in the sidecar, for the issuers of the newest table. Loaded with the first table that names an
 * issuer, to save memory.
 */
import { kept, type TokenAnswer, type VerifyToken } from "../../compile/access/users/token.js";
import { KEYS_REFRESH_MS } from "../../limits/index.js";
import type { Log } from "../../observe/telemetry/log.js";
import type { Tables } from "../../publish/sidecar/tables.js";
import type { ProofMemory } from "../../trust/tokens/replays.js";
import type { TokenVerifier } from "../../trust/tokens/verifier.js";

/**
 * @param proofs shared replay cache of the workers; null = a cache of this process
 * @returns a verifier that follows the newest table
 */
export function tokensOf(
	tables: Tables<unknown>,
	proofs: ProofMemory | null,
	log: Pick<Log, "info" | "warn">,
): VerifyToken {
	let verifier: TokenVerifier | null = null;
	let loading: Promise<TokenVerifier> | null = null;
	const use = (): void => verifier?.use(tables.newest?.table.gateways ?? []);
	const load = async (): Promise<TokenVerifier> => {
		const { TokenVerifier } = await import("../../trust/tokens/verifier.js");
		const made = new TokenVerifier({
			keysTroubled: (source, trouble) => {
				if (trouble === null) log.info("an issuer's key set is usable again", { source });
				else log.warn("an issuer's key set could not be fetched or has no usable key", { source, ...trouble });
			},
			...(proofs === null ? {} : { proofs }),
		});
		verifier = made;
		use();
		setInterval(() => made.lookAtKeys(), KEYS_REFRESH_MS).unref();
		return made;
	};
	const loaded = (): Promise<TokenVerifier> => {
		loading ??= load();
		return loading;
	};
	let known: unknown = null;
	tables.onChange(() => {
		const gateways = tables.newest?.table.gateways;
		if (gateways === undefined || gateways === known) return;
		known = gateways;
		if (verifier !== null) use();
		else if (gateways.some(({ issuers }) => issuers.length > 0)) void loaded();
	});
	return (question) => {
		if (verifier !== null) return verifier.verify(question);
		const asked = kept(question);
		return loaded().then(
			(made): TokenAnswer | Promise<TokenAnswer> => made.verify(asked),
			(): TokenAnswer => ({ refused: "invalid-token", why: "tokens cannot be verified here" }),
		);
	};
}
