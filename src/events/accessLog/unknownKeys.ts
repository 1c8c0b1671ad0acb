/**
 * Counts tokens that Envoy refused for a key that it does not have, by Gateway: a sign that an issuer has new keys. Strangers' are
 * none, or they would take the next look at the issuer from who needs it.
 */
import { namesUnknownKey } from "../../compiler/denial.js";
import { parseRouteName } from "../../compiler/plan.js";
import { UNKNOWN_KEY_GATEWAYS_MAX } from "../../limits.js";
import { type AccessLogEntry, codeDetailsOf } from "./accessLogEntry.js";
import type { PlanReader } from "./planReader.js";
import { requestDetails } from "./requestDetails.js";

export class UnknownKeys {
	readonly #counts = new Map<string, number>();

	constructor(private readonly plans: Pick<PlanReader, "known" | "load">) {}

	/** @param gateway that the entry's stream is for, by qualified name; null = its Envoy does not say */
	see(entry: AccessLogEntry, gateway: string | null): void {
		if (entry.status !== 401 || gateway === null || !namesUnknownKey(codeDetailsOf(entry))) return;
		if (this.#isStrangers(entry)) return;
		const count = this.#counts.get(gateway);
		if (count === undefined && this.#counts.size >= UNKNOWN_KEY_GATEWAYS_MAX) return;
		this.#counts.set(gateway, (count ?? 0) + 1);
	}

	/** Whether it is of a caller that the rules refuse with any token, as far as is known now. */
	#isStrangers(entry: AccessLogEntry): boolean {
		const route = parseRouteName(entry.routeName);
		if (route === null) return false;
		const plan = this.plans.known(route.version);
		if (plan === null) void this.plans.load(route.version);
		return plan?.get(route.service)?.couldAllow?.(requestDetails(entry).principal) === false;
	}

	/** Since this process began. */
	counts(): Readonly<Record<string, number>> {
		return Object.fromEntries(this.#counts);
	}
}
