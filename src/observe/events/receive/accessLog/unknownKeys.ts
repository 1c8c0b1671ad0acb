/** Counts tokens refused by Envoy for an unknown key, by Gateway: a sign that an issuer has new keys. */
import { namesUnknownKey } from "../../../../compile/envoy/denial.js";
import type { AccessLogEntry } from "./accessLogEntry.js";

/** Gateways with a count of tokens with unknown keys; control has tens. */
const UNKNOWN_KEY_GATEWAYS_MAX = 1_000;

export class UnknownKeys {
	readonly #counts = new Map<string, number>();

	/** @param gateway of the entry's stream, by qualified name; null = not named by its Envoy */
	see({ status, codeDetails }: AccessLogEntry, gateway: string | null): void {
		if (status !== 401 || gateway === null || !namesUnknownKey(codeDetails)) return;
		const count = this.#counts.get(gateway);
		if (count === undefined && this.#counts.size >= UNKNOWN_KEY_GATEWAYS_MAX) return;
		this.#counts.set(gateway, (count ?? 0) + 1);
	}

	/** Since this process began. */
	counts(): Readonly<Record<string, number>> {
		return Object.fromEntries(this.#counts);
	}
}
