/** Validation of Ed25519 points (RFC 8032 5.1): libraries accept any 32 bytes as a key. */

const P = 2n ** 255n - 19n;
/** -121665/121666 (RFC 8032 5.1). */
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;

/**
 * Whether the bytes are a canonically encoded point (RFC 8032 5.1.3) that is none of the eight of small order: for such a
 * key anyone can forge signatures of some texts. Not constant-time, because the input is public.
 */
export function isStrongEd25519Point(bytes: Uint8Array): boolean {
	if (bytes.length !== 32) return false;
	const y = BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`) & (2n ** 255n - 1n);
	if (y >= P) return false;
	const y2 = (y * y) % P;
	// -x² + y² = 1 + d·x²·y², so x² = (y² - 1) / (d·y² + 1), which is a square where the product is one.
	const isOnCurve = power(mod((y2 - 1n) * (D * y2 + 1n)), (P - 1n) / 2n) === 1n;
	// y = 0 has order 4; y = ±1, where x = 0 and so the product, 1 and 2; of order 8 is what doubles to y = 0: y² = -x².
	const hasOrder8 = mod(D * y2 * y2 + 2n * y2 - 1n) === 0n;
	return isOnCurve && y !== 0n && !hasOrder8;
}

const mod = (value: bigint): bigint => ((value % P) + P) % P;

function power(base: bigint, exponent: bigint): bigint {
	let result = 1n;
	let square = base;
	for (let rest = exponent; rest > 0n; rest >>= 1n) {
		if ((rest & 1n) === 1n) result = (result * square) % P;
		square = (square * square) % P;
	}
	return result;
}
