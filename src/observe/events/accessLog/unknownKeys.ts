/** Counts tokens that Envoy refused for a key that it does not have, by Gateway: a sign that an issuer has new keys. */
import { namesUnknownKey } from "../../../compile/envoy/denial.js";
import { UNKNOWN_KEY_GATEWAYS_MAX } from "../../../limits/index.js";
import type { AccessLogEntry } from "./accessLogEntry.js";

export class UnknownKeys {
	readonly #counts = new Map<string, number>();

	/** @param gateway that the entry's stream is for, by qualified name; null = its Envoy does not say */
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
