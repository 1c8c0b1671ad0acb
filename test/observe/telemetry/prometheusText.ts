/**
 * A strict reader of the Prometheus text exposition format 0.0.4 (prometheus.io/docs/instrumenting/
 * exposition_formats): HELP and TYPE once per metric and before its samples, samples of a metric together, no series
 * twice, histograms cumulative up to +Inf.
 */

export interface MetricFamily {
	readonly help: string;
	readonly type: string;
	/** By full series: name{labels} as written. */
	readonly samples: Map<string, number>;
}

/** @throws Error with the line that breaks the format */
export function readPrometheusText(text: string): Map<string, MetricFamily> {
	const families = new Map<string, MetricFamily>();
	const closed = new Set<string>();
	let current = "";
	let help = "";
	if (!text.endsWith("\n")) throw new Error("no newline at the end");
	for (const line of text.split("\n")) {
		if (line === "") continue;
		const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
		if (comment !== null) {
			const [, kind, name = "", rest = ""] = comment;
			if (kind === "HELP") {
				if (families.has(name)) throw new Error(`HELP again: ${line}`);
				if (current !== "") closed.add(current);
				help = rest;
				current = name;
				continue;
			}
			if (name !== current || families.has(name)) throw new Error(`TYPE out of place: ${line}`);
			if (!/^(counter|gauge|histogram|summary|untyped)$/.test(rest)) throw new Error(`no type: ${line}`);
			families.set(name, { help, type: rest, samples: new Map() });
			continue;
		}
		const sample = /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$/.exec(line);
		if (sample === null) throw new Error(`no sample: ${line}`);
		const [, name = "", labels = "", value = ""] = sample;
		const family = families.get(current);
		const base = family?.type === "histogram" ? name.replace(/_(bucket|sum|count)$/, "") : name;
		if (family === undefined || base !== current || closed.has(base)) throw new Error(`sample out of place: ${line}`);
		if (family.samples.has(name + labels)) throw new Error(`series twice: ${line}`);
		const number = value === "+Inf" ? Infinity : Number(value);
		if (Number.isNaN(number)) throw new Error(`no number: ${line}`);
		family.samples.set(name + labels, number);
	}
	for (const [name, family] of families) if (family.type === "histogram") checkHistogram(name, family);
	return families;
}

function checkHistogram(name: string, { samples }: MetricFamily): void {
	const last = new Map<string, number>();
	for (const [series, value] of samples) {
		if (!series.startsWith(`${name}_bucket`)) continue;
		const others = series.replace(`${name}_bucket`, "").replace(/le="[^"]*",?/, "");
		if (value < (last.get(others) ?? 0)) throw new Error(`not cumulative: ${series}`);
		last.set(others, value);
	}
	for (const [others, infinite] of last) {
		const count = [...samples].find(
			([series]) => series.startsWith(`${name}_count`) && sameLabels(series.slice(`${name}_count`.length), others),
		);
		if (count?.[1] !== infinite) throw new Error(`${name}: the +Inf bucket is not the count`);
	}
}

const sameLabels = (a: string, b: string): boolean => a.replace(/[{},]/g, "") === b.replace(/[{},]/g, "");
