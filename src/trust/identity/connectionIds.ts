/** Who the other ends of connections are: a certificate is read once for its connection, however much is asked by it. */
import type { Identity } from "./svid.js";

type Ids = WeakMap<object, string | null>;

const known = new WeakMap<Identity, Ids>();

/**
 * The SPIFFE id of a connection's certificate, which stays what it is until the connection ends; it is read anew once the
 * own identity has rotated, whose trust domain says who counts. That certificates end is the door's business (tlsDoor.ts).
 * @param connection whatever lives as long as it does
 * @param certificate DER, verified; undefined = there is none. Called where it is not known yet
 */
export function idOfConnection(
	identity: Identity,
	connection: object,
	certificate: () => Uint8Array | undefined,
): string | null {
	const ids = known.get(identity) ?? idsUntilRotated(identity);
	const before = ids.get(connection);
	if (before !== undefined) return before;
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
