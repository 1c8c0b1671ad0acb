/** Converts PEM and DER: SPIFFE agents send DER, Envoy and Node use PEM. */

/** Certificates in one chain or bundle of an agent. */
const IDENTITY_CERTIFICATES_MAX = 256;

/** Each PEM block's bytes, in order. */
export function derOf(pem: string): Buffer[] {
	return (pem.match(/-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----/g) ?? []).map((block) =>
		Buffer.from(block.replace(/-----[A-Z ]+-----|\s/g, ""), "base64"),
	);
}

export function pemOf(label: "CERTIFICATE" | "PRIVATE KEY", der: Uint8Array): string {
	const lines =
		Buffer.from(der)
			.toString("base64")
			.match(/.{1,64}/g) ?? [];
	return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/**
 * Splits concatenated DER sequences, as the Workload API sends certificates.
 * @returns null if they do not fill the bytes exactly, or are too many
 */
export function splitDer(bytes: Uint8Array): Uint8Array[] | null {
	const found: Uint8Array[] = [];
	let at = 0;
	while (at < bytes.length) {
		const length = sequenceLength(bytes, at);
		if (length === null || at + length > bytes.length || found.length === IDENTITY_CERTIFICATES_MAX) return null;
		found.push(bytes.subarray(at, at + length));
		at += length;
	}
	return found;
}

/** Length in bytes of the DER SEQUENCE at that offset, with its header. */
function sequenceLength(bytes: Uint8Array, at: number): number | null {
	const first = bytes[at + 1];
	if (bytes[at] !== 0x30 || first === undefined) return null;
	if (first < 0x80) return 2 + first;
	const octets = first & 0x7f;
	// Four octets would be a certificate beyond 16 MiB.
	if (octets === 0 || octets > 3 || at + 2 + octets > bytes.length) return null;
	let length = 0;
	for (let i = 0; i < octets; i++) length = length * 256 + (bytes[at + 2 + i] ?? 0);
	return 2 + octets + length;
}
