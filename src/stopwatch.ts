/**
 * Milliseconds of this thread since then, or somewhat more. Time on the clock is more where the machine does something else
 * meanwhile, which is not the caller's; the process's CPU time is more where its other threads compute. Node 20 tells no
 * thread's alone. So the lesser of both.
 */
export function stopwatch(): () => number {
	const [fromMs, from] = [performance.now(), process.cpuUsage()];
	return () => {
		const { user, system } = process.cpuUsage(from);
		return Math.min(performance.now() - fromMs, (user + system) / 1_000);
	};
}
