/**
 * One tail of a distribution, kept so that its value, its logarithm and the other side follow without loss.
 */

/** The tail is exp(logKernel) · factor; `lower` means that it is the one below the point, else the one above. */
export interface Tail {
	readonly lower: boolean;
	readonly logKernel: number;
	readonly factor: number;
}

/** The tail's own value, at most 1. */
function tailValue(tail: Tail): number {
	return Math.min(1, Math.exp(tail.logKernel) * tail.factor);
}

/** The probability below the point (`lower`) or above it; 1 − the other one only where that other one was computed. */
export function sideOf(tail: Tail, lower: boolean): number {
	const value = tailValue(tail);
	return tail.lower === lower ? value : 1 - value;
}

/** ln of sideOf. */
export function logSideOf(tail: Tail, lower: boolean): number {
	if (tail.lower !== lower) return Math.log1p(-tailValue(tail));
	return Math.min(0, tail.logKernel + Math.log(tail.factor));
}
