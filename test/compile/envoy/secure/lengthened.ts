/** Signatures of a wrong length for their algorithm, which a lenient parser reads as the same numbers. */

const bytesChanged =
	(change: (signature: Buffer) => Buffer) =>
	(token: string): string => {
		const end = token.lastIndexOf(".") + 1;
		return token.slice(0, end) + change(Buffer.from(token.slice(end), "base64url")).toString("base64url");
	};

const zeros = (count: number) => Buffer.alloc(count);

/** r and s (of another algorithm: two halves), each behind so many zeros. */
const padded = (count: number) =>
	bytesChanged((signature) => {
		const half = signature.length / 2;
		return Buffer.concat([zeros(count), signature.subarray(0, half), zeros(count), signature.subarray(half)]);
	});

/** By what was done to a token that holds. */
export const LENGTHENED: Readonly<Record<string, (token: string) => string>> = {
	"letters behind the signature": (token) => `${token}AA`,
	"a letter behind the signature": (token) => `${token}A`,
	"a zero behind the signature": bytesChanged((signature) => Buffer.concat([signature, zeros(1)])),
	"a byte behind the signature": bytesChanged((signature) => Buffer.concat([signature, Buffer.from([0xff])])),
	"a zero before the signature": bytesChanged((signature) => Buffer.concat([zeros(1), signature])),
	"a zero before each half": padded(1),
	"ES256 as long as ES384": padded(16),
	"ES384 as long as ES512": padded(18),
	"ES256 as long as ES512": padded(34),
	"a byte less": bytesChanged((signature) => signature.subarray(0, -1)),
};
