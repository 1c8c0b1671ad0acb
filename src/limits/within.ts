/**
 * Waits for it, and no longer than that; it goes on by itself.
 * @param ms milliseconds; the process lives on as long
 * @throws what it throws before that
 */
export function within(ms: number, done: Promise<unknown> | null): Promise<unknown> {
	let timer: NodeJS.Timeout | undefined;
	const enough = new Promise<void>((resolve) => {
		timer = setTimeout(resolve, ms);
	});
	return Promise.race([done, enough]).finally(() => clearTimeout(timer));
}
