/** SPIFFE ids of peers, cached per connection. */
import type { Identity } from "./svid.js";

type Ids = WeakMap<object, string | null>;

const known = new WeakMap<Identity, Ids>();

/**
 * The SPIFFE id of a connection's certificate. Read again after the own identity has rotated, because its trust domain
 * decides which ids are valid. connectionLimits.ts closes connections whose certificate has ended.
 * @param connection an object with the lifetime of the connection
 * @param certificate DER, verified; undefined = none. Called only if the id is not cached
 */
export function idOfConnection(
	identity: Identity,
	connection: object,
	certificate: () => Uint8Array | undefined,
): string | null {
	const ids = known.get(identity) ?? idsUntilRotated(identity);
	const cached = ids.get(connection);
	if (cached !== undefined) return cached;
	const der = certificate();
	const id = der === undefined ? null : identity.idOf(der);
	ids.set(connection, id);
	return id;
}

function idsUntilRotated(identity: Identity): Ids {
	const ids: Ids = new WeakMap();
	known.set(identity, ids);
	const stop = identity.onRotated(() => {
		stop();
		known.delete(identity);
	});
	return ids;
}
