/** An identity with a test's certificate, in the form of src/trust/identity. */
import { X509Certificate } from "node:crypto";
import { certificateSpiffeId } from "../../../src/trust/identity/peer.js";
import type { Identity } from "../../../src/trust/identity/svid.js";
import type { DevelopmentCa } from "../../trust/identity/developmentCa.js";

export const TRUST_DOMAIN = "weir.test";
export const idOf = (name: string): string => `spiffe://${TRUST_DOMAIN}/weir/${name}`;

export async function ownIdentity(ca: DevelopmentCa, name: string): Promise<Identity> {
	const spiffeId = idOf(name);
	const { certificate, privateKey } = await ca.issue({ spiffeId });
	const { validFrom, validTo } = new X509Certificate(certificate);
	const svid = {
		spiffeId,
		certificate,
		privateKey,
		trustBundle: ca.certificate,
		notBeforeMs: Date.parse(validFrom),
		notAfterMs: Date.parse(validTo),
	};
	return { current: () => svid, onRotated: () => () => undefined, idOf: certificateSpiffeId };
}
