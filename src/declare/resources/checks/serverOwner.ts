/** A server belongs to one namespace: a Service of another one could expose it with weaker rules (`access: open`). */
import { canonicalAddress, isLoopback } from "../address.js";
import { resourceTitle } from "../position.js";
import type { Service } from "../resource.js";
import { previousOwners } from "./previousOwner.js";
import type { Check } from "./report.js";

/**
 * An endpoint (address and port) and a SPIFFE id of endpoints belong to the namespace of the first Service with them;
 * its own Services may share them. This includes admins, because later editors of either side would keep the exception.
 * DNS names are not resolved, which would be I/O, so two names of one server are detected only by its SPIFFE id: give a
 * protected Service `identities`.
 */
export function sharedProblems(check: Check): void {
	const { set, report } = check;
	const owners = previousOwners(check, ({ spec }) => [
		...spec.variants.flatMap(({ endpoints }) => endpoints.map(({ address, port }) => serverKey(address, port))),
		...(spec.identities ?? []),
	]);
	const foreign = (service: Service, what: string): Service | null => {
		const owner = owners.get(what);
		if (owner === undefined) owners.set(what, service);
		return owner === undefined || owner.metadata.namespace === service.metadata.namespace ? null : owner;
	};
	for (const service of set.services) {
		for (const [index, { endpoints }] of service.spec.variants.entries()) {
			for (const [at, { address, port }] of endpoints.entries()) {
				const owner = foreign(service, serverKey(address, port));
				if (owner === null) continue;
				const message = `endpoint ${address}:${port} is declared by ${resourceTitle(owner)}`;
				const hint = "name servers of this namespace, or declare the Service in the namespace of the other";
				report(service, ["spec", "variants", index, "endpoints", at], message, hint);
			}
		}
		for (const [index, id] of (service.spec.identities ?? []).entries()) {
			const owner = foreign(service, id);
			if (owner === null) continue;
			const message = `spec.identities[${index}] names ${id}, which the endpoints of ${resourceTitle(owner)} have`;
			const hint = "name identities of this namespace's servers, or declare the Service in the namespace of the other";
			report(service, ["spec", "identities", index], message, hint);
		}
	}
}

/**
 * A server by address and port, in canonical form. All local addresses are one, because a server on 0.0.0.0 answers at
 * each.
 */
export function serverKey(address: string, port: number): string {
	return `${machine(address)} ${port}`;
}

/** Whether it is the local machine: loopback in any spelling, or an unspecified address. */
export const isThisMachine = (address: string): boolean => machine(address) === machine("localhost");

function machine(written: string): string {
	// An absolute name (RFC 1034 section 3.1).
	const address = written.replace(/\.$/, "");
	if (address === "localhost" || address.endsWith(".localhost")) return "loopback";
	const ip = canonicalAddress(address);
	return isLoopback(ip) || ip === "0.0.0.0" || ip === "::" ? "loopback" : ip;
}
