/**
 * Waits for a promise up to a timeout. The promise itself continues.
 * @param ms milliseconds; a pending timer keeps the process alive
 * @throws the promise's error, if it rejects in time
 */
export function within(ms: number, done: Promise<unknown> | null): Promise<unknown> {
	let timer: NodeJS.Timeout | undefined;
	const enough = new Promise<void>((resolve) => {
		timer = setTimeout(resolve, ms);
	});
	return Promise.race([done, enough]).finally(() => clearTimeout(timer));
}
