/**
 * What one namespace alone may declare: a second Service on another namespace's servers would be a second door to them,
 * with rules of its own (`access: open`) where the first has a guard.
 */
import { isLoopback, oneSpelling } from "../address.js";
import { resourceTitle } from "../position.js";
import type { Service } from "../resource.js";
import { formerOwners } from "./claim.js";
import type { Check } from "./report.js";

/**
 * An endpoint (address and port) and a SPIFFE id of endpoints belong to the namespace of the Service that names them
 * first; its own Services may share them. The rule is the same for everyone, admins too: what an admin may cross today
 * stays crossed for whoever edits either side tomorrow. The names of one server are not resolved here, which would be
 * I/O: that two DNS names, or a name and an IP address, lead to the same one is not seen, and only its SPIFFE id tells
 * it then. So give a guarded Service `identities`: a second name for its servers is no use without them.
 */
export function sharedProblems(check: Check): void {
	const { set, report } = check;
	const owners = formerOwners(check, ({ spec }) => [
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

/** A server by address and port, in one spelling. All of this machine's own are one: a server that listens on 0.0.0.0 answers at each. */
export function serverKey(address: string, port: number): string {
	return `${machine(address)} ${port}`;
}

/** Whether it is the machine itself that asks: the loopback in any spelling, or all of its addresses. */
export const isThisMachine = (address: string): boolean => machine(address) === machine("localhost");

function machine(written: string): string {
	// A name that is whole (RFC 1034 section 3.1).
	const address = written.replace(/\.$/, "");
	if (address === "localhost" || address.endsWith(".localhost")) return "loopback";
	const ip = oneSpelling(address);
	return isLoopback(ip) || ip === "0.0.0.0" || ip === "::" ? "loopback" : ip;
}
