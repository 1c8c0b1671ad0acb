/** google.protobuf.Duration in proto3 JSON: seconds with up to nine decimals and an `s`. */
export function protoDuration(milliseconds: number): string {
	return `${milliseconds / 1000}s`;
}
