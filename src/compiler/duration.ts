/** google.protobuf.Duration in proto3 JSON: seconds with up to nine decimals and an `s`. */
export function protoDuration(milliseconds: number): string {
	return `${milliseconds / 1000}s`;
}

/** Of what protoDuration wrote. */
export const millisecondsOf = (duration: string): number => Number(duration.slice(0, -1)) * 1000;
