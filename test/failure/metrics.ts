/** What a sidecar has counted, read from its metrics socket as `weir up` reads it. */
import { readMetrics } from "../../src/cli/roles/metrics.js";

interface Metric {
	readonly name: string;
	readonly values: readonly { readonly value: number; readonly labels: Readonly<Record<string, string>> }[];
}

/** Sum of the series of that name with those labels; 0 where there is none. */
export async function counted(
	socketPath: string,
	name: string,
	labels: Readonly<Record<string, string>> = {},
): Promise<number> {
	const metrics = ((await readMetrics(socketPath))?.metrics ?? []) as readonly Metric[];
	return metrics
		.filter((metric) => metric.name === name)
		.flatMap(({ values }) => values)
		.filter((series) => Object.entries(labels).every(([label, value]) => series.labels[label] === value))
		.reduce((sum, { value }) => sum + value, 0);
}
