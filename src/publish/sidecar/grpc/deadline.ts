/** The `grpc-timeout` header (grpc/grpc doc/PROTOCOL-HTTP2.md): at most eight digits and a unit. */

const UNIT_MS: Readonly<Record<string, number>> = { n: 1e-6, u: 1e-3, m: 1, S: 1000, M: 60_000, H: 3_600_000 };

/** The call's deadline in ms on the clock of `nowMs`; Infinity without a timeout, null for a malformed one. */
export function deadlineMs(timeout: string | string[] | undefined, nowMs: number): number | null {
	if (timeout === undefined) return Number.POSITIVE_INFINITY;
	if (typeof timeout !== "string") return null;
	const digits = timeout.length - 1;
	if (digits < 1 || digits > 8) return null;
	let value = 0;
	for (let i = 0; i < digits; i++) {
		const digit = timeout.charCodeAt(i) - 0x30;
		if (digit < 0 || digit > 9) return null;
		value = value * 10 + digit;
	}
	const unit = UNIT_MS[timeout.charAt(digits)];
	return unit === undefined ? null : nowMs + value * unit;
}
