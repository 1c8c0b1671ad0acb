/** An identity of a development CA, as a process has it from its SPIFFE agent. */
import { X509Certificate } from "node:crypto";
import { certificateSpiffeId } from "../../../src/trust/identity/peer.js";
import type { Identity } from "../../../src/trust/identity/svid.js";
import type { DevelopmentCa } from "../../trust/identity/developmentCa.js";

export const DOMAIN = "weir.test";
export const id = (path: string): string => `spiffe://${DOMAIN}/${path}`;

export async function identityOf(ca: DevelopmentCa, spiffeId: string): Promise<Identity> {
	const own = await ca.issue({ spiffeId });
	const { validFrom, validTo } = new X509Certificate(own.certificate);
	return {
		current: () => ({
			spiffeId,
			...own,
			trustBundle: ca.certificate,
			notBeforeMs: Date.parse(validFrom),
			notAfterMs: Date.parse(validTo),
		}),
		onRotated: () => () => {},
		idOf: (certificate) => {
			const found = certificateSpiffeId(certificate);
			return found?.startsWith(`spiffe://${DOMAIN}/`) ? found : null;
		},
	};
}
