/** Where two JSON values differ, as paths of fields: `bootstrap.static_resources.clusters[].connect_timeout`. */

/** At most a few thousand are looked at; positions in lists are left out, so equal places are one. */
export function changedPaths(before: unknown, after: unknown): readonly string[] {
	const found = new Set<string>();
	walk(before, after, "", found);
	return [...found];
}

function walk(before: unknown, after: unknown, path: string, found: Set<string>): void {
	if (found.size > 100 || before === after) return;
	if (Array.isArray(before) && Array.isArray(after)) {
		if (before.length !== after.length) found.add(`${path}[]`);
		else for (const [index, item] of before.entries()) walk(item, after[index], `${path}[]`, found);
		return;
	}
	if (isObject(before) && isObject(after)) {
		const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
		if (JSON.stringify(Object.keys(before)) !== JSON.stringify(Object.keys(after))) found.add(`${path}{keys}`);
		for (const key of keys) walk(before[key], after[key], path === "" ? key : `${path}.${key}`, found);
		return;
	}
	found.add(path);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === "object" && value !== null && !Array.isArray(value);
